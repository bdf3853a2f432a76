"""Three matched points carry hand coordinates into the robot's frame (Human2Robot, section 3.1).

A person rests the wrist at three places of the human's workspace; the same three places are known in the
robot's. In the order of resting they are

    q   on the y axis,    p   on the side of x,    o   the origin (the third rest),

and in either frame the axes of the workspace are

    y = (q - o) / |q - o|,    x = the part of (p - o) orthogonal to y, normalised,    z = ±(x × y).

The cross product turns the other way in a left-handed frame, such as a Meta Quest headset's (Unity): there z
takes the minus sign, so that "up" stays up. Along each axis a length of the hand is stretched to the robot's,
so that the arm covers as much of its picture as the hand does.

Scale. Three points measure two lengths. Along y it is |q - o|; along x it is the part of p - o orthogonal to
y, because that alone is carried by x (the authors' code takes all of |p - o|, which is the same where the
corner is square and misses p otherwise). No point lies off the plane, so the scale of z is not measured: it
is the geometric mean of the other two unless given. That mean is theirs where both agree, and it is undone
exactly by the inverse, which an arithmetic mean is not. The authors set it by hand, to 1.2.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from h2r_bench.types import FloatArray

if TYPE_CHECKING:
    from pathlib import Path

MIN_SIDE = 0.05
"""Least distance between two anchors [m]: a wrist rests to 1 cm, so nearer ones give no direction."""
MIN_CORNER_DEG = 10.0
"""Least angle at the origin between p and q, and its supplement [degrees]; flatter ones fix no plane."""
REST_RADIUS = 0.01
"""A resting wrist stays this near to one place [m]."""
REST_SECONDS = 2.0
"""... for longer than this [s]."""

_NAMES = ("first (q)", "second (p)", "third (o)")


@dataclass(frozen=True, eq=False)
class Alignment:
    """A similarity of two workspaces, stretched along each axis; made by `fit_alignment`."""

    source_origin: FloatArray
    """Shape (3,): origin of the workspace in the source frame (the hand tracker) [m]."""
    source_axes: FloatArray
    """Shape (3, 3): its x, y and z axis in the source frame, as columns."""
    target_origin: FloatArray
    """Shape (3,): origin of the workspace in the target frame (the robot's base) [m]."""
    target_axes: FloatArray
    """Shape (3, 3): its x, y and z axis in the target frame, as columns."""
    scale: FloatArray
    """Shape (3,): length in the target over length in the source, along x, y and z."""

    @property
    def turn(self) -> FloatArray:
        """Shape (3, 3): carries directions over. Determinant -1 where just one frame is left-handed."""
        return self.target_axes @ self.source_axes.T

    def apply(self, points: ArrayLike) -> FloatArray:
        """Points (..., 3) [m] of the source frame in the target frame."""
        local = (np.asarray(points, np.float64) - self.source_origin) @ self.source_axes
        return self.target_origin + (local * self.scale) @ self.target_axes.T

    def apply_directions(self, directions: ArrayLike) -> FloatArray:
        """Directions (..., 3) in the target frame: turned, never stretched, so right angles stay."""
        return np.asarray(directions, np.float64) @ self.turn.T

    def apply_rotations(self, rotations: ArrayLike) -> FloatArray:
        """Rotations (..., 3, 3) *of* things, given in the source frame, as the target frame sees them.

        A rotation stays one (determinant +1) where the frames differ in handedness.
        """
        return self.turn @ np.asarray(rotations, np.float64) @ self.turn.T

    def apply_frames(self, frames: ArrayLike) -> FloatArray:
        """Hand frames (..., 4, 3), each an origin [m] and three axes as rows, in the target frame.

        The axes are carried one by one: between frames of unlike handedness a triad changes its own.
        """
        frames = np.asarray(frames, np.float64)
        origin, axes = self.apply(frames[..., :1, :]), self.apply_directions(frames[..., 1:, :])
        return np.concatenate([origin, axes], axis=-2)

    @property
    def inverse(self) -> Alignment:
        """The way back, from the target frame to the source frame."""
        return Alignment(
            self.target_origin, self.target_axes, self.source_origin, self.source_axes, 1.0 / self.scale
        )

    def to_json(self) -> dict[str, list[Any]]:
        """A JSON-able record of the five arrays."""
        return {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}


def fit_alignment(
    hand: ArrayLike, robot: ArrayLike, *, left_handed: bool, height_scale: float | None = None
) -> Alignment:
    """The alignment that carries three points of the hand onto three of the robot (section 3.1).

    o and q are met exactly. p is met where its share along y scales as q does; else it is off along y alone.

    Args:
        hand: shape (3, 3), rows q, p, o in the order of resting, hand tracker frame [m].
        robot: shape (3, 3), the same places in the robot base frame [m], which is right-handed.
        left_handed: whether the hand tracker's frame is left-handed; True for a Meta Quest.
        height_scale: scale along z; None takes the geometric mean of those along x and y.

    Raises:
        ValueError: points of another shape, not finite, nearer than `MIN_SIDE` or all but on one line, or a
            scale that is not positive.
    """
    source_axes, source_lengths = _workspace(hand, "hand", left_handed)
    target_axes, target_lengths = _workspace(robot, "robot", left_handed=False)
    x, y = target_lengths / source_lengths
    z = float(np.sqrt(x * y)) if height_scale is None else height_scale
    if not (np.isfinite(z) and z > 0):
        raise ValueError(f"height_scale must be positive and finite, got {height_scale}")
    origins = [np.asarray(points, np.float64)[2] for points in (hand, robot)]
    return Alignment(origins[0], source_axes, origins[1], target_axes, np.array([x, y, z]))


def load_alignment(path: Path) -> Alignment:
    """The alignment of a JSON file with the arguments of `fit_alignment`.

    Keys: "hand" and "robot" (3, 3) [m], "left_handed", and, if wanted, "height_scale".

    Raises:
        ValueError: the file is not such JSON, or its points do not do; the message names the file.
        OSError: the file cannot be read.
    """
    try:
        record = json.loads(path.read_text())
        if not isinstance(record, dict) or not isinstance(record.get("left_handed"), bool):
            raise ValueError('an object with "hand", "robot" and "left_handed" (true or false) is expected')
        return fit_alignment(**record)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} gives no alignment: {error}") from None


def _workspace(points: ArrayLike, whose: str, left_handed: bool) -> tuple[FloatArray, FloatArray]:
    """Axes of the workspace as columns (3, 3), and the lengths measured along x and y (2,) [m]."""
    q, p, o = _checked(points, whose)
    y_length = np.linalg.norm(q - o)
    y = (q - o) / y_length
    across = (p - o) - ((p - o) @ y) * y
    x_length = np.linalg.norm(across)
    x = across / x_length
    z = -np.cross(x, y) if left_handed else np.cross(x, y)
    return np.column_stack([x, y, z]), np.array([x_length, y_length])


def _checked(points: ArrayLike, whose: str) -> FloatArray:
    """`points` as (3, 3) floats, if they span a plane."""
    found = np.asarray(points, np.float64)
    if found.shape != (3, 3):
        raise ValueError(f"{whose} anchors must be three points, shape (3, 3); got shape {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError(f"{whose} anchors must be finite; got {found.tolist()}")
    for one, other in ((0, 1), (0, 2), (1, 2)):
        apart = float(np.linalg.norm(found[one] - found[other]))
        if apart < MIN_SIDE:
            raise ValueError(
                f"{whose} anchors are too near each other: {_NAMES[one]} and {_NAMES[other]} are "
                f"{100 * apart:.1f} cm apart, at least {100 * MIN_SIDE:.0f} cm are needed"
            )
    _check_corner(found, whose)
    return found


def _check_corner(points: FloatArray, whose: str) -> None:
    to_q, to_p = points[0] - points[2], points[1] - points[2]
    corner = np.degrees(np.arctan2(np.linalg.norm(np.cross(to_p, to_q)), to_p @ to_q))
    if not MIN_CORNER_DEG <= corner <= 180.0 - MIN_CORNER_DEG:
        raise ValueError(
            f"{whose} anchors lie nearly on one line: the angle at the third is {corner:.1f} degrees, "
            f"between {MIN_CORNER_DEG:.0f} and {180 - MIN_CORNER_DEG:.0f} are needed"
        )


@dataclass(frozen=True, eq=False)
class Rest:
    """A stretch of a track during which the wrist stayed at one place."""

    start_s: float
    """When it began [s] since the first sample."""
    end_s: float
    """When it ended [s]."""
    place: FloatArray
    """Shape (3,): median position [m]."""

    def __str__(self) -> str:
        x, y, z = self.place
        return f"({x:.3f}, {y:.3f}, {z:.3f}) m from {self.start_s:.1f} to {self.end_s:.1f} s"


def find_rests(
    track: ArrayLike, rate_hz: float, *, radius: float = REST_RADIUS, seconds: float = REST_SECONDS
) -> list[Rest]:
    """Where a tracked wrist stayed within `radius` of one place for longer than `seconds`, in order.

    A rest broken off for a moment and taken up at the same place counts once; a slow drift is none.

    Args:
        track: shape (T, 3), position of the wrist [m].
        rate_hz: samples per second [Hz].
        radius: how far a resting wrist may be from the mean of every `seconds` [m].
        seconds: how long it must stay [s].

    Raises:
        ValueError: a track of another shape or with samples that are not finite, or a rate, radius or time
            that is not positive.
    """
    positions = _checked_track(track, rate_hz, radius, seconds)
    span = int(np.floor(seconds * rate_hz + 1e-9)) + 2  # samples that cover just over `seconds`
    if len(positions) < span:
        return []
    windows = sliding_window_view(positions, span, axis=0)
    off = np.linalg.norm(windows - windows.mean(-1, keepdims=True), axis=1).max(-1)
    still = np.flatnonzero(off <= radius)
    runs = [run for run in np.split(still, np.flatnonzero(np.diff(still) > 1) + 1) if len(run)]
    rests: list[Rest] = []
    for run in runs:
        _add_rest(rests, positions, range(int(run[0]), int(run[-1]) + span), rate_hz, radius)
    return rests


def find_anchors(track: ArrayLike, rate_hz: float) -> FloatArray:
    """The three places at which a tracked wrist rested, in order: what `fit_alignment` takes as `hand`.

    Args:
        track: shape (T, 3), position of the wrist [m].
        rate_hz: samples per second [Hz].

    Returns:
        Shape (3, 3), rows q, p, o [m].

    Raises:
        ValueError: other than three rests, with where and when they were; or as `find_rests` does.
    """
    rests = find_rests(track, rate_hz)
    if len(rests) != 3:
        where = "; ".join(str(rest) for rest in rests) or "none"
        raise ValueError(
            f"the wrist must rest at three places for over {REST_SECONDS:g} s each, within "
            f"{100 * REST_RADIUS:g} cm; found {len(rests)}: {where}"
        )
    return np.stack([rest.place for rest in rests])


def _checked_track(track: ArrayLike, rate_hz: float, radius: float, seconds: float) -> FloatArray:
    positions = np.asarray(track, np.float64)
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise ValueError(f"a track has shape (T, 3); got {positions.shape}")
    broken = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(broken):
        raise ValueError(f"{len(broken)} samples of the track are not finite, the first is {broken[0]}")
    for name, value in (("rate_hz", rate_hz), ("radius", radius), ("seconds", seconds)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, got {value}")
    return positions


def _add_rest(rests: list[Rest], track: FloatArray, samples: range, rate_hz: float, radius: float) -> None:
    """Append a rest over `samples`, or lengthen the last one where the place is the same."""
    part = track[samples.start : samples.stop]
    place = np.median(part, axis=0)
    # Windows that are each at rest can add up to a slow drift; a wrist at rest has one place.
    if np.linalg.norm(part - place, axis=1).max() > 2 * radius:
        return
    start, end = samples.start / rate_hz, (samples.stop - 1) / rate_hz
    if rests and np.linalg.norm(rests[-1].place - place) <= 2 * radius:
        start, place = rests[-1].start_s, (rests.pop().place + place) / 2
    rests.append(Rest(start, end, place))
