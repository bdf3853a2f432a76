"""A dataset of paired episodes: random access to what is published, and the way to add to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from h2r_bench.datasets import shards, staging
from h2r_bench.datasets.h264 import read_video
from h2r_bench.datasets.lerobot_format import (
    ARRAYS,
    FACTS,
    INFO_FILE,
    SCHEMA_VERSION,
    SHARDS_PER_CHUNK,
    VIDEO_KEYS,
    DatasetError,
    DatasetMeta,
    info,
    shard_path,
    write_json,
)
from h2r_bench.types import Episode, UInt8Array

_JSON_FACTS = ("scene", "failures")


class EpisodeStore:
    """The episodes of one folder, by position 0 .. len - 1, which is their index."""

    def __init__(self, root: Path, meta: DatasetMeta) -> None:
        self.root = root
        self.meta = meta
        self._load()

    def _load(self) -> None:
        rows = self._rows = shards.read_rows(self.root, statistics=False)
        self._done = shards.published(rows)
        shard_of = [r["data/chunk_index"] * SHARDS_PER_CHUNK + r["data/file_index"] for r in rows]
        starts = {shard: position for position, shard in reversed(list(enumerate(shard_of)))}
        self._place = [(shard, position - starts[shard]) for position, shard in enumerate(shard_of)]

    @classmethod
    def create(cls, root: Path, meta: DatasetMeta) -> EpisodeStore:
        """Start a dataset, or go on with one of the same `meta`. Raises DatasetError when they differ."""
        if (root / INFO_FILE).exists():
            store = cls.open(root)
            theirs, ours = store.meta.to_json(), meta.to_json()
            differing = [key for key in ours if json.dumps(ours[key]) != json.dumps(theirs.get(key))]
            if differing:
                raise DatasetError(
                    f"{root} holds a dataset made otherwise ({', '.join(differing)}): choose another --out"
                )
            return store
        write_json(root / INFO_FILE, info(meta, 0, 0, 0))
        return cls(root, meta)

    @classmethod
    def open(cls, root: Path | str) -> EpisodeStore:
        """An existing dataset. Raises DatasetError when there is none or its layout is of another version."""
        root = Path(root)
        try:
            record = json.loads((root / INFO_FILE).read_text())
        except FileNotFoundError:
            raise DatasetError(f"no dataset at {root}: {INFO_FILE} is missing") from None
        except json.JSONDecodeError as error:
            raise DatasetError(f"{root / INFO_FILE} is not readable as JSON: {error}") from None
        ours = record.get("h2r_bench")
        if ours is None:
            raise DatasetError(f"{root} is a dataset of another origin: its info.json has no 'h2r_bench'")
        if ours.get("schema") != SCHEMA_VERSION:
            raise DatasetError(f"{root} has layout {ours.get('schema')}, this program reads {SCHEMA_VERSION}")
        return cls(root, DatasetMeta.from_json(ours))

    # --- reading -----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, position: int) -> Episode:
        """The episode at `position`. Raises DatasetError for damaged files, IndexError beyond the end."""
        arrays, facts = self.read_arrays(position), self.read_facts(position)
        videos = {name: self.read_frames(position, name) for name in VIDEO_KEYS}
        poses = arrays.pop("object_pose")
        known = poses[:, : facts["objects"]] if facts["objects"] else None
        fields: dict[str, Any] = {**videos, **arrays, **{key: facts[key] for key in FACTS}}
        return Episode(**fields, object_pose=known)

    def __iter__(self) -> Iterator[Episode]:
        return (self[position] for position in range(len(self)))

    def length(self, position: int) -> int:
        """Steps of the episode at `position`."""
        return int(self._rows[position]["length"])

    @property
    def steps(self) -> int:
        """Steps of all episodes together."""
        return self._done.steps

    def read_facts(self, position: int) -> dict[str, Any]:
        """Task, seed and the like of the episode at `position`; `objects` counts its props."""
        row = self._rows[position]
        facts = {name: row[f"h2r_bench/{name}"] for name in (*FACTS, "objects")}
        facts |= {name: json.loads(facts[name]) for name in _JSON_FACTS}
        return facts | {"failures": tuple(facts["failures"])}

    def read_arrays(self, position: int) -> dict[str, Any]:
        """The arrays of the episode at `position`, without its videos; objects (T, MAX_OBJECTS, 9)."""
        shard, group = self._place[position]
        path = shard_path(self.root, "data", shard)
        try:
            table = pq.ParquetFile(path).read_row_group(group)
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"{path} cannot be read for episode {position}: {error}") from None
        arrays = {name: _array(table.column(column), size) for name, (column, size) in ARRAYS.items()}
        arrays["object_pose"] = arrays["object_pose"].reshape(len(table), -1, 9)
        return arrays

    def read_frames(self, position: int, name: str, start: int = 0, count: int | None = None) -> UInt8Array:
        """Frames `start` .. `start + count` of one episode's video `name` ("human", "robot").

        Returns shape (T, H, W, 3). Raises DatasetError where the file is damaged or too short.
        """
        row = self._rows[position]
        wanted = self.length(position) - start if count is None else count
        path = shard_path(self.root, f"videos/{VIDEO_KEYS[name]}", self._place[position][0], ".mp4")
        first = round(row[f"videos/{VIDEO_KEYS[name]}/from_timestamp"] * self.meta.rate_hz)
        try:
            frames = read_video(path, first + start, wanted)
        except (OSError, IndexError) as error:
            raise DatasetError(f"{path} cannot be read for episode {position}: {error}") from None
        if len(frames) != wanted:
            raise DatasetError(f"{path} ends in episode {position}: {len(frames)} frames for {wanted} steps")
        return frames

    # --- writing -----------------------------------------------------------------------------------------

    @property
    def recorded(self) -> set[int]:
        """Indices that are recorded already, published or waiting."""
        return set(range(len(self))) | staging.staged(self.root)

    def write(self, index: int, episode: Episode) -> None:
        """Record `episode` as number `index`; it waits until `publish`. One that is there already stays."""
        if index >= len(self):
            staging.stage(self.root, index, episode, self.meta)

    def publish(self, *, partial: bool = True) -> None:
        """Publish what waits, in order and without gaps; without `partial` only full shards."""
        before = self._done
        self._done = shards.publish(self.root, self.meta, before, partial=partial)
        if self._done != before or partial:
            shards.write_summary(self.root, self.meta)
            self._load()


def _array(column: pa.ChunkedArray, size: int) -> np.ndarray:
    """A column of numbers (T,) or of lists (T, size)."""
    values = column.combine_chunks()
    if size == 1:
        return np.array(values.to_numpy(zero_copy_only=False))
    return np.array(values.flatten().to_numpy(zero_copy_only=False)).reshape(-1, size)
