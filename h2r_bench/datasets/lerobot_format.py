"""The layout of a dataset on disk: LeRobotDataset v3.0, with what is ours beside it.

```
meta/info.json                                    rate, features, totals; our own under "h2r_bench"
meta/stats.json  meta/tasks.parquet               statistics of every feature; instructions by number
meta/episodes/chunk-000/file-000.parquet          one row per episode: where its data is, its facts
data/chunk-000/file-000.parquet                   one row per step, one row group per episode
videos/<key>/chunk-000/file-000.mp4               H.264, episodes one after another
staging/episode_000123/                           recorded, not yet published
```

A shard is one file of each kind, with the same number. Its file in `meta/episodes` comes last and by one
rename: a shard without it does not exist.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from h2r_bench.files import replacing, write_whole
from h2r_bench.types import ACTION_DIM, CONTROL_HZ, DEFAULT_IMAGE_SIZE, STATE_DIM

LEROBOT_VERSION = "v3.0"
SCHEMA_VERSION = 2
"""Bumped when our own part of the files changes its meaning."""
INFO_FILE = "meta/info.json"
STATS_FILE = "meta/stats.json"
TASKS_FILE = "meta/tasks.parquet"
VIDEO_KEYS = {"robot": "observation.images.robot", "human": "observation.images.human"}
"""Fields of an episode to keys of videos."""
MAX_OBJECTS = 8
"""Most props in a scene; object poses are padded with zeros up to it."""
EPISODES_PER_SHARD = 50
SHARDS_PER_CHUNK = 1000

ARRAYS: dict[str, tuple[str, int]] = {
    "state": ("observation.state", STATE_DIM),
    "action": ("action", ACTION_DIM),
    "hand_pose": ("observation.hand_pose", 6),
    "hand_opening": ("observation.hand_opening", 1),
    "human_frame_index": ("human_frame_index", 1),
    "object_pose": ("observation.object_pose", 9 * MAX_OBJECTS),
}
"""Arrays of an episode to columns and the number of values in each step."""
FACTS = (
    "task", "instruction", "success", "seed", "world", "cue", "shift_cm", "scene", "failures",
)  # fmt: skip
"""Fields of an episode that hold for all its steps."""
COUNTERS = ("frame_index", "episode_index", "index", "task_index")
"""LeRobot's own whole numbers in each step."""

_NAMES = {
    "observation.state": ["x", "y", "z", "r11", "r21", "r31", "r12", "r22", "r32", "gripper"],
    "action": ["x", "y", "z", "rx", "ry", "rz", "gripper"],
    "observation.hand_pose": ["x", "y", "z", "rx", "ry", "rz"],
}


class DatasetError(ValueError):
    """A dataset folder that is absent, of another kind, or damaged."""


@dataclass(frozen=True)
class DatasetMeta:
    """What holds for every episode of a dataset."""

    world: int
    """World version the episodes were recorded in; 0 for real recordings."""
    image_size: tuple[int, int] = DEFAULT_IMAGE_SIZE
    """Width and height of both videos [pixels]."""
    rate_hz: float = CONTROL_HZ
    """Frames, states and actions per second [Hz]."""
    seed: int = 0
    """Seed all episodes follow from."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """What else decides the contents (tasks, shares); JSON-able."""
    schema: int = SCHEMA_VERSION
    """Version of our own part of the layout."""

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form that `from_json` takes back unchanged."""
        return {**asdict(self), "image_size": list(self.image_size)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> DatasetMeta:
        """The inverse of `to_json`."""
        meta = cls(**record)
        return replace(meta, image_size=(int(meta.image_size[0]), int(meta.image_size[1])))


def shard_path(root: Path, kind: str, shard: int, suffix: str = ".parquet") -> Path:
    """The file of `kind` ("data", "meta/episodes", "videos/<key>") of shard number `shard`."""
    chunk, file = divmod(shard, SHARDS_PER_CHUNK)
    return root / kind / f"chunk-{chunk:03d}" / f"file-{file:03d}{suffix}"


def features(meta: DatasetMeta) -> dict[str, Any]:
    """LeRobot's description of every feature."""
    width, height = meta.image_size
    video = {
        "video.fps": meta.rate_hz, "video.height": height, "video.width": width, "video.channels": 3,
        "video.codec": "h264", "video.pix_fmt": "yuv420p", "video.is_depth_map": False, "has_audio": False,
    }  # fmt: skip
    described: dict[str, Any] = {
        key: {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": video,
        }
        for key in VIDEO_KEYS.values()
    }
    for name, (column, size) in ARRAYS.items():
        kind = "int64" if name == "human_frame_index" else "float32"
        described[column] = {"dtype": kind, "shape": [size], "names": _NAMES.get(column)}
    described["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    described |= {name: {"dtype": "int64", "shape": [1], "names": None} for name in COUNTERS}
    return described


def info(meta: DatasetMeta, episodes: int, steps: int, tasks: int) -> dict[str, Any]:
    """The content of meta/info.json."""
    pattern = "chunk-{chunk_index:03d}/file-{file_index:03d}"
    return {
        "codebase_version": LEROBOT_VERSION,
        "robot_type": "franka_panda",
        "total_episodes": episodes,
        "total_frames": steps,
        "total_tasks": tasks,
        "chunks_size": SHARDS_PER_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": int(meta.rate_hz) if float(meta.rate_hz).is_integer() else meta.rate_hz,
        "splits": {"train": f"0:{episodes}"},
        "data_path": f"data/{pattern}.parquet",
        "video_path": f"videos/{{video_key}}/{pattern}.mp4",
        "features": features(meta),
        "h2r_bench": meta.to_json(),
    }


def step_schema() -> pa.Schema:
    """Columns of data/*.parquet."""
    columns = []
    for name, (column, size) in ARRAYS.items():
        kind = pa.int64() if name == "human_frame_index" else pa.float32()
        columns.append((column, kind if size == 1 else pa.list_(kind, size)))
    columns.append(("timestamp", pa.float32()))
    return pa.schema([*columns, *((name, pa.int64()) for name in COUNTERS)])


def write_tasks(root: Path, tasks: list[str]) -> None:
    """meta/tasks.parquet: the instructions as the index of a pandas table, as LeRobot reads it."""
    index = "__index_level_0__"
    number = {
        "name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64",
        "metadata": None,
    }  # fmt: skip
    text = {
        "name": None, "field_name": index, "pandas_type": "unicode", "numpy_type": "object", "metadata": None,
    }  # fmt: skip
    pandas = {
        "index_columns": [index], "column_indexes": [], "columns": [number, text], "pandas_version": "2.2.0",
    }  # fmt: skip
    table = pa.table(
        {"task_index": pa.array(range(len(tasks)), pa.int64()), index: pa.array(tasks, pa.string())}
    )
    table = table.replace_schema_metadata({"pandas": json.dumps(pandas)})
    write_parquet(root / TASKS_FILE, table)


def read_tasks(root: Path) -> list[str]:
    """The instructions in the order of their numbers; none in a dataset that is not begun."""
    path = root / TASKS_FILE
    if not path.exists():
        return []
    table = pq.read_table(path)
    return list(table.column(table.column_names[1]).to_pylist())


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table in one step: a reader sees the old file or the new one."""
    with replacing(path) as staged:
        pq.write_table(table, staged, compression="zstd")


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write `record` in one step: a reader sees the old file or the new one."""
    write_whole(path, json.dumps(record, indent=1, default=plain) + "\n")


def plain(value: Any) -> Any:
    """NumPy scalars and arrays, and mappings, as JSON knows them."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return dict(value) if hasattr(value, "items") else value
