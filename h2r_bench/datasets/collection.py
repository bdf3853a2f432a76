"""Recording a dataset of paired episodes, looking at one, playing one again, importing one.

Episode `i` follows from the seed and `i` alone, so workers, interruptions and order change nothing.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from h2r_bench import ranges
from h2r_bench.datasets import DatasetMeta, EpisodeStore
from h2r_bench.datasets.lock import hold
from h2r_bench.datasets.staging import stage
from h2r_bench.envs.registration import TASK_WEIGHTS
from h2r_bench.ranges import Count, Index, Range, Share
from h2r_bench.registry import UnknownNameError

if TYPE_CHECKING:
    from h2r_bench.types import Episode

MAX_SHIFT_CM = 4.0
"""Largest offset between the human's and the robot's scene [cm]; drawn evenly from 0."""
TRIES = 5
"""Seeds tried for an episode before giving up."""


@dataclass(frozen=True)
class CollectConfig:
    """Record paired demonstrations of the seen tasks, or look at a dataset."""

    out: Path | None = None
    """Folder of the dataset; an interrupted run goes on where it stopped."""
    episodes: Count = 2600
    """How many episodes the folder holds in the end."""
    tasks: tuple[str, ...] = tuple(TASK_WEIGHTS)
    """Tasks to record, in proportion to the full dataset."""
    fps: Annotated[int, Range(10, 30)] = 10
    """Frames per second: 10 (the control rate) or 30 (as in H&R)."""
    size: str = "128x128"
    """Width x height of the videos [pixels], both even."""
    seed: Index = 0
    """Every episode follows from this and its index."""
    workers: Count = field(default_factory=lambda: os.cpu_count() or 1)
    """Processes recording at the same time."""
    shifted: Share = 0.3
    """Share of episodes whose two scenes differ by up to 4 cm and 15 degrees."""
    cue_video: Share = 0.5
    """Share of episodes in which only the video says what is meant."""
    show: Path | None = None
    """Draw a page about the dataset in this folder and stop."""
    replay: Path | None = None
    """Play the recorded actions of the dataset in this folder again, count successes and stop."""
    import_hdf5: Path | None = None
    """Read the H&R episodes (HDF5) below this folder into --out and stop."""
    align: Path | None = None
    """With --import-hdf5: a JSON file with three matched points of the hand's and the robot's frame."""
    sample: Count | None = None
    """With --replay: only so many episodes, spread evenly."""

    def __post_init__(self) -> None:
        ranges.check(self, "--")
        if self.fps not in (10, 30):
            raise ValueError(f"--fps is 10 or 30, got {self.fps}")
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
    rate_hz: float


def parse_size(text: str) -> tuple[int, int]:
    """`"424x240"` to (424, 240). Raises ValueError for anything but two even positive numbers."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 and int(part) % 2 == 0 for part in parts):
        raise ValueError(f"--size is WIDTHxHEIGHT with even numbers, such as 128x128; got {text!r}")
    return int(parts[0]), int(parts[1])


def task_order(tasks: Sequence[str], count: int) -> list[str]:
    """The first `count` tasks, so that every beginning of the list has them in proportion (Webster)."""
    weights = np.array([TASK_WEIGHTS[task] for task in tasks])
    given, order = np.zeros(len(tasks)), []
    for _ in range(count):
        chosen = int(np.argmax(weights / (given + 0.5)))
        given[chosen] += 1
        order.append(tasks[chosen])
    return order


def orders(config: CollectConfig) -> list[Order]:
    """All episodes of the dataset; each follows from the seed and its index."""
    tasks = task_order(config.tasks, config.episodes)
    return [_order(config, index, task) for index, task in enumerate(tasks)]


def _order(config: CollectConfig, index: int, task: str) -> Order:
    rng = np.random.default_rng((config.seed, index))
    cue: Literal["scene", "video"] = "video" if rng.random() < config.cue_video else "scene"
    shifted, amount = rng.random() < config.shifted, rng.uniform(0.0, MAX_SHIFT_CM)
    seed = int(rng.integers(2**31 - 1))
    shift = round(float(amount), 3) if shifted else 0.0
    return Order(index, task, seed, cue, shift, parse_size(config.size), float(config.fps))


def record(asked: Order) -> Episode:
    """Record one episode in the simulated world; where no scene works out, the next seed is taken."""
    from h2r_bench.envs.demonstration.paired_scenes import NoSceneError
    from h2r_bench.envs.demonstration.recording import record_episode

    for seed in range(asked.seed, asked.seed + TRIES):
        with contextlib.suppress(NoSceneError):
            return record_episode(
                asked.task,
                seed,
                cue=asked.cue,
                shift_cm=asked.shift_cm,
                image_size=asked.image_size,
                rate_hz=asked.rate_hz,
            )
    raise NoSceneError(f"no scene of {asked.task} worked out for episode {asked.index}")


def record_into(root: Path, meta: DatasetMeta, asked: Order, recorder: Callable[[Order], Episode]) -> Order:
    """Record one episode, to be published later; returns what was asked."""
    stage(root, asked.index, recorder(asked), meta)
    return asked


def collect(config: CollectConfig, world: int, recorder: Callable[[Order], Episode] = record) -> EpisodeStore:
    """Fill `config.out` up to `config.episodes` episodes and return the store.

    Raises:
        DatasetError: the folder holds something else, or is being filled by another process.
    """
    if config.out is None:
        raise ValueError("say where to: --out DIR")
    meta = DatasetMeta(
        world, parse_size(config.size), float(config.fps), seed=config.seed, recipe=recipe(config)
    )
    with hold(config.out):
        store = EpisodeStore.create(config.out, meta)
        wanted = [asked for asked in orders(config) if asked.index not in store.recorded]
        with _progress() as progress:
            there = config.episodes - len(wanted)
            bar = progress.add_task("episodes", total=config.episodes, completed=there)
            started = time.monotonic()
            for done, _ in enumerate(_run(store, config.workers, wanted, recorder), start=1):
                rate = 60.0 * done / (time.monotonic() - started)
                progress.update(bar, advance=1, description=f"episodes ({rate:.0f}/min)")
                store.publish(partial=False)
        store.publish()
    return store


def recipe(config: CollectConfig) -> dict[str, object]:
    """What decides the contents of the episodes, apart from the seed, the size and the rate."""
    return {"tasks": list(config.tasks), "shifted": config.shifted, "cue_video": config.cue_video}


def _run(
    store: EpisodeStore, workers: int, wanted: list[Order], recorder: Callable[[Order], Episode]
) -> Iterator[Order]:
    """Record what is `wanted`, in whatever order it gets done."""
    if workers == 1:
        yield from (record_into(store.root, store.meta, asked, recorder) for asked in wanted)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker)
    queue, running = iter(wanted), set[Future[Order]]()
    try:
        # Few at a time, so that what waits to be published stays few.
        while True:
            for asked in queue:
                running.add(pool.submit(record_into, store.root, store.meta, asked, recorder))
                if len(running) >= 2 * workers:
                    break
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker() -> None:
    """One thread each for rendering and mathematics, and no life beyond the parent's."""
    for name in ("LP_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def report(store: EpisodeStore) -> str:
    """A few lines on a dataset: size, plays that failed and were drawn again, held-out things in it."""
    from h2r_bench.envs.scene.split_leakage import find_leaks

    facts = [store.read_facts(position) for position in range(len(store))]
    failed = Counter(reason for each in facts for reason in each["failures"])
    leaks = Counter(leak for each in facts for leak in (find_leaks(each) if each["world"] else []))
    return (
        f"{len(store)} episodes in {store.root}: {store.steps} frame pairs, "
        f"{store.steps / max(1, len(store)):.1f} each on average\n"
        f"{failed.total()} failed plays were drawn again{_listed(failed)}\n"
        f"{leaks.total()} held-out things in them{_listed(leaks)}"
    )


def _listed(reasons: Counter[str]) -> str:
    text = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    return f": {text}" if text else ""


def show(folder: Path) -> str:
    """Draw the page about the dataset in `folder`; returns where it is."""
    from h2r_bench.datasets.html_summary import write_page

    store, page = EpisodeStore.open(folder), folder / "index.html"
    with _progress() as progress:
        bar = progress.add_task("reading", total=len(store))
        write_page(store, page, progress=lambda done, _: progress.update(bar, completed=done))
    return str(page)


def replay(folder: Path, sample: int | None, workers: int) -> str:
    """Play recorded actions again; returns how many succeeded, and why the others did not."""
    from h2r_bench.statistics import format_rate

    store = EpisodeStore.open(folder)
    count = min(sample or len(store), len(store))
    chosen = [int(p) for p in np.linspace(0, len(store) - 1, count)]
    context = multiprocessing.get_context("spawn")
    failed: Counter[str] = Counter()
    with (
        ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool,
        _progress() as bar,
    ):
        job = bar.add_task("replaying", total=count)
        for failure in pool.map(_replay_one, [folder] * count, chosen, chunksize=4):
            failed.update([failure] if failure else [])
            bar.update(job, advance=1)
    return f"replay  {format_rate(count - failed.total(), count)}{_listed(failed)}"


def _replay_one(folder: Path, position: int) -> str:
    """Why the actions of one episode failed; empty when they succeeded."""
    from h2r_bench.envs.demonstration.replaying import replay_episode

    return replay_episode(_opened(folder)[position]).failure


@lru_cache(maxsize=1)
def _opened(folder: Path) -> EpisodeStore:
    """The dataset in `folder`, opened once in each worker."""
    return EpisodeStore.open(folder)


def import_hdf5(config: CollectConfig) -> str:
    """Read the H&R episodes below `config.import_hdf5` into `config.out`; returns what was done."""
    from h2r_bench.datasets.hand_robot_alignment import load_alignment
    from h2r_bench.datasets.hr_import import import_folder

    if config.out is None or config.import_hdf5 is None:
        raise ValueError("say where to: --out DIR")
    with hold(config.out), _progress() as progress:
        bar = progress.add_task("importing", total=None)
        done = import_folder(
            config.import_hdf5,
            config.out,
            rate_hz=float(config.fps),
            image_size=parse_size(config.size),
            alignment=load_alignment(config.align) if config.align else None,
            progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    return f"{done.imported} episodes imported, {done.skipped} were there already; {done.steps} steps"
