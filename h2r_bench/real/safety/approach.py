"""The straight way between two poses, in small steps, and when it is done."""

from __future__ import annotations

import numpy as np

from h2r_bench.motion import ToolPose
from h2r_bench.real.arms.base import ArmState

SETTLED = 0.001
"""`move_to` is done this near to its goal [m] ..."""
ARRIVED, SETTLE_S = 0.006, 0.5
"""... or this near [m] for this long [s]: an arm has its own steady error."""
TURN_AS_WAY = 0.2
"""A turn by a radian takes as long, and counts as much, as this much way [m]."""


def nearer(start: ToolPose, goal: ToolPose, step: float) -> ToolPose:
    """One step [m] from `start` towards `goal`; the turn keeps pace with the way."""
    way = goal.position - start.position
    turn = goal.rotvec - start.rotvec
    length = max(float(np.linalg.norm(way)), TURN_AS_WAY * float(np.linalg.norm(turn)))
    share = 1.0 if length <= step else step / length
    return ToolPose(start.position + share * way, start.rotvec + share * turn)


def distance(state: ArmState, goal: ToolPose) -> float:
    """How far the tool is from `goal` [m]; a turn by a radian counts as 20 cm."""
    off = float(np.linalg.norm(state.position - goal.position))
    return max(off, TURN_AS_WAY * float(np.linalg.norm(state.rotation - goal.rotvec)))
