"""Finding, checking and reading the authors' H&R files (HDF5); what they mean is in `hr_import`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2r_bench.datasets.lerobot_format import DatasetError

LEDGER = "imported.json"
"""Which file became which episode, beside the dataset."""
CAMERAS = ("cam_data/human_camera", "cam_data/robot_camera")
LAYOUT: dict[str, tuple[int | None, ...]] = {
    CAMERAS[0]: (None, None, 3),
    CAMERAS[1]: (None, None, 3),
    "end_position": (6,),
    "gripper_state": (),
    "transformed_hand_coords": (24, 3),
    "transformed_hand_frames": (4, 3),
}
"""Keys that are read, and the shape of one step; None is any size."""

Raw = dict[str, NDArray[Any]]
"""Arrays of one file, by key."""


def read_raw(path: Path, stride: int) -> Raw:
    """Every `stride`-th step of one file: pictures as stored (BGR), numbers as float64, all finite.

    Raises DatasetError for a file of another layout or a damaged one, and RuntimeError without h5py.
    """
    with _opened(path) as file:
        _check_layout(path, file)
        return {key: _read(path, file, key, stride) for key in LAYOUT}


def find_files(source: Path) -> list[Path]:
    """The .hdf5 and .h5 files under `source`, episode_2 before episode_10. Raises DatasetError for none."""
    if not source.is_dir():
        raise DatasetError(f"{source} is not a folder")
    files = [path for suffix in ("hdf5", "h5") for path in source.rglob(f"*.{suffix}")]
    files = [path for path in files if path.is_file() and not path.name.startswith(".")]
    if not files:
        raise DatasetError(f"{source} holds no .hdf5 or .h5 files")
    return sorted(files, key=lambda path: [_natural(part) for part in path.parts])


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import h5py
    except ImportError:
        raise RuntimeError("H&R files are read by h5py: pip install 'h2r-bench[hdf5]'") from None
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DatasetError(f"{path} cannot be read as HDF5: {error}") from None
    with file:
        yield file


def check_files(files: list[Path]) -> None:
    """Look at the layout of every file; their pictures must be of one size."""
    first: tuple[int, ...] | None = None
    for path in files:
        with _opened(path) as file:
            size = _check_layout(path, file)
        first = first or size
        if size != first:
            raise DatasetError(
                f"{path}: {CAMERAS[0]} has pictures of {size[1]}x{size[0]}, "
                f"{files[0]} has {first[1]}x{first[0]}"
            )


def _check_layout(path: Path, file: Any) -> tuple[int, ...]:
    """Height and width of the pictures of `file`. Raises DatasetError, naming the key, for another layout."""
    steps: int | None = None
    for key, shape in LAYOUT.items():
        found = _shape(path, file, key)
        if len(found) != 1 + len(shape) or any(
            size not in (None, have) for have, size in zip(found[1:], shape, strict=True)
        ):
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise DatasetError(f"{path}: {key} has shape {found}, expected (T, {wanted})")
        steps = found[0] if steps is None else steps
        if found[0] != steps or steps < 2:
            raise DatasetError(f"{path}: {key} has {found[0]} steps, {CAMERAS[0]} has {steps}; at least 2")
    human, robot = (_shape(path, file, key)[1:3] for key in CAMERAS)
    if human != robot:
        raise DatasetError(f"{path}: {CAMERAS[1]} has pictures of {robot}, {CAMERAS[0]} of {human} (H, W)")
    return human


def _shape(path: Path, file: Any, key: str) -> tuple[int, ...]:
    """Shape of a dataset that is there and of a type that can be used."""
    try:
        dataset = file.get(key)
        shape, dtype = getattr(dataset, "shape", None), getattr(dataset, "dtype", None)
    except (OSError, KeyError, RuntimeError) as error:
        raise DatasetError(f"{path}: {key} is damaged: {error}") from None
    if shape is None or dtype is None:
        raise DatasetError(f"{path}: {key} is missing; it is no H&R episode")
    if dtype != np.uint8 if key in CAMERAS else dtype.kind not in "fiu":
        raise DatasetError(f"{path}: {key} is {dtype}, expected {'uint8' if key in CAMERAS else 'numbers'}")
    return tuple(int(size) for size in shape)


def _read(path: Path, file: Any, key: str, stride: int) -> NDArray[Any]:
    """Every `stride`-th step of one dataset; numbers as float64, all finite."""
    try:
        values: NDArray[Any] = file[key][::stride]
    except (OSError, KeyError, RuntimeError) as error:
        raise DatasetError(f"{path}: {key} is damaged: {error}") from None
    if key in CAMERAS:
        return values
    broken = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if len(broken):
        raise DatasetError(f"{path}: {key} is not finite at step {broken[0] * stride}")
    return values.astype(np.float64)


def read_ledger(out: Path) -> dict[str, int]:
    """Files imported into the dataset `out` before, to the index of their episode."""
    path = out / LEDGER
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except ValueError as error:
        raise DatasetError(f"{path} is not readable as JSON: {error}") from None
