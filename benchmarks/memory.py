"""How much memory resets cost: 1,000 of them across all tasks must not make the process grow.

Growth at the start is the small cache of compiled models filling up: it is measured from a warm start.
"""

from __future__ import annotations

import gc
import json
import os
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.progress import track

from h2r_bench.envs.env import TabletopEnv
from h2r_bench.envs.tasks import TASKS


@dataclass(frozen=True)
class Config:
    """Measure the growth of memory over resets."""

    resets: int = 1000
    warm_up: int = 10
    """Rounds over all tasks before counting starts."""
    image_size: tuple[int, int] = (128, 128)


def resident_mb() -> float:
    """Memory of this process that is in use [MB]."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Print memory before and after as one JSON line."""
    config = tyro.cli(Config, description=__doc__)
    environments = [TabletopEnv(name, image_size=config.image_size) for name in TASKS.names()]
    for number in track(range(config.warm_up * len(environments)), "warm-up"):
        environments[number % len(environments)].reset(seed=number)
    gc.collect()
    before = resident_mb()
    for number in track(range(config.resets), "resets"):
        environments[number % len(environments)].reset(seed=10_000 + number)
    gc.collect()
    after = resident_mb()
    report = {"resets": config.resets, "tasks": len(environments), "before_mb": before, "after_mb": after}
    print(json.dumps({**report, "growth_mb": round(after - before, 1)}))


if __name__ == "__main__":
    main()
