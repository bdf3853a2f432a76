"""A dataset at a glance: one HTML file with its facts, a few charts and clips of each task.

The file needs no network and no other file. Pages of the same dataset are equal byte for byte.
"""

from __future__ import annotations

import base64
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from h2r_bench.datasets import DatasetError, EpisodeStore
from h2r_bench.datasets.h264 import write_video
from h2r_bench.datasets.task_part import EpisodeRow, TaskPart
from h2r_bench.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType


TEMPLATE = Path(__file__).with_name("html_summary.html")
CLIP_CRF = 26
"""Constant rate factor of the clips: smaller files than the dataset's own, still without visible blocks."""

COLORS = ("#3b82c4", "#e0803a", "#3fa37c", "#b565c0", "#c9a227", "#d65a5a", "#6a78d8", "#7a8a99")
"""One per task, over and over: mid-tones that show on white as on black."""


def write_page(
    store: EpisodeStore,
    path: Path,
    *,
    clips_per_task: int = 3,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a page about a dataset.

    Args:
        store: The dataset. All facts and arrays are read, but only the videos that are shown.
        path: The HTML file to write, all or nothing; missing folders are made.
        clips_per_task: How many episodes to show of each task, spread evenly over the dataset.
        progress: Told after each episode how many were read and how many there are.

    Raises:
        DatasetError: The dataset has no episodes.
        ModuleNotFoundError: The packages of the `report` extra are missing.
        ValueError: `clips_per_task` is negative.
    """
    if clips_per_task < 0:
        raise ValueError(f"clips_per_task is at least 0, got {clips_per_task}")
    if not len(store):
        raise DatasetError(f"{store.root} has no published episodes, so there is nothing to show")
    charts = _charts_module()
    tasks = _by_task(list(_read_rows(store, progress)))
    page = _render(
        meta=store.meta,
        name=store.root.resolve().name,
        headline=_headline(store, tasks),
        details=_details(store, tasks),
        tasks=tasks,
        charts=charts.draw(tasks, store.meta.rate_hz),
        clips={task.name: [_clip(store, at) for at in _spread(task, clips_per_task)] for task in tasks},
    )
    write_whole(path, page)


def _charts_module() -> ModuleType:
    """`h2r_bench.datasets.dataset_charts`, once all that the page needs is known to be there."""
    try:
        import jinja2  # noqa: F401

        from h2r_bench.datasets import dataset_charts
    except ModuleNotFoundError as error:
        hint = f"the page needs {error.name}: pip install 'h2r-bench[report]'"
        raise ModuleNotFoundError(hint, name=error.name) from None
    return dataset_charts


def _read_rows(store: EpisodeStore, progress: Callable[[int, int], None] | None) -> Iterator[EpisodeRow]:
    for position in range(len(store)):
        arrays = store.read_arrays(position)
        moves = np.diff(arrays["state"][:, :3].astype(np.float64), axis=0)
        speeds = np.linalg.norm(moves, axis=1) * store.meta.rate_hz
        # The command, not the fingers: around a large object they stay apart although they grip it.
        opened = (arrays["action"][:, -1] >= 0.5).astype(np.float64)
        yield EpisodeRow(store.read_facts(position), speeds, opened)
        if progress is not None:
            progress(position + 1, len(store))


def _by_task(rows: list[EpisodeRow]) -> list[TaskPart]:
    """The rows of each task, the tasks in alphabetical order."""
    places: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        places.setdefault(row.facts["task"], []).append(position)
    return [
        TaskPart(name, COLORS[number % len(COLORS)], places[name], [rows[at] for at in places[name]])
        for number, name in enumerate(sorted(places))
    ]


def _spread(task: TaskPart, count: int) -> list[int]:
    """Up to `count` positions of the task, each in the middle of an equal part of its episodes."""
    there = len(task.positions)
    count = min(count, there)
    return [task.positions[(2 * part + 1) * there // (2 * count)] for part in range(count)]


def _headline(store: EpisodeStore, tasks: list[TaskPart]) -> dict[str, str]:
    """What is said in large type, value by label."""
    steps = sum(sum(task.lengths) for task in tasks)
    mean = steps / len(store)
    return {
        "episodes": f"{len(store):,}",
        "steps": f"{steps:,}",
        "recorded": _duration(steps / store.meta.rate_hz),
        "mean length": f"{mean:.0f} steps",
        "mean duration": f"{mean / store.meta.rate_hz:.1f} s",
        "on disk": _bytes(_size(store.root)),
    }


def _details(store: EpisodeStore, tasks: list[TaskPart]) -> dict[str, str]:
    """What is said in small type, value by label."""
    facts = [row.facts for task in tasks for row in task.rows]
    shifts = [abs(float(fact["shift_cm"])) for fact in facts if fact["shift_cm"]]
    shifted = f", by {np.mean(shifts):.1f} cm on average, {max(shifts):.1f} cm at most" if shifts else ""
    cues = Counter(str(fact["cue"]) for fact in facts)
    width, height = store.meta.image_size
    return {
        "World version": str(store.meta.world),
        "Image size": f"{width} × {height} pixels",
        "Rate": f"{store.meta.rate_hz:g} Hz",
        "Seed": str(store.meta.seed),
        "Shifted scenes": _percent(len(shifts), len(facts)) + shifted,
        "Cues": ", ".join(f"{cue} {_percent(cues[cue], len(facts))}" for cue in sorted(cues)),
        "Successful": _percent(sum(bool(fact["success"]) for fact in facts), len(facts)),
        "Instructions": f"{len({fact['instruction'] for fact in facts}):,} different ones",
    }


def _clip(store: EpisodeStore, position: int) -> dict[str, Any]:
    """Human and robot of an episode side by side, moment for moment, as a data URI, with its facts."""
    episode = store[position]
    human = episode.human[episode.human_frame_index]
    both = np.concatenate([human, episode.robot], axis=2)
    with tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder) / "clip.mp4", both, store.meta.rate_hz, crf=CLIP_CRF)
        code = base64.b64encode((Path(folder) / "clip.mp4").read_bytes()).decode()
    return {
        "instruction": episode.instruction,
        "facts": [
            f"episode {position}",
            f"{len(episode) / store.meta.rate_hz:.1f} s",
            f"cue {episode.cue}",
            f"shifted {episode.shift_cm:.1f} cm" if episode.shift_cm else "not shifted",
            f"seed {episode.seed}",
        ],
        "width": both.shape[2],
        "height": both.shape[1],
        "uri": f"data:video/mp4;base64,{code}",
    }


def _render(**values: Any) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(**values)


def _size(root: Path) -> int:
    """Bytes of the dataset's files; hidden ones are caches and unfinished episodes."""
    files = (path for path in root.rglob("*") if path.is_file())
    visible = (
        path for path in files if not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    return sum(path.stat().st_size for path in visible)


def _bytes(count: int) -> str:
    power = min(4, (len(str(count)) - 1) // 3)
    unit = ("B", "kB", "MB", "GB", "TB")[power]
    return f"{count / 1000**power:.1f} {unit}" if power else f"{count} B"


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}\N{NO-BREAK SPACE}%"
