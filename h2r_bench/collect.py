"""Record paired demonstrations: `python -m h2r_bench.collect --out DIR`.

Episode `i` follows from the seed and `i` alone, so workers, interruptions and order change nothing.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from h2r_bench.datasets import DatasetMeta, EpisodeStore
from h2r_bench.registry import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from h2r_bench.types import Episode

TASK_WEIGHTS = {"push_pull": 600.0, "pick_place": 800.0, "rotation": 400.0}
"""How often each seen task is drawn, relative to the others. No other task may be trained on."""


MAX_SHIFT_CM = 4.0
"""Largest offset between the human's and the robot's scene [cm]; drawn evenly from 0."""


TRIES = 5
"""Seeds tried for an episode before giving up."""


@dataclass(frozen=True)
class CollectConfig:
    """Record paired demonstrations of the seen tasks."""

    out: Path
    """Folder of the dataset; an interrupted run goes on where it stopped."""
    episodes: int = 300
    """How many episodes the folder holds in the end."""
    tasks: tuple[str, ...] = tuple(TASK_WEIGHTS)
    """Tasks to draw from."""
    size: str = "128x128"
    """Width x height of the videos [pixels], both even."""
    seed: int = 0
    """Every episode follows from this and its index."""
    workers: int = 2
    """Processes recording at the same time."""
    shifted: float = 0.3
    """Share of episodes whose two scenes differ by up to 4 cm."""
    cue_video: float = 0.5
    """Share of episodes in which only the video says what is meant."""

    def __post_init__(self) -> None:
        if self.episodes < 1 or self.workers < 1 or self.seed < 0:
            raise ValueError("--episodes and --workers are at least 1, --seed at least 0")
        for name in ("shifted", "cue_video"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"--{name.replace('_', '-')} is a share between 0 and 1")
        if not self.tasks:
            raise ValueError("--tasks needs at least one task")
        for task in self.tasks:
            if task not in TASK_WEIGHTS:
                raise UnknownNameError("training task", task, list(TASK_WEIGHTS))
        parse_size(self.size)


@dataclass(frozen=True)
class Order:
    """One episode to record."""

    index: int
    """Its number in the dataset."""
    task: str
    seed: int
    cue: Literal["scene", "video"]
    shift_cm: float
    image_size: tuple[int, int]


def parse_size(text: str) -> tuple[int, int]:
    """`"424x240"` to (424, 240). Raises ValueError for anything but two even positive numbers."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 and int(part) % 2 == 0 for part in parts):
        raise ValueError(f"--size is WIDTHxHEIGHT with even numbers, such as 128x128; got {text!r}")
    return int(parts[0]), int(parts[1])


def order(config: CollectConfig, index: int) -> Order:
    """What episode `index` is, from the seed and the index alone."""
    rng = np.random.default_rng((config.seed, index))
    weights = np.array([TASK_WEIGHTS[task] for task in config.tasks])
    task = config.tasks[int(rng.choice(len(weights), p=weights / weights.sum()))]
    cue: Literal["scene", "video"] = "video" if rng.random() < config.cue_video else "scene"
    shifted, amount = rng.random() < config.shifted, rng.uniform(0.0, MAX_SHIFT_CM)
    seed = int(rng.integers(2**31 - 1))
    return Order(index, task, seed, cue, round(float(amount), 3) if shifted else 0.0, parse_size(config.size))


def record(asked: Order) -> Episode:
    """Record one episode in the simulated world; where no scene works out, the next seed is taken."""
    from h2r_bench.envs.pairing import NoSceneError
    from h2r_bench.envs.recording import record_episode

    for seed in range(asked.seed, asked.seed + TRIES):
        with contextlib.suppress(NoSceneError):
            return record_episode(
                asked.task, seed, cue=asked.cue, shift_cm=asked.shift_cm, image_size=asked.image_size
            )
    raise NoSceneError(f"no scene of {asked.task} worked out for episode {asked.index}")


def record_into(root: Path, asked: Order, recorder: Callable[[Order], Episode] = record) -> tuple[int, int]:
    """Record one episode and publish it; returns its index and its number of steps."""
    episode = recorder(asked)
    EpisodeStore.open(root).write(asked.index, episode)
    return asked.index, len(episode)


def collect(config: CollectConfig, world: int, recorder: Callable[[Order], Episode] = record) -> EpisodeStore:
    """Fill `config.out` up to `config.episodes` episodes and return the store."""
    meta = DatasetMeta(world, parse_size(config.size), seed=config.seed, recipe=recipe(config))
    store = EpisodeStore.create(config.out, meta)
    missing = sorted(set(range(config.episodes)) - set(store.indices))
    orders = [order(config, index) for index in missing]
    with _progress() as progress:
        bar = progress.add_task("episodes", total=config.episodes, completed=config.episodes - len(missing))
        started = time.monotonic()
        for done, _ in enumerate(_run(config, orders, recorder), start=1):
            rate = 60.0 * done / (time.monotonic() - started)
            progress.update(bar, advance=1, description=f"episodes ({rate:.0f}/min)")
    return EpisodeStore.open(config.out)


def recipe(config: CollectConfig) -> dict[str, object]:
    """What decides the contents of the episodes, apart from the seed and the size."""
    return {"tasks": list(config.tasks), "shifted": config.shifted, "cue_video": config.cue_video}


def _run(
    config: CollectConfig, orders: list[Order], recorder: Callable[[Order], Episode]
) -> Iterator[tuple[int, int]]:
    if config.workers == 1:
        yield from (record_into(config.out, asked, recorder) for asked in orders)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(config.workers, mp_context=context)
    try:
        futures = [pool.submit(record_into, config.out, asked, recorder) for asked in orders]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def main() -> int:
    """The command line."""
    try:
        config = tyro.cli(CollectConfig, prog="python -m h2r_bench.collect", description=__doc__)
        from h2r_bench.envs import WORLD_VERSION

        store = collect(config, WORLD_VERSION)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(f"{len(store)} episodes in {store.root}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
