"""Train everything that ships, and what it is measured against: `python tools/recipe.py --data DIR`.

Runs the commands of docs/training.md and docs/baselines.md side by side, as many as `--slots`, each as soon
as what it builds on is finished, and packs the weights of each agent once it has all its parts; given
again, it goes on where it stopped. `--scale` stretches all budgets: 1 is for one data centre GPU (about ten
minutes with eight slots), a laptop's CPU wants 10 and a night.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Job:
    """One training command."""

    name: str
    """Of the folder of its run."""
    command: str
    """Arguments of `h2r_bench.train`, with `{runs}` for the folder of all runs."""
    minutes: float
    """How long it trains at scale 1."""
    needs: tuple[str, ...] = ()
    """Jobs it builds on."""
    clips: int | None = None
    """Clips whose features are computed before the training."""


VIDEO = "--repaint 0.5 --focus-weight 8"
TOLD = "--repaint 0.5 --motion-weight 0 --early 0.2"
DECODER = "--batch 64 --reader-batch 512 --lr 0.012 --repaint 0.4"
WRITING = "--tasks writing_play"
POLICY = "--batch 256 --lr 0.01 --repaint 0.4"

JOBS = (
    Job(
        "vpm1",
        f"vpm --stage 1 --init {{init}} --same-view --compare --clips 96 --frames 6 --lr 0.012 {VIDEO}",
        3.2,
    ),
    Job("vpp1", f"vpp --stage 1 --unets {{init}} --clips 96 --frames 6 --lr 0.02 {TOLD}", 3.3),
    Job("dp", f"diffusion_policy {POLICY}", 5.0),
    Job("dpw", f"diffusion_policy {WRITING} {POLICY}", 0.7),
    Job("skills", "xskill --videos 16 --lr 0.01", 1.6),
    Job("human", f"decoder --encoder resnet18 {DECODER.replace('64', '32', 1)}", 4.6),
    Job(
        "vpm2",
        f"vpm --stage 2 --init {{runs}}/vpm1 --temporal {{init}} --clips 24 --frames 16 --lr 0.01 {VIDEO}",
        0.6,
        ("vpm1",),
    ),
    Job(
        "xs",
        f"xskill --stage 2 --init {{runs}}/skills --told {{runs}}/dp {POLICY}",
        2.7,
        ("skills", "dp"),
    ),
    Job(
        "xsw",
        f"xskill --stage 2 --init {{runs}}/skills --told {{runs}}/dpw {WRITING} {POLICY}",
        1.3,
        ("skills", "dpw"),
    ),
    Job(
        "vpp2",
        f"vpp --stage 2 --init {{runs}}/vpp1 --temporal {{init}} --clips 24 --frames 16 --lr 0.01 {TOLD}",
        0.6,
        ("vpp1",),
    ),
    Job("dec", f"decoder --vpm {{runs}}/vpm2 --init {{init}} {DECODER}", 2.0, ("vpm2",), clips=12000),
    Job(
        "vppdec",
        f"decoder --encoder vpp --vpm {{runs}}/vpp2 --init {{init}} {DECODER}",
        2.0,
        ("vpp2",),
        clips=12000,
    ),
    Job(
        "decw",
        f"decoder --vpm {{runs}}/vpm2 --init {{init}}/writing {WRITING} {DECODER}",
        1.0,
        ("vpm2",),
        clips=4000,
    ),
    Job(
        "vppw",
        f"decoder --encoder vpp --vpm {{runs}}/vpp2 --init {{init}}/writing {WRITING} {DECODER}",
        1.2,
        ("vpp2",),
        clips=4000,
    ),
    Job("seeing", f"decoder --encoder untrained_seeing --vpm {{init}} {DECODER}", 1.3, clips=8000),
    Job("untrained", f"decoder --encoder untrained --vpm {{init}} {DECODER}", 1.3, clips=8000),
    Job("hand", "hand --batch 256 --lr 0.01 --repaint 0.4", 1.2),
    Job("blind", "decoder --encoder time --batch 256 --lr 0.012", 0.5),
    Job("scene", "scene --batch 128 --lr 0.01", 0.4),
)
"""In order of importance: what is ready and stands first is started first."""

WEIGHTS = {
    "h2r": "--vpm {runs}/vpm2 --decoder {runs}/dec {runs}/decw",
    "vpp": "--vpm {runs}/vpp2 --decoder {runs}/vppdec {runs}/vppw",
    "diffusion_policy": "--policy {runs}/dp {runs}/dpw",
    "xskill": "--policy {runs}/xs {runs}/xsw",
    "human_decoder": "--decoder {runs}/human",
    "h2r_no_pretrain_seeing": "--decoder {runs}/seeing",
    "h2r_no_pretrain": "--decoder {runs}/untrained",
    "hand_tracker": "--hand {runs}/hand",
    "blind": "--decoder {runs}/blind",
}
"""Weights of an agent, and what `pack` makes them of."""


@dataclass(frozen=True)
class Recipe:
    """Train every agent."""

    data: Path
    """Folder of the paired episodes."""
    runs: Path = Path("runs/recipe")
    """Folder of all runs, logs and weights."""
    init: Path = Path("h2r_bench/assets/h2r_compact")
    """Weights whose VAE is used and from which the video models of `h2r` and `vpp` go on."""
    slots: int = 8
    """Trainings at the same time."""
    scale: float = 1.0
    """Factor on the length of every training."""
    precision: str = "tf32"
    """As for the training commands."""
    clip_share: float = 1.0
    """Part of the clips whose features are computed: a CPU takes 0.1 s for each."""
    only: tuple[str, ...] = ()
    """Run these jobs alone."""
    seconds: float | None = None
    """Stop everything after so long [s]; the same command goes on."""
    threads: int = 2
    """CPU threads of each training."""
    cpu: bool = field(default=False)
    """Train on the CPU even where there is a GPU."""


def finished(folder: Path) -> bool:
    """Whether the run in `folder` is complete."""
    record = folder / "run.json"
    return record.is_file() and "steps" in json.loads(record.read_text())


def missing(waiting: Sequence[Job], recipe: Recipe) -> list[str]:
    """Jobs that some of `waiting` build on, that are neither finished nor among them."""
    known = {job.name for job in waiting}
    needs = sorted({need for job in waiting for need in job.needs} - known)
    return [need for need in needs if not finished(recipe.runs / need)]


def words_of(job: Job, recipe: Recipe) -> list[str]:
    """Arguments of `h2r_bench.train` for `job`."""
    words = job.command.format(runs=recipe.runs, init=recipe.init).split()
    words += ["--data", str(recipe.data), "--out", str(recipe.runs / job.name)]
    words += ["--minutes", f"{job.minutes * recipe.scale:g}", "--precision", recipe.precision]
    words += ["--clips", str(round(job.clips * recipe.clip_share))] if job.clips else []
    words += ["--checkpoint-minutes", "0.7"]
    return [*words, "--cpu"] if recipe.cpu else words


def start(job: Job, recipe: Recipe) -> subprocess.Popen[bytes]:
    """Start the training, its output in a log beside the run."""
    command = [sys.executable, "-m", "h2r_bench.train", *words_of(job, recipe)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(recipe.threads)}
    with (recipe.runs / f"{job.name}.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def pack(recipe: Recipe, packing: dict[str, subprocess.Popen[bytes]]) -> None:
    """Bring together the weights of agents all of whose runs are finished, each beside the trainings.

    `packing`: what was begun; new ones are added.
    """
    for name, parts in WEIGHTS.items():
        words = parts.format(runs=recipe.runs).split()
        out = recipe.runs / "weights" / name
        complete = all(finished(Path(word)) for word in words if not word.startswith("--"))
        if complete and name not in packing and not (out / "manifest.json").exists():
            command = [sys.executable, "-m", "h2r_bench.train", "pack", *words, "--out", str(out)]
            packing[name] = subprocess.Popen(command)


def main(recipe: Recipe) -> int:
    """Run what is missing; returns how many jobs did not finish. Raises SystemExit when none ever could."""
    recipe.runs.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    wanted = [job for job in JOBS if not recipe.only or job.name in recipe.only]
    waiting = [job for job in wanted if not finished(recipe.runs / job.name)]
    if needed := missing(waiting, recipe):
        raise SystemExit(f"--only leaves out what these jobs build on: add {' '.join(needed)}")
    running: dict[str, subprocess.Popen[bytes]] = {}
    failed: set[str] = set()
    packing: dict[str, subprocess.Popen[bytes]] = {}
    while waiting or running:
        for job in list(waiting):
            ready = all(finished(recipe.runs / need) for need in job.needs)
            if failed.intersection(job.needs):
                waiting.remove(job)
                failed.add(job.name)
            elif ready and len(running) < recipe.slots:
                waiting.remove(job)
                running[job.name] = start(job, recipe)
                print(f"{time.monotonic() - began:6.0f} s  {job.name} begins", flush=True)
        for name, process in list(running.items()):
            if process.poll() is not None:
                del running[name]
                ok = process.returncode == 0
                print(f"{time.monotonic() - began:6.0f} s  {name} {'done' if ok else 'FAILED'}", flush=True)
                if not ok:
                    failed.add(name)
                pack(recipe, packing)
        if recipe.seconds is not None and time.monotonic() - began > recipe.seconds:
            for process in running.values():
                process.send_signal(signal.SIGTERM)
            for process in running.values():
                process.wait()  # each writes a checkpoint first
            print("stopped: the same command goes on", flush=True)
            break
        time.sleep(0.3)
    pack(recipe, packing)
    for process in packing.values():
        process.wait()
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Recipe, description=__doc__)))
