"""Publishing: episodes that wait become a shard, one file of each kind of LeRobot's layout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from h2r_bench.datasets import staging
from h2r_bench.datasets.h264 import join_videos
from h2r_bench.datasets.lerobot_format import (
    ARRAYS,
    EPISODES_PER_SHARD,
    FACTS,
    INFO_FILE,
    SHARDS_PER_CHUNK,
    STATS_FILE,
    VIDEO_KEYS,
    DatasetError,
    DatasetMeta,
    info,
    plain,
    read_tasks,
    shard_path,
    step_schema,
    write_json,
    write_parquet,
    write_tasks,
)
from h2r_bench.files import replacing

MOMENTS = ("min", "max", "mean", "std", "count")


@dataclass(frozen=True)
class Published:
    """What is published so far."""

    episodes: int
    steps: int
    shards: int


def published(rows: Sequence[dict[str, Any]]) -> Published:
    """Totals of the rows of `meta/episodes`."""
    if not rows:
        return Published(0, 0, 0)
    last = rows[-1]
    shard = last["meta/episodes/chunk_index"] * SHARDS_PER_CHUNK + last["meta/episodes/file_index"]
    return Published(len(rows), last["dataset_to_index"], shard + 1)


def read_rows(root: Path, *, statistics: bool) -> list[dict[str, Any]]:
    """The rows of all shards of `meta/episodes`, in order, with or without the columns `stats/...`.

    Raises DatasetError for a damaged file.
    """
    rows: list[dict[str, Any]] = []
    for path in sorted((root / "meta/episodes").glob("chunk-*/file-*.parquet")):
        try:
            names = pq.read_schema(path).names
            columns = [name for name in names if statistics or not name.startswith("stats/")]
            rows += pq.read_table(path, columns=columns).to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"{path} cannot be read: {error}") from None
    return rows


def publish(root: Path, meta: DatasetMeta, done: Published, *, partial: bool) -> Published:
    """Make shards of what waits, in order of the indices; returns what is published then.

    Without `partial` only full shards are made. Killed at any moment, the next call goes on.
    """
    waiting = staging.staged(root)
    for index in (index for index in waiting if index < done.episodes):
        shutil.rmtree(staging.folder(root, index))  # published before it could be deleted
    while True:
        count = 0
        while count < EPISODES_PER_SHARD and done.episodes + count in waiting:
            count += 1
        if count == 0 or (count < EPISODES_PER_SHARD and not partial):
            return done
        done = _publish_shard(root, meta, done, count)


def _publish_shard(root: Path, meta: DatasetMeta, done: Published, count: int) -> Published:
    indices = range(done.episodes, done.episodes + count)
    episodes = [staging.read_staged(root, index) for index in indices]
    tasks = _number_tasks(root, [facts["instruction"] for _, facts in episodes])
    _write_steps(shard_path(root, "data", done.shards), episodes, done, meta, tasks)
    for name, key in VIDEO_KEYS.items():
        path = shard_path(root, f"videos/{key}", done.shards, ".mp4")
        with replacing(path) as part:
            parts = [staging.folder(root, index) / f"{name}.mp4" for index in indices]
            join_videos(parts, part, meta.rate_hz)
    rows = _rows(episodes, done, meta)
    write_parquet(shard_path(root, "meta/episodes", done.shards), pa.Table.from_pylist(rows))
    for index in indices:
        shutil.rmtree(staging.folder(root, index))
    return Published(done.episodes + count, rows[-1]["dataset_to_index"], done.shards + 1)


def _number_tasks(root: Path, instructions: list[str]) -> dict[str, int]:
    """Numbers of all instructions, those of `instructions` that are new added at the end."""
    known = read_tasks(root)
    numbers = {text: number for number, text in enumerate(known)}
    for text in instructions:
        numbers.setdefault(text, len(numbers))
    if len(numbers) > len(known):
        write_tasks(root, list(numbers))
    return numbers


def _write_steps(
    path: Path,
    episodes: list[tuple[dict[str, Any], dict[str, Any]]],
    done: Published,
    meta: DatasetMeta,
    tasks: dict[str, int],
) -> None:
    first = done.steps
    with replacing(path) as part, pq.ParquetWriter(part, step_schema(), compression="zstd") as writer:
        for number, (arrays, facts) in enumerate(episodes):
            steps = len(arrays["state"])
            columns: dict[str, Any] = {column: _column(arrays[name]) for name, (column, _) in ARRAYS.items()}
            counted = np.arange(steps)
            columns["timestamp"] = (counted / meta.rate_hz).astype(np.float32)
            columns["frame_index"], columns["index"] = counted, first + counted
            columns["episode_index"] = np.full(steps, done.episodes + number)
            columns["task_index"] = np.full(steps, tasks[facts["instruction"]])
            writer.write_table(pa.table(columns, schema=step_schema()))
            first += steps


def _column(values: np.ndarray) -> Any:
    """An array (T,) or (T, D) as a column of numbers or of lists."""
    if values.ndim == 1:
        return values
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _rows(
    episodes: list[tuple[dict[str, Any], dict[str, Any]]], done: Published, meta: DatasetMeta
) -> list[dict[str, Any]]:
    """The rows of `meta/episodes` for one shard."""
    chunk, file = divmod(done.shards, SHARDS_PER_CHUNK)
    rows, first = [], done.steps
    for number, (arrays, facts) in enumerate(episodes):
        steps = len(arrays["state"])
        row: dict[str, Any] = {
            "episode_index": done.episodes + number,
            "tasks": [facts["instruction"]],
            "length": steps,
            "dataset_from_index": first,
            "dataset_to_index": first + steps,
            "data/chunk_index": chunk,
            "data/file_index": file,
            "meta/episodes/chunk_index": chunk,
            "meta/episodes/file_index": file,
        }
        for key in VIDEO_KEYS.values():
            row[f"videos/{key}/chunk_index"], row[f"videos/{key}/file_index"] = chunk, file
            row[f"videos/{key}/from_timestamp"] = (first - done.steps) / meta.rate_hz
            row[f"videos/{key}/to_timestamp"] = (first + steps - done.steps) / meta.rate_hz
        row |= {f"h2r_bench/{name}": _fact(facts[name]) for name in FACTS}
        row["h2r_bench/objects"] = facts["objects"]
        rows.append(row | _statistics(arrays, facts))
        first += steps
    return rows


def _fact(value: Any) -> Any:
    """Facts with parts are kept as JSON."""
    return json.dumps(value, default=plain) if isinstance(value, dict | list | tuple) else value


def _statistics(arrays: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """Columns `stats/<feature>/<moment>` of one episode."""
    columns: dict[str, Any] = {}
    steps = len(arrays["state"])
    for name, (column, size) in ARRAYS.items():
        values = arrays[name].reshape(steps, size).astype(np.float64)
        for moment in MOMENTS[:-1]:
            columns[f"stats/{column}/{moment}"] = getattr(values, moment)(0).tolist()
        columns[f"stats/{column}/count"] = [steps]
    for name, key in VIDEO_KEYS.items():
        for moment, channels in facts["pixels"][name].items():
            columns[f"stats/{key}/{moment}"] = [[[value]] for value in channels]
        columns[f"stats/{key}/count"] = [steps]
    return columns


def write_summary(root: Path, meta: DatasetMeta) -> None:
    """meta/info.json and meta/stats.json as of what is published."""
    rows = read_rows(root, statistics=True)
    done = published(rows)
    if rows:
        keys = [*(column for column, _ in ARRAYS.values()), *VIDEO_KEYS.values()]
        write_json(root / STATS_FILE, {key: _pooled(rows, key) for key in keys})
    write_json(root / INFO_FILE, info(meta, done.episodes, done.steps, len(read_tasks(root))))


def _pooled(rows: Sequence[dict[str, Any]], key: str) -> dict[str, Any]:
    """The statistics of all episodes together, from those of each."""
    each = {moment: np.array([row[f"stats/{key}/{moment}"] for row in rows], float) for moment in MOMENTS}
    weight = each["count"].reshape(len(rows), *[1] * (each["mean"].ndim - 1)) / each["count"].sum()
    mean = (weight * each["mean"]).sum(0)
    variance = (weight * (each["std"] ** 2 + (each["mean"] - mean) ** 2)).sum(0)
    return {
        "min": each["min"].min(0),
        "max": each["max"].max(0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": [int(each["count"].sum())],
    }
