"""Rendered control steps per second, beside other MuJoCo benchmarks: `python benchmarks/peers.py`.

Every environment runs alone in a fresh process, with software rendering, as its makers ship it; only the
image size is set to 128x128 where there is a setting. Actions are random, resets are not timed. The
environments take turns, round after round, so that a busy machine slows all of them alike.

Each peer has a virtual environment of its own, made at first use and kept (about 1.5 GB together), because
their versions exclude one another. A peer that cannot be installed or run is named with the reason; the
others go on.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal, get_args

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from h2r_bench.envs.rendering import gl

ROOT = Path(__file__).resolve().parent.parent
WORKER = Path(__file__).resolve().with_name("peer_worker.py")
INSTALL_SECONDS = 1800
SEEDS_A_ROUND = 1000
"""Seeds set aside for the episodes of one round."""
TABLE_WIDTH = 150
"""A narrower terminal would have the numbers cut short."""
SOFTWARE = ("llvmpipe", "softpipe", "swrast", "swr")
"""OpenGL renderers that run on the processor."""

Name = Literal["h2r_bench", "h2r_bench_fine", "gymnasium_robotics", "robo_evals", "metaworld", "dm_control"]
OURS: Name = "h2r_bench"
OURS_FINE: Name = "h2r_bench_fine"

REQUIREMENTS: dict[Name, tuple[str, ...]] = {
    # Older than 3.12: later, Fetch stops at an assertion on the type of a joint.
    # Gymnasium's renderer needs packaging and does not say so.
    "gymnasium_robotics": ("gymnasium-robotics>=1.4", "mujoco<3.12", "packaging"),
    "robo_evals": ("robo-evals>=0.2",),
    "metaworld": ("metaworld>=3", "packaging"),
    "dm_control": ("dm_control>=1.0.50", "mujoco<4"),  # 1.0.50 fails on 4.0.0: a field is gone
}
"""What pip installs for each peer; ours run in the interpreter that runs this."""


@dataclass(frozen=True)
class Config:
    """Compare rendered control steps per second with other benchmarks."""

    rounds: int = 3
    """Rounds; the median counts."""
    steps: int = 100
    """Timed control steps in each round."""
    warmup: int = 10
    """Control steps before those."""
    seed: int = 0
    """Of scenes and actions in the first round; each round has its own."""
    only: tuple[Name, ...] = ()
    """Which environments; all when none is named."""
    venvs: Path = ROOT / ".bench"
    """Where the peers' virtual environments are kept."""
    timeout_s: float = 600.0
    """Longest time one measurement may take [s]."""
    out: Path | None = None
    """Write the results to this JSON file as well."""

    def __post_init__(self) -> None:
        if min(self.rounds, self.steps) < 1 or self.warmup < 0:
            raise ValueError("rounds and steps must be at least 1, warmup at least 0")


class PeerError(RuntimeError):
    """An environment could not be installed or run; the message is one line."""


@dataclass
class Outcome:
    """What became of one environment."""

    name: Name
    rounds: list[dict[str, Any]] = field(default_factory=list)
    failure: str = ""

    @property
    def speeds(self) -> list[float]:
        """Control steps per second of each round."""
        return [line["steps_per_second"] for line in self.rounds]

    def summary(self) -> dict[str, Any]:
        """The outcome as it goes to the JSON file."""
        found: dict[str, Any] = {"name": self.name, "failure": self.failure or None}
        if self.rounds:
            found |= self.rounds[0]
            found["steps_per_second"] = round(median(self.speeds), 2)
            found["rounds"] = [round(speed, 2) for speed in self.speeds]
            found["times_real_time"] = round(median(self.speeds) / found["control_hz"], 2)
        return found


def interpreter_of(name: Name, venvs: Path) -> Path:
    """The Python that has the packages of `name`, installed first if need be. Raises PeerError."""
    if name not in REQUIREMENTS:
        return Path(sys.executable)
    venv = venvs.absolute() / name
    python, marker = venv / "bin" / "python", venv / "ready.txt"
    wanted = "\n".join(REQUIREMENTS[name])
    if python.exists() and marker.exists() and marker.read_text() == wanted:
        return python
    make_cache(venvs)
    # Isolated: pip counts what lies on PYTHONPATH as installed.
    install([sys.executable, "-I", "-m", "venv", "--clear", str(venv)])
    pip = [str(python), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install([*pip, *REQUIREMENTS[name]])
    marker.write_text(wanted)  # last, so that a broken installation is never taken for a whole one
    return python


def make_cache(folder: Path) -> None:
    """Make `folder`, such that git overlooks it."""
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / ".gitignore").write_text("*\n")


def install(command: Sequence[str]) -> None:
    """Run one step of an installation. Raises PeerError."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise PeerError(f"the installation took longer than {INSTALL_SECONDS} s") from None
    if done.returncode:
        raise PeerError("not installed: " + last_line(done.stderr or done.stdout))


def last_line(text: str) -> str:
    """The last line that says what went wrong, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["no output"])[-1]


def environment() -> dict[str, str]:
    """Environment variables of a measured process: software rendering, with the threads it comes with."""
    variables = {**os.environ, "LIBGL_ALWAYS_SOFTWARE": "1"}
    variables.pop("LP_NUM_THREADS", None)
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return variables


def run_once(name: Name, python: Path, config: Config, number: int) -> dict[str, Any]:
    """The measurement of round `number` in a fresh process. Raises PeerError."""
    # Peers run isolated: this repository on their path would hide packages of the same name.
    isolated = ["-I"] if name in REQUIREMENTS else []
    # Other scenes each round: how long a step takes depends on what was drawn.
    seed = config.seed + SEEDS_A_ROUND * (number - 1)
    command = [str(python), *isolated, str(WORKER), name, f"--seed={seed}"]
    command += [f"--warmup={config.warmup}", f"--steps={config.steps}"]
    try:
        done = subprocess.run(
            command, env=environment(), capture_output=True, text=True, timeout=config.timeout_s
        )
    except subprocess.TimeoutExpired:
        raise PeerError(f"took longer than {config.timeout_s:g} s") from None
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise PeerError(f"ended with status {done.returncode}: {last_line(done.stderr)}")
    found: dict[str, Any] = json.loads(lines[-1])
    if "error" in found:
        raise PeerError(" ".join(found["error"].split()) or "unknown error")
    return found


def compare(config: Config, console: Console) -> list[Outcome]:
    """Install what is missing, then measure everything in turn, round after round."""
    names = config.only or get_args(Name)
    outcomes = {name: Outcome(name) for name in names}
    pythons: dict[Name, Path] = {}
    for name, outcome in outcomes.items():
        console.print(f"preparing {name}")
        try:
            pythons[name] = interpreter_of(name, config.venvs)
        except (PeerError, OSError) as error:
            outcome.failure = str(error)
    for number in range(1, config.rounds + 1):
        for name, python in pythons.items():
            outcome = outcomes[name]
            if outcome.failure:
                continue
            try:
                outcome.rounds.append(run_once(name, python, config, number))
                console.print(f"round {number}: {name} {outcome.speeds[-1]:.1f} steps/s")
            except PeerError as error:
                outcome.failure = f"round {number}: {error}"
                console.print(f"round {number}: {name} failed")
    return list(outcomes.values())


def ratio(one: Outcome, other: Outcome) -> float:
    """How many times as fast as `other` `one` is: the median over the rounds that both ran."""
    return median(a / b for a, b in zip(one.speeds, other.speeds, strict=False))


def ratios(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The comparisons that can be made among what was measured."""
    measured = {outcome.name: outcome for outcome in outcomes if outcome.rounds}
    peers = [outcome for name, outcome in measured.items() if name in REQUIREMENTS]
    shady = [outcome for outcome in peers if outcome.rounds[0]["shadows"]]
    ours, fine = measured.get(OURS), measured.get(OURS_FINE)
    wanted = [
        ("fastest peer", ours, fastest(peers)),
        ("fastest peer that casts shadows", fine, fastest(shady)),
        ("cost of shadows and smooth edges", ours, fine),
    ]
    return [
        {"what": what, "of": one.name, "to": other.name, "ratio": round(ratio(one, other), 3)}
        for what, one, other in wanted
        if one and other
    ]


def fastest(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The one with the most steps per second."""
    return max(outcomes, key=lambda outcome: median(outcome.speeds), default=None)


def table_of(outcomes: Sequence[Outcome]) -> Table:
    """Everything that was measured, the fastest first."""
    table = Table("environment", "setting", "version", "mujoco")
    for heading in ("steps/s", "lowest", "highest", "Hz", "x real time", "image", "shadows", "samples"):
        table.add_column(heading, justify="right")
    for outcome in sorted(outcomes, key=lambda outcome: -median(outcome.speeds or [0.0])):
        if not outcome.rounds:
            continue
        found, speeds = outcome.summary(), outcome.speeds
        numbers = (median(speeds), min(speeds), max(speeds), found["control_hz"], found["times_real_time"])
        table.add_row(
            outcome.name,
            escape(found["setting"]),
            found["version"],
            found["mujoco"],
            *(f"{number:.1f}" for number in numbers),
            "{}x{}".format(*found["image_size"]),
            "yes" if found["shadows"] else "no",
            str(found["samples"]),
        )
    return table


def remarks(outcomes: Sequence[Outcome]) -> list[str]:
    """What a reader must know beyond the table."""
    notes = [f"{outcome.name}: {outcome.failure}" for outcome in outcomes if outcome.failure]
    for outcome in (outcome for outcome in outcomes if outcome.rounds):
        found = outcome.rounds[0]
        if found["image_size"] != [128, 128]:
            notes.append("{}: images of {}x{}, as it comes".format(outcome.name, *found["image_size"]))
        if not any(name in found["graphics"].lower() for name in SOFTWARE):
            notes.append(
                f"{outcome.name}: drawn by {found['graphics']}, not in software; MUJOCO_GL=osmesa would be"
            )
    return notes


def machine(outcomes: Sequence[Outcome], load: float) -> dict[str, Any]:
    """What the numbers hold for; `load` is what others had running before."""
    return {
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_before": round(load, 2),
        "python": platform.python_version(),
        "MUJOCO_GL": os.environ.get("MUJOCO_GL", ""),
        "graphics": sorted({line["graphics"] for outcome in outcomes for line in outcome.rounds}),
    }


def as_json(config: Config, outcomes: Sequence[Outcome], load: float) -> dict[str, Any]:
    """The whole report."""
    settings = dataclasses.asdict(config)
    return {
        "config": {key: settings[key] for key in ("rounds", "steps", "warmup", "seed")},
        "machine": machine(outcomes, load),
        "environments": [outcome.summary() for outcome in outcomes],
        "ratios": ratios(outcomes),
        "remarks": remarks(outcomes),
    }


def main() -> int:
    """Compare, print the table, and write it down."""
    config = tyro.cli(Config, description=__doc__)
    try:
        gl.require()  # leaves its choice in the environment, for all processes alike
    except gl.GLUnavailableError as error:
        print(error, file=sys.stderr)
        return 2
    load = os.getloadavg()[0]
    outcomes = compare(config, Console(stderr=True, highlight=False))
    console = Console(highlight=False, width=max(TABLE_WIDTH, Console().width))
    console.print(table_of(outcomes))
    for found in ratios(outcomes):
        console.print(f"{found['of']} / {found['to']} ({found['what']}): {found['ratio']:.2f}")
    for note in remarks(outcomes):
        console.print(escape(note))
    about = machine(outcomes, load)
    console.print(
        f"{about['cores']} cores, load before {about['load_before']}, {', '.join(about['graphics'])}"
    )
    if config.out is not None:
        config.out.parent.mkdir(parents=True, exist_ok=True)
        config.out.write_text(json.dumps(as_json(config, outcomes, load), indent=2) + "\n")
    return 0 if any(outcome.rounds for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
