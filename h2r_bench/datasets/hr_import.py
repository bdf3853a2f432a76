"""The authors' own H&R episodes (HDF5) as episodes of this package (Human2Robot, section 3.2).

One file is one episode at 30 Hz; its folder is its task. What is read, and what becomes of it:

| key | stored as | becomes |
|---|---|---|
| `cam_data/human_camera`, `.../robot_camera` | (T, 240, 426, 3) uint8, BGR | RGB, resized |
| `end_position` | (T, 6) mm; degrees about fixed x, y, z | `state`, `action` |
| `gripper_state` | (T,) 1 = open | opening |
| `transformed_hand_coords` | (T, 24, 3) m, palm frame, wrist at 0 | pinch point, opening |
| `transformed_hand_frames` | (T, 4, 3) wrist [m], 3 axes, tracker frame | pinch point, turns |

Robot. The arm's base frame is taken for ours (x forward, y left, z up, table near z = 0), and its tool
point for the one between the finger tips. An xArm's gripper points straight down at a roll of 180 degrees
and opens along its tool's y; so roll 180, pitch 0, yaw 0 is our identity, and yaw is our yaw. The action is
the next pose that is kept, with its gripper state, the last one repeated: `action` in the files is a
controller's set point, absent from early recordings, and is not read.

Hand. The palm frame has y from the wrist to the knuckles and z along index knuckle × pinky knuckle, which
points out of a left palm and out of the back of a right hand; so the thumb's root tells the hands apart.
The three axes of the file, in the left-handed tracker frame, are: to the left of a hand laid palm down, out
of the palm, from wrist to knuckles. The pinch point is halfway between the tips of thumb and index finger.
Its position stays in the tracker frame unless an `Alignment` is given (the authors measured theirs at the
wrist). Its orientation is the robot's first one carried along by the turns of the hand, axes matched as in
the authors' teleoperation; so it is in the robot's base frame either way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from h2r_bench.datasets import DatasetError, DatasetMeta, EpisodeStore
from h2r_bench.datasets.hand_robot_alignment import Alignment
from h2r_bench.datasets.hr_files import CAMERAS, LEDGER, Raw, check_files, find_files, read_ledger, read_raw
from h2r_bench.datasets.lerobot_format import write_json
from h2r_bench.geometry import matrix_to_6d, matrix_to_rotvec
from h2r_bench.types import (
    CONTROL_HZ,
    DEFAULT_IMAGE_SIZE,
    INSTRUCTION_BYTES,
    Episode,
    Float32Array,
    FloatArray,
    UInt8Array,
)

SOURCE_HZ = 30.0
"""Rate of the recordings [Hz]."""
NOT_SIMULATED = 0
"""World version of recordings of the real world."""

THUMB_BASE, THUMB_TIP, INDEX_TIP = 2, 19, 20
"""Joints among the 24 of a Meta Quest hand: root of the thumb, tips of thumb and index finger."""
FULL_SPAN = 0.08
"""Distance of the finger tips [m] that counts as fully open, the stroke of a Franka Hand.

The authors' teleoperation opens the gripper above 0.06 m, an opening of 0.75 here.
"""
GRIPPER_DOWN_DEG = (180.0, 0.0, 0.0)
"""Roll, pitch and yaw of an xArm whose gripper points straight down [degrees]."""

_DOWN: FloatArray = Rotation.from_euler("xyz", GRIPPER_DOWN_DEG, degrees=True).as_matrix()
_HAND_TO_TOOL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
"""Axes of the hand (left, palm, knuckles) to those of the tool (x, z, y); mirrors, as the tracker does."""


@dataclass(frozen=True)
class ImportReport:
    """What `import_folder` did."""

    imported: int
    """Episodes written."""
    skipped: int
    """Episodes that had been imported before."""
    steps: int
    """Steps of the episodes written."""


def read_episode(
    path: Path,
    *,
    stride: int = 3,
    image_size: tuple[int, int] = DEFAULT_IMAGE_SIZE,
    alignment: Alignment | None = None,
) -> Episode:
    """One H&R file as an episode; `seed` is 0.

    Args:
        path: the file; the name of its folder is the task, and with spaces the instruction.
        stride: every `stride`-th step is kept; 3 gives 10 Hz.
        image_size: width and height [pixels], both even; pictures are stretched to it.
        alignment: from the hand tracker frame to the robot base frame, for the position of the hand.

    Raises:
        DatasetError: the file is not of this layout or damaged; the message names file and key.
        ValueError: a stride or size that does not do.
        RuntimeError: h5py is not installed.
    """
    _check_size(image_size)
    if stride < 1:
        raise ValueError(f"stride must be at least 1, got {stride}")
    raw = read_raw(path, stride)
    pose, tool = _robot_motion(path, raw)
    hand, hand_opening, facts = _hand_motion(path, raw, tool[0], alignment)
    task = path.resolve().parent.name
    steps = len(tool)
    opening = raw["gripper_state"].astype(np.float32)
    return Episode(
        human=_pictures(raw[CAMERAS[0]], image_size),
        robot=_pictures(raw[CAMERAS[1]], image_size),
        state=np.column_stack([pose[:, :3], matrix_to_6d(tool), opening]).astype(np.float32),
        action=_next(np.column_stack([pose, opening])).astype(np.float32),
        hand_pose=hand,
        hand_opening=hand_opening,
        human_frame_index=np.arange(steps),
        task=task,
        instruction=_instruction(path, task),
        success=True,
        seed=0,
        world=NOT_SIMULATED,
        cue="scene",
        scene={"source": f"{task}/{path.name}", **facts},
    )


def import_folder(
    source: Path,
    out: Path,
    *,
    rate_hz: float = CONTROL_HZ,
    image_size: tuple[int, int] = DEFAULT_IMAGE_SIZE,
    alignment: Alignment | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Write every H&R file under `source` into the dataset `out`.

    All files are looked over before the first is imported. Files imported before are skipped, so the same
    call goes on after an interruption or when files have been added.

    Args:
        source: folder with a folder of .hdf5 or .h5 files for each task.
        out: the dataset, new or begun with the same settings.
        rate_hz: steps per second [Hz]; 30 Hz divided by a whole number.
        image_size: width and height [pixels], both even.
        alignment: as for `read_episode`.
        progress: called with the number of files done and of all files, after each.

    Raises:
        DatasetError: no files, one of another layout or picture size, a damaged one, or `out` holds another
            dataset. What was imported before the error stays.
        ValueError: a rate or size that does not do.
        RuntimeError: h5py is not installed.
    """
    _check_size(image_size)
    stride = _stride(rate_hz)
    files = find_files(source)
    check_files(files)
    recipe = {"source": "H&R HDF5", "alignment": alignment.to_json() if alignment else None}
    store = EpisodeStore.create(out, DatasetMeta(NOT_SIMULATED, image_size, rate_hz, recipe=recipe))
    known = read_ledger(out)
    report = ImportReport(0, 0, 0)
    try:
        for done, path in enumerate(files, start=1):
            name = path.relative_to(source).as_posix()
            if name in known:
                report = replace(report, skipped=report.skipped + 1)
            else:
                episode = read_episode(path, stride=stride, image_size=image_size, alignment=alignment)
                _add(store, known, name, episode)
                report = replace(report, imported=report.imported + 1, steps=report.steps + len(episode))
            if progress is not None:
                progress(done, len(files))
    finally:
        store.publish()
    return report


def _add(store: EpisodeStore, known: dict[str, int], name: str, episode: Episode) -> None:
    """Write the next episode, then its file's name: an interruption in between writes the same again."""
    index = len(known)
    store.write(index, replace(episode, seed=index))
    store.publish(partial=False)
    known[name] = index
    write_json(store.root / LEDGER, known)


def _stride(rate_hz: float) -> int:
    stride = round(SOURCE_HZ / rate_hz) if rate_hz > 0 else 0
    if stride < 1 or abs(stride * rate_hz - SOURCE_HZ) > 1e-6:
        raise ValueError(f"rate_hz must be {SOURCE_HZ:g} divided by a whole number, got {rate_hz}")
    return stride


def _check_size(image_size: tuple[int, int]) -> None:
    if any(side < 2 or side % 2 for side in image_size):
        raise ValueError(f"image_size must be two even positive numbers, got {image_size}")


# --- conversions -----------------------------------------------------------------------------------------


def _pictures(frames: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """BGR frames (T, H, W, 3) as RGB of `size` (width, height), filtered against aliasing."""
    resized = [
        Image.fromarray(np.ascontiguousarray(frame[..., ::-1])).resize(size, Image.Resampling.LANCZOS)
        for frame in frames
    ]
    return np.stack([np.asarray(image, np.uint8) for image in resized])


def _robot_motion(path: Path, raw: Raw) -> tuple[FloatArray, FloatArray]:
    """Tool poses (T, 6) [m, rad] and orientations (T, 3, 3), relative to gripper-down, robot base frame."""
    gripper = raw["gripper_state"]
    low, high = gripper.min(), gripper.max()
    if low < 0.0 or high > 1.0:
        raise DatasetError(f"{path}: gripper_state spans {low:g} .. {high:g}, expected 0 .. 1")
    euler = raw["end_position"][:, 3:]
    tool = Rotation.from_euler("xyz", euler, degrees=True).as_matrix() @ _DOWN.T
    return np.column_stack([raw["end_position"][:, :3] / 1000.0, matrix_to_rotvec(tool)]), tool


def _next(values: FloatArray) -> FloatArray:
    """Each row's successor, the last one repeated."""
    return np.concatenate([values[1:], values[-1:]])


def _hand_opening(coords: FloatArray) -> Float32Array:
    """Opening (T,), 0 .. 1, from the distance of the tips in palm coordinates (T, 24, 3) [m]."""
    distance = np.linalg.norm(coords[:, THUMB_TIP] - coords[:, INDEX_TIP], axis=1)
    return np.clip(distance / FULL_SPAN, 0.0, 1.0).astype(np.float32)


def _hand_motion(
    path: Path, raw: Raw, first_tool: FloatArray, alignment: Alignment | None
) -> tuple[Float32Array, Float32Array, dict[str, Any]]:
    """Pinch poses (T, 6) [m, rad], openings (T,), and what is to be known about them."""
    coords, frames = raw["transformed_hand_coords"], raw["transformed_hand_frames"]
    kept, tracked = _last_tracked(path, frames[:, 1:])
    coords, wrist, axes = coords[kept], frames[kept, 0], np.swapaxes(frames[kept, 1:], 1, 2)
    side = _side(path, coords)
    across, along, normal = ((coords[:, THUMB_TIP] + coords[:, INDEX_TIP]) / 2).T
    # The file's first two axes are the palm frame's x and z, turned over for one hand or the other.
    local = np.stack([-side * across, side * normal, along], axis=1)
    pinch = wrist + np.einsum("tij,tj->ti", axes, local)
    turns = _HAND_TO_TOOL.T @ np.swapaxes(axes[:1], 1, 2) @ axes @ _HAND_TO_TOOL
    tool = first_tool @ _DOWN @ turns @ _DOWN.T
    position = pinch if alignment is None else alignment.apply(pinch)
    facts = {
        "hand": "left" if side > 0 else "right",
        "hand_frame": "tracker" if alignment is None else "robot_base",
        "hand_tracked": tracked,
    }
    pose = np.column_stack([position, matrix_to_rotvec(tool)]).astype(np.float32)
    return pose, _hand_opening(coords), facts


def _last_tracked(path: Path, axes: FloatArray) -> tuple[NDArray[np.int64], float]:
    """For each step the last one at which the hand was seen (at first, the next one), and the share seen.

    A hand that is lost leaves zeros; `axes` (T, 3, 3) are unit vectors wherever it is seen.
    """
    seen = (np.abs(np.linalg.norm(axes, axis=2) - 1.0) < 0.1).all(axis=1) & (np.linalg.det(axes) > 0.5)
    if not seen.any():
        raise DatasetError(f"{path}: transformed_hand_frames holds no right-angled axes of length 1")
    index = np.maximum.accumulate(np.where(seen, np.arange(len(seen)), -1))
    return np.where(index < 0, np.argmax(seen), index), float(seen.mean())


def _side(path: Path, coords: FloatArray) -> int:
    """1 for a left hand, -1 for a right one: the root of the thumb lies on the palm's side."""
    height = float(np.median(coords[:, THUMB_BASE, 2]))
    if abs(height) < 0.001:
        raise DatasetError(
            f"{path}: transformed_hand_coords tells no left hand from a right one: the root of the thumb is "
            f"{1000 * height:.2f} mm off the palm"
        )
    return 1 if height > 0 else -1


def _instruction(path: Path, task: str) -> str:
    instruction = " ".join(task.replace("_", " ").split())
    if len(instruction.encode()) > INSTRUCTION_BYTES:
        raise DatasetError(f"{path}: the name of its folder has over {INSTRUCTION_BYTES} bytes")
    return instruction
