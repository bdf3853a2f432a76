"""How a right arm holds the hand: pitch of the palm about the pinch axis, elbow, twist of the forearm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from h2r_bench.envs.hand.skeleton import FOREARM_LENGTH

if TYPE_CHECKING:
    from h2r_bench.types import FloatArray

SHOULDER = np.array([-0.10, -0.18, 0.38])
"""Right shoulder of a person who sits at the robot's base [m], base frame; leans to where it is needed."""

ELBOW = np.array([0.02, -0.20, 0.22])
"""Where the right elbow rests [m], robot base frame."""

LOWEST_ELBOW = 0.075
"""The elbow keeps this far above the table [m]."""

WRIST_RELIEF = 0.9
"""How much the forearm turns from the line elbow to wrist towards the hand: 0 not at all, 1 half way."""

FOREARM_PULL, FINGERS_PULL, BACK_PULL = 1.0, 1.0, 0.6
"""Weights in the choice of the palm's pitch: palm along the forearm, fingers along the approach, back up."""

FINGERS_DIRECTION = np.array([0.35, -0.1, -0.93])
"""Where the bent thumb and index point, palm frame."""

UP = np.array([0.0, 0.0, 1.0])


def palm_orientation(
    position: FloatArray, axis: FloatArray, approach: FloatArray, pinch: FloatArray
) -> FloatArray:
    """Orientation of the palm (3, 3), columns in the world, right hand.

    The pinch axis, from index to thumb (`pinch` (3,), unit, palm frame), lies on `axis` (3,), the tool's y;
    the turn about it is the best weighted fit of the directions the wrist and the fingers would like.
    """
    own = np.array([[1.0, 0.0, 0.0], FINGERS_DIRECTION, UP])
    forward = position - ELBOW
    wanted = np.array([FOREARM_PULL * unit(forward), FINGERS_PULL * approach, BACK_PULL * UP])
    base = _frame_about(pinch, np.array([1.0, 0.0, 0.0])).T
    world = _frame_about(axis, np.array([0.0, 0.0, 1.0]))
    a, b = own @ base.T, wanted @ world
    turn = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a[:, :2] * b[:, :2]).sum())
    cosine, sine = np.cos(turn), np.sin(turn)
    about = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    palm: FloatArray = world @ about @ base
    return palm


def arm_pose(wrist: FloatArray, palm: FloatArray, scale: float) -> tuple[FloatArray, FloatArray]:
    """Origins (5, 3) [m] and orientations (5, 3, 3) of `ARM_BONES` in the world, right arm."""
    along = forearm_direction(wrist, palm)
    elbow = wrist - scale * FOREARM_LENGTH * along
    shoulder_line = unit(elbow - SHOULDER)
    elbow_frame = _frame_along(along, UP)
    twist = _twist_about_x(elbow_frame.T @ palm)
    upper_frame = _swing(elbow_frame, shoulder_line)
    rotations = [
        palm,
        elbow_frame @ _turn_x(twist),
        elbow_frame @ _turn_x(twist / 2),
        elbow_frame,
        upper_frame,
    ]
    return np.stack([wrist, elbow, elbow, elbow, elbow]), np.stack(rotations)


def forearm_direction(wrist: FloatArray, palm: FloatArray) -> FloatArray:
    """Unit vector (3,) from elbow to wrist: from the resting elbow, turned to the hand, above the table."""
    along = unit(unit(wrist - ELBOW) + WRIST_RELIEF * palm[:, 0])
    steepest = (wrist[2] - LOWEST_ELBOW) / FOREARM_LENGTH
    if along[2] > steepest:
        along = unit(np.array([along[0], along[1], steepest]))
    return along


def unit(vector: FloatArray) -> FloatArray:
    """`vector` (3,) scaled to length one."""
    scaled: FloatArray = vector / np.sqrt(vector @ vector)
    return scaled


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Cross product of two 3-vectors; np.cross is ten times slower on single vectors."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def _frame_about(axis: FloatArray, towards: FloatArray) -> FloatArray:
    """A frame (3, 3) whose z column is `axis` and whose x column leans to `towards`."""
    x = unit(towards - (towards @ axis) * axis)
    return np.stack([x, _cross(axis, x), axis], axis=1)


def _frame_along(axis: FloatArray, up: FloatArray) -> FloatArray:
    """A frame (3, 3) whose x column is along `axis` and whose z column leans to `up`."""
    x = unit(axis)
    z = unit(up - (up @ x) * x)
    return np.stack([x, _cross(z, x), z], axis=1)


def _twist_about_x(rotation: FloatArray) -> float:
    """The turn about x [rad] in the swing-twist decomposition of `rotation` (3, 3)."""
    return float(np.arctan2(rotation[2, 1] - rotation[1, 2], rotation[1, 1] + rotation[2, 2]))


def _turn_x(angle: float) -> FloatArray:
    """Rotation about x by `angle` [rad], shape (3, 3)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _swing(frame: FloatArray, direction: FloatArray) -> FloatArray:
    """`frame` (3, 3) swung the shortest way so that its x column is along `direction` (3,)."""
    x = frame[:, 0]
    axis, cosine = _cross(x, direction), float(x @ direction)
    cross = np.array([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    turn = np.eye(3) + cross + cross @ cross / max(1.0 + cosine, 1e-3)
    swung: FloatArray = turn @ frame
    return swung
