"""Record what the tables of an agent need, several runs at once: `python tools/records.py --policies h2r`.

Each run is the command that anyone may give by hand (`--list` prints them); trials that are in the records
already are not run again, so the same command goes on where it stopped. Afterwards come
`python -m h2r_bench.report` and, for a second look, `python -m h2r_bench.report --verify`.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from h2r_bench.reporting.paper_results import BASIC, HALVES

Part = Literal["protocol", "video", "controls", "shifts", "hundred"]
CONTROLS = ("wrong", "blank", "reversed", "frozen", "counterfactual")
SHIFTS_CM = (2, 4)


@dataclass(frozen=True)
class Records:
    """Record runs of agents."""

    policies: tuple[str, ...]
    """Agents."""
    parts: tuple[Part, ...] = ("protocol", "video", "controls", "shifts")
    """`protocol`: the paper's, nine cells of trials 0..19 with the scene cue; `video`, `controls`,
    `shifts`: the three seen tasks with the video cue, with misleading demonstrations, with layouts shifted
    by 2 and 4 cm; `hundred`: the nine cells, trials 0..99."""
    tasks: tuple[str, ...] = ()
    """Only these tasks."""
    out: Path = Path("results")
    """Folder of the records."""
    weights: Path | None = None
    """Weights of all of them, instead of those they ship with."""
    slots: int = 2
    """Runs at the same time, each on one core."""
    list: bool = False
    """Print the commands and run nothing."""


SEEN = tuple(BASIC.columns)
CELLS = tuple(task for half in HALVES for task in half.columns)
RUNS: dict[Part, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "protocol": (CELLS, ("--trials 20",)),
    "video": (SEEN, ("--trials 20 --cue video",)),
    "controls": (SEEN, tuple(f"--trials 20 --cue video --demo {demo}" for demo in CONTROLS)),
    "shifts": (SEEN, tuple(f"--trials 20 --shift {shift}" for shift in SHIFTS_CM)),
    "hundred": (CELLS, ("--trials 100",)),
}
"""Tasks and further options of the runs of a part: each option with each task."""


def runs_of(part: Part) -> list[tuple[str, str]]:
    """Task and further options of each run of a part."""
    tasks, options = RUNS[part]
    return [(task, option) for option in options for task in tasks]


def commands_of(records: Records) -> list[str]:
    """Arguments of `h2r_bench.run`, in the order in which they are run."""
    weights = f" --weights {shlex.quote(str(records.weights))}" if records.weights else ""
    return [
        f"--task {task} --policy {policy} {options}{weights} --out {shlex.quote(str(records.out))}"
        for part in records.parts
        for policy in records.policies
        for task, options in runs_of(part)
        if not records.tasks or task in records.tasks
    ]


def start(command: str) -> subprocess.Popen[str]:
    """Start a run on one core; its progress bar goes nowhere, its result and errors are kept."""
    words = [sys.executable, "-m", "h2r_bench.run", *shlex.split(command)]
    threads = {"OMP_NUM_THREADS": "1", "LP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **threads},
    )


def main(records: Records) -> int:
    """Carry out all runs; returns how many failed."""
    waiting = commands_of(records)
    if records.list:
        print(*(f"python -m h2r_bench.run {command}" for command in waiting), sep="\n")
        return 0
    began, total, failed = time.monotonic(), len(waiting), 0
    running: dict[str, subprocess.Popen[str]] = {}
    # Two runs must not write to one log, which is that of a task and an agent.
    log_of = {command: tuple(shlex.split(command)[1:4:2]) for command in waiting}
    try:
        while waiting or running:
            busy = {log_of[command] for command in running}
            ready = next((command for command in waiting if log_of[command] not in busy), None)
            if ready is not None and len(running) < records.slots:
                waiting.remove(ready)
                running[ready] = start(ready)
            for command, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[command]
                lines = process.communicate()[0].strip().splitlines() or [""]
                failed += process.returncode != 0
                done = total - len(waiting) - len(running)
                mark = "FAILED  " if process.returncode else ""
                print(
                    f"{time.monotonic() - began:6.0f} s  {done}/{total}  {mark}{command}  {lines[-1]}",
                    flush=True,
                )
            time.sleep(0.2)
    except KeyboardInterrupt:
        for process in running.values():
            process.wait()  # each has had the Ctrl-C too, and ends after its trial
        print("stopped: the same command goes on")
        return 130
    return failed


if __name__ == "__main__":
    sys.exit(min(main(tyro.cli(Records, description=__doc__)), 130))
