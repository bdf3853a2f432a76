"""Is the arm where the bench thinks it is, and does the camera see it there? Refused unless both.

Three marks on the table, whose places on the bench are known, are touched with the closed gripper. They give
the pose of the arm's base (`Mount`) by the three-point alignment of section 3.1, `datasets.alignment`; unlike
a hand's workspace a table is rigid, so what the alignment would stretch or tilt is an error of touching.

The hand-eye check opens and closes the gripper at several places: only the fingers move, so the middle of
what changes in the picture is where the camera sees the tool. It must lie where the reference camera would
see it.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from h2r_bench import ranges
from h2r_bench.datasets.hand_robot_alignment import fit_alignment
from h2r_bench.envs.robot.model import FINGER_TIP_BELOW_TOOL
from h2r_bench.files import write_whole
from h2r_bench.ranges import Pixels
from h2r_bench.real.arms.mount import Mount
from h2r_bench.real.errors import SetupError
from h2r_bench.real.scene_cards.projection import ReferenceCamera
from h2r_bench.types import FloatArray, UInt8Array

MARKS = ((0.40, 0.20, 0.0), (0.60, -0.20, 0.0), (0.40, -0.20, 0.0))
"""The marks on the table [m], robot base frame, in the order of touching: q, p and o of the alignment."""
MAX_RESIDUAL = 0.005
"""Furthest a touched mark may be from where the fitted base puts it [m]."""
MAX_TILT_DEG = 1.5
"""The arm's base must stand this upright [degrees]."""
MAX_STRETCH = 0.03
"""Distances between marks must agree this well, as a share."""
MAX_OFF = 0.04
"""Furthest the camera may see the tool from where it should, as a share of the picture's height."""
MIN_PLACES = 4
"""Fewest places of a hand-eye check."""
FINGER_ABOVE_TOOL = 0.012
"""The middle of what is seen of the fingers lies this far above the tool point [m]."""
UP = np.array([0.0, 0.0, 1.0])
_CHANGE = 60.0
"""Pixels that change at least this much (sum of three channels) show something that moved."""
_FINGER_GAP = 0.04
"""Spots nearer to each other than twice this share of the picture's height belong together."""


class CalibrationError(SetupError):
    """A calibration that is missing or does not do; the message says what to do."""


@dataclass(frozen=True)
class MountFit:
    """Where the arm's base stands, and how well three touches agree on it."""

    mount: Mount
    residual: float
    """Largest distance between a mark and its touch [m]."""
    tilt_deg: float
    """How far from upright the touches say the base stands [degrees]."""
    stretch: float
    """Largest disagreement of distances, as a share."""

    def complaint(self) -> str:
        """What is wrong with it, empty when it does."""
        if self.stretch > MAX_STRETCH:
            return f"distances between marks are off by {100 * self.stretch:.1f} %: check where the marks lie"
        if self.tilt_deg > MAX_TILT_DEG:
            return f"the base seems tilted by {self.tilt_deg:.1f} degrees: touch the table, not above it"
        if self.residual > MAX_RESIDUAL:
            return f"a touch is off by {1000 * self.residual:.1f} mm: touch the marks again"
        return ""


def fit_mount(touched: ArrayLike, marks: ArrayLike = MARKS) -> MountFit:
    """Where the arm's base stands, from three touches.

    Args:
        touched: shape (3, 3), the tool's places in the arm's own base frame [m], tips on the marks.
        marks: shape (3, 3), the marks on the bench [m].

    Raises:
        CalibrationError: the points are too near each other or on one line.
    """
    points, places = np.asarray(touched, float), np.asarray(marks, float) + UP * FINGER_TIP_BELOW_TOOL
    try:
        alignment = fit_alignment(points, places, left_handed=False)
    except ValueError as error:
        raise CalibrationError(f"these touches do not do: {error}") from None
    turn = alignment.turn
    yaw = math.atan2(turn[1, 0], turn[0, 0])
    upright = np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
    offset = (places - points @ upright.T).mean(axis=0)
    residual = np.linalg.norm(points @ upright.T + offset - places, axis=1).max()
    tilt = math.degrees(math.acos(min(1.0, turn[2, 2])))
    stretch = float(np.abs(alignment.scale[:2] - 1.0).max())
    return MountFit(
        Mount(float(offset[0]), float(offset[1]), float(offset[2]), yaw), float(residual), tilt, stretch
    )


def find_fingers(opened: UInt8Array, closed: UInt8Array) -> FloatArray:
    """Column and row (2,) [pixels] of the middle of what changed between two pictures (H, W, 3).

    Raises CalibrationError when nothing did.
    """
    changed = np.abs(opened.astype(float) - closed.astype(float)).sum(axis=2) >= _CHANGE
    if not changed.any():
        raise CalibrationError("the camera does not see the gripper open and close: aim it at the workspace")
    # Fingers leave several spots near each other; noise leaves single ones elsewhere.
    reach = max(1, round(_FINGER_GAP * len(changed)))
    groups, _ = ndimage.label(ndimage.binary_dilation(changed, iterations=reach))
    fingers = changed & (groups == 1 + np.bincount(groups[changed])[1:].argmax())
    rows, columns = np.nonzero(fingers)
    # How much a pixel changes depends on what is behind it: only that it does counts.
    return np.array([(columns.min() + columns.max()) / 2.0, rows.mean()]) + 0.5


@dataclass(frozen=True)
class HandEye:
    """Where the camera sees the tool, beside where it should."""

    tool: tuple[tuple[float, ...], ...]
    """Places of the tool [m], robot base frame, gripper down."""
    seen: tuple[tuple[float, ...], ...]
    """Column and row [pixels] at each."""
    size: tuple[Pixels, Pixels]
    """Width and height of the picture [pixels]."""

    def off(self) -> FloatArray:
        """How far each place is seen from where it should be, shape (N,) [pixels]."""
        fingers = np.array(self.tool) + UP * FINGER_ABOVE_TOOL
        expected = ReferenceCamera(self.size).pixels(fingers)
        return np.asarray(np.linalg.norm(np.array(self.seen) - expected, axis=1))

    def complaint(self) -> str:
        """What is wrong with it, empty when it does."""
        if len(self.tool) < MIN_PLACES:
            return f"{len(self.tool)} places were looked at, at least {MIN_PLACES} are needed"
        allowed = MAX_OFF * self.size[1]
        if (worst := float(self.off().max())) > allowed:
            return (
                f"the camera sees the tool {worst:.1f} pixels off, {allowed:.1f} at most: aim it again with "
                "python -m h2r_bench.real.aim"
            )
        return ""


@dataclass(frozen=True)
class Calibration:
    """What is kept of a calibration, and asked for before trials."""

    arm: str
    host: str
    when: str
    """ISO 8601, UTC."""
    fit: MountFit
    touched: tuple[tuple[float, ...], ...]
    """The three touches in the arm's own frame [m]."""
    hand_eye: HandEye | None = None

    def complaint(self) -> str:
        """What is wrong with it, empty when it does."""
        if found := self.fit.complaint():
            return found
        return "the camera was not checked" if self.hand_eye is None else self.hand_eye.complaint()

    @property
    def mount_option(self) -> str:
        """The arm option that tells a driver."""
        mount = self.fit.mount
        return f"mount={mount.x:.5f},{mount.y:.5f},{mount.z:.5f},{mount.yaw:.5f}"

    def save(self, path: Path) -> None:
        """Write it as JSON, all or nothing. Raises CalibrationError for one that does not do."""
        if found := self.complaint():
            raise CalibrationError(f"not saved: {found}")
        write_whole(path, json.dumps(asdict(self), indent=2) + "\n")


def require_calibration(path: Path, arm: str, host: str) -> Calibration:
    """The saved calibration of this arm. Raises CalibrationError when there is none that does."""
    remedy = f"run python -m h2r_bench.real.calibrate --arm {arm}" + (f" --host {host}" if host else "")
    try:
        found = _read(json.loads(path.read_text()))
    except FileNotFoundError:
        raise CalibrationError(f"this arm was never calibrated: {remedy}") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CalibrationError(f"{path} is no calibration ({error}): {remedy}") from None
    if (found.arm, found.host) != (arm, host):
        raise CalibrationError(f"{path} is that of {found.arm} {found.host}: {remedy}")
    if complaint := found.complaint():
        raise CalibrationError(f"{path}: {complaint}; {remedy}")
    return found


def _read(record: dict[str, Any]) -> Calibration:
    """A calibration from JSON; nothing in it is believed that can be computed."""
    touched = _points(record["touched"], 3)
    eye = record["hand_eye"]
    hand_eye = eye and HandEye(_points(eye["tool"], 3), _points(eye["seen"], 2), _size(eye["size"]))
    if hand_eye and len(hand_eye.tool) != len(hand_eye.seen):
        raise ValueError(f"{len(hand_eye.tool)} places were looked at, {len(hand_eye.seen)} were seen")
    found = Calibration(record["arm"], record["host"], record["when"], fit_mount(touched), touched, hand_eye)
    ranges.check(found)
    return found


def _points(values: Any, dimensions: int) -> tuple[tuple[float, ...], ...]:
    array = np.asarray(values, float)
    if array.ndim != 2 or array.shape[1] != dimensions or not np.isfinite(array).all():
        raise ValueError(f"points must be finite and of {dimensions} numbers each")
    return tuple(tuple(row) for row in array.tolist())


def _size(values: Any) -> tuple[int, int]:
    if not (isinstance(values, list) and len(values) == 2 and all(isinstance(each, int) for each in values)):
        raise ValueError(f"a picture's size is two whole numbers, got {values!r}")
    return values[0], values[1]
