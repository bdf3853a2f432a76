"""Episodes that are recorded and wait to be published, one folder each.

```
staging/episode_000123/
    human.mp4  robot.mp4         one frame per step
    data.safetensors             the arrays
    episode.json                 the facts
```

A folder is written under another name and renamed, so one of that name is always whole.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from h2r_bench.datasets.h264 import write_video
from h2r_bench.datasets.lerobot_format import (
    ARRAYS,
    FACTS,
    MAX_OBJECTS,
    DatasetError,
    DatasetMeta,
    plain,
    write_json,
)
from h2r_bench.types import Episode, Float32Array

_FOLDER = re.compile(r"episode_(\d{6})")
_SAMPLED = 20
"""Frames of each video whose pixels enter the statistics."""


def folder(root: Path, index: int) -> Path:
    """Where episode `index` waits."""
    return root / "staging" / f"episode_{index:06d}"


def staged(root: Path) -> set[int]:
    """Indices of the episodes that wait."""
    matches = (_FOLDER.fullmatch(path.name) for path in (root / "staging").glob("episode_*"))
    return {int(match[1]) for match in matches if match}


def stage(root: Path, index: int, episode: Episode, meta: DatasetMeta) -> None:
    """Write `episode` as number `index`; one that waits already stays.

    Raises:
        DatasetError: the episode does not fit the dataset; the message says why.
    """
    check(index, episode, meta)
    final = folder(root, index)
    part = final.with_name(f".{final.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        _fill(part, episode, meta)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise OSError(f"episode {index} could not be written to {final}: {error}") from error
    if final.exists():
        shutil.rmtree(part)
    else:
        part.rename(final)


def check(index: int, episode: Episode, meta: DatasetMeta) -> None:
    """Raise DatasetError unless the episode has the dataset's image size and one of everything per step."""
    width, height = meta.image_size
    for name in ("human", "robot"):
        shape = getattr(episode, name).shape
        if shape[1:] != (height, width, 3):
            raise DatasetError(f"episode {index}: {name} has frames {shape[1:]}, not {(height, width, 3)}")
    lengths = {name: len(getattr(episode, name)) for name in ("human", "robot", "state", "action")}
    if len(set(lengths.values())) > 1 or not len(episode):
        raise DatasetError(f"episode {index}: lengths differ or are zero: {lengths}")
    if episode.object_pose is not None and episode.object_pose.shape[1] > MAX_OBJECTS:
        raise DatasetError(
            f"episode {index}: {episode.object_pose.shape[1]} objects, at most {MAX_OBJECTS} fit"
        )


def _fill(part: Path, episode: Episode, meta: DatasetMeta) -> None:
    write_video(part / "human.mp4", episode.human, meta.rate_hz)
    write_video(part / "robot.mp4", episode.robot, meta.rate_hz)
    arrays = {key: np.ascontiguousarray(getattr(episode, key)) for key in ARRAYS if key != "object_pose"}
    save_file({**arrays, "object_pose": pad_objects(episode)}, part / "data.safetensors")
    facts = {key: plain(getattr(episode, key)) for key in FACTS}
    objects = 0 if episode.object_pose is None else episode.object_pose.shape[1]
    pixels = {name: pixel_statistics(getattr(episode, name)) for name in ("human", "robot")}
    write_json(part / "episode.json", {**facts, "objects": objects, "pixels": pixels})


def pad_objects(episode: Episode) -> Float32Array:
    """Object poses with zeros for props that are not there, shape (T, 9 MAX_OBJECTS)."""
    padded = np.zeros((len(episode), MAX_OBJECTS, 9), np.float32)
    if episode.object_pose is not None:
        padded[:, : episode.object_pose.shape[1]] = episode.object_pose
    return padded.reshape(len(episode), -1)


def pixel_statistics(frames: np.ndarray) -> dict[str, list[float]]:
    """Least, largest, mean and deviation of each channel over some frames, 0..1."""
    some = frames[np.linspace(0, len(frames) - 1, min(_SAMPLED, len(frames))).astype(int)] / 255.0
    flat = some.reshape(-1, 3)
    return {name: getattr(flat, name)(0).tolist() for name in ("min", "max", "mean", "std")}


def read_staged(root: Path, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays and facts of an episode that waits. Raises DatasetError where they are damaged."""
    place = folder(root, index)
    try:
        facts = json.loads((place / "episode.json").read_text())
        return dict(load_file(place / "data.safetensors")), facts
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{place} is damaged ({error}): delete it to record episode {index} again"
        ) from None
