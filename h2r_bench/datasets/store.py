"""A folder of paired episodes.

```
meta.json                        schema, world version, rate [Hz], image size, seed, how it was recorded
episodes/episode_000000/
    human.mp4  robot.mp4         H.264, one frame per control step
    data.safetensors             state, action, hand_pose, hand_opening, human_frame_index
    episode.json                 task, instruction, success, seed, world, cue, shift_cm, scene
```

An episode is written beside its place and renamed into it, so a folder of that name is always whole.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file, save_file

from h2r_bench.datasets.video import read_video, write_video
from h2r_bench.types import CONTROL_HZ, DEFAULT_IMAGE_SIZE, Episode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEMA_VERSION = 1
"""Bumped when files or their meaning change."""

META_FILE = "meta.json"
ARRAYS = ("state", "action", "hand_pose", "hand_opening", "human_frame_index")
FACTS = ("task", "instruction", "success", "seed", "world", "cue", "shift_cm", "scene")
_FOLDER = re.compile(r"episode_(\d{6})")


class DatasetError(ValueError):
    """A dataset folder that is absent, of another kind, or damaged."""


@dataclass(frozen=True)
class DatasetMeta:
    """What holds for every episode of a dataset."""

    world: int
    """World version the episodes were recorded in."""
    image_size: tuple[int, int] = DEFAULT_IMAGE_SIZE
    """Width and height of both videos [pixels]."""
    rate_hz: float = CONTROL_HZ
    """Frames, states and actions per second [Hz]."""
    seed: int = 0
    """Seed all episodes follow from."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """What else decides the contents (tasks, shares); JSON-able."""
    schema: int = SCHEMA_VERSION
    """Version of this layout."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form that `from_json` takes back unchanged."""
        return {**asdict(self), "image_size": list(self.image_size)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> DatasetMeta:
        """The inverse of `to_json`."""
        meta = cls(**record)
        return replace(meta, image_size=(int(meta.image_size[0]), int(meta.image_size[1])))


class EpisodeStore:
    """Random access to the episodes of one folder, in order of their index."""

    def __init__(self, root: Path, meta: DatasetMeta) -> None:
        self.root = root
        self.meta = meta
        self.indices = _indices(root)

    @classmethod
    def create(cls, root: Path, meta: DatasetMeta) -> EpisodeStore:
        """Start a dataset, or go on with one of the same `meta`. Raises DatasetError when they differ."""
        if (root / META_FILE).exists():
            store = cls.open(root)
            theirs, ours = store.meta.to_json(), meta.to_json()
            differing = [key for key in ours if json.dumps(ours[key]) != json.dumps(theirs.get(key))]
            if differing:
                raise DatasetError(
                    f"{root} holds a dataset made otherwise ({', '.join(differing)}): choose another --out"
                )
            return store
        (root / "episodes").mkdir(parents=True, exist_ok=True)
        write_json(root / META_FILE, meta.to_json())
        return cls(root, meta)

    @classmethod
    def open(cls, root: Path | str) -> EpisodeStore:
        """An existing dataset. Raises DatasetError when there is none or its layout is of another version."""
        root = Path(root)
        try:
            record = json.loads((root / META_FILE).read_text())
        except FileNotFoundError:
            raise DatasetError(f"no dataset at {root}: {META_FILE} is missing") from None
        except json.JSONDecodeError as error:
            raise DatasetError(f"{root / META_FILE} is not readable as JSON: {error}") from None
        if record.get("schema") != SCHEMA_VERSION:
            raise DatasetError(
                f"{root} has layout {record.get('schema')}, this program reads {SCHEMA_VERSION}"
            )
        return cls(root, DatasetMeta.from_json(record))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Episode:
        """The episode at `position` (0 .. len - 1) among those present."""
        folder = self.folder(self.indices[position])
        arrays, facts = self.read_arrays(position), self.read_facts(position)
        videos = {name: read_video(folder / f"{name}.mp4") for name in ("human", "robot")}
        steps = len(arrays["state"])
        for name, frames in videos.items():
            if len(frames) != steps:
                raise DatasetError(f"{folder / name}.mp4 has {len(frames)} frames for {steps} steps")
        return Episode(**videos, **arrays, **{key: facts[key] for key in FACTS})  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Episode]:
        return (self[position] for position in range(len(self)))

    def folder(self, index: int) -> Path:
        """Where the episode of `index` lies or will lie."""
        return self.root / "episodes" / f"episode_{index:06d}"

    def read_facts(self, position: int) -> dict[str, Any]:
        """Task, seed and the like of the episode at `position`, without its arrays."""
        record: dict[str, Any] = json.loads(
            (self.folder(self.indices[position]) / "episode.json").read_text()
        )
        return record

    def read_arrays(self, position: int) -> dict[str, Any]:
        """The arrays of the episode at `position`, without its videos."""
        return dict(load_file(self.folder(self.indices[position]) / "data.safetensors"))

    def write(self, index: int, episode: Episode) -> None:
        """Publish `episode` as number `index`; one that is already there stays."""
        final = self.folder(index)
        staged = final.with_name(f".{final.name}.{os.getpid()}")
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        self._fill(staged, episode)
        if final.exists():
            shutil.rmtree(staged)
        else:
            staged.rename(final)
        self.indices = _indices(self.root)

    def _fill(self, folder: Path, episode: Episode) -> None:
        write_video(folder / "human.mp4", episode.human, self.meta.rate_hz)
        write_video(folder / "robot.mp4", episode.robot, self.meta.rate_hz)
        arrays = {key: np.ascontiguousarray(getattr(episode, key)) for key in ARRAYS}
        save_file(arrays, folder / "data.safetensors")
        write_json(folder / "episode.json", {key: _plain(getattr(episode, key)) for key in FACTS})


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write `record` in one step: a reader sees the old file or the new one."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.write_text(json.dumps(record, indent=1, default=_plain) + "\n")
    staged.replace(path)


def _indices(root: Path) -> list[int]:
    matches = (_FOLDER.fullmatch(path.name) for path in (root / "episodes").glob("episode_*"))
    return sorted(int(match[1]) for match in matches if match)


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays, and mappings, as JSON knows them."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return dict(value) if hasattr(value, "items") else value
