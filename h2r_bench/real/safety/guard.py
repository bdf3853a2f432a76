"""What of an action may be commanded, decided by arithmetic alone: no clock, no thread, no driver.

Every position that `Guard.decide` lets through lies on the straight line between a place in the box and the
wanted one brought inside it, so the box is never left. That place is where the arm really goes: after a pose
out of reach not the pose decided. No step is longer than allowed from either.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from h2r_bench.envs.robot.control import limit_target
from h2r_bench.geometry import matrix_to_rotvec, rotvec_to_matrix, yaw_of
from h2r_bench.motion import GripperLatch, ToolPose
from h2r_bench.real.safety.limits import SafetyLimits
from h2r_bench.types import ACTION_DIM, CONTROL_HZ, FloatArray, MotionLimits

EPSILON = 1e-6
"""Rounding allowed beyond a limit [m, rad, m/s, rad/s]."""
ABSURD = 100.0
"""Numbers larger than this are no metres and no radians, and are refused like those that are not finite."""
REACH_BACK = 0.01
"""A tool measured this far outside the box still counts as on its edge [m]."""


@dataclass(frozen=True)
class Decision:
    """What may be commanded."""

    pose: ToolPose | None
    """The tool target, or None where nothing may be commanded."""
    gripper_open: bool | None
    """What the gripper shall newly do, None for nothing new."""
    active_limits: tuple[str, ...]
    """Names of the limits that changed or refused the action."""


@dataclass
class Guard:
    """The memory the limits need: where the last target was, what the arm made of it, how fast, when."""

    limits: SafetyLimits
    pose: ToolPose | None = None
    """The last target, None before `anchor`."""
    _taken: ToolPose | None = None
    """Where the arm was really told to go: the target, unless `record_commanded` said otherwise."""
    _start: ToolPose | None = None
    """Where the last step began."""
    _seconds: float = 1.0 / CONTROL_HZ
    """What the last step was given [s]."""
    _velocity: FloatArray = field(default_factory=lambda: np.zeros(3))
    _turning: float = 0.0
    _time_s: float = -math.inf
    _latch: GripperLatch = field(default_factory=GripperLatch)
    _grip_time_s: float = -math.inf

    def anchor(self, pose: ToolPose, *, open_: bool) -> None:
        """Start from a measured tool at rest at `pose`, with the gripper told to be open or not."""
        low, high = self.limits.box
        near = np.clip(pose.position, low, high)
        inside = np.linalg.norm(near - pose.position) <= REACH_BACK
        self.pose = ToolPose(near if inside else np.array(pose.position), np.array(pose.rotvec))
        self._taken = self._start = self.pose
        self._velocity, self._turning = np.zeros(3), 0.0
        self._latch = GripperLatch(open_=open_)

    def record_commanded(self, pose: ToolPose) -> None:
        """What the arm made of the last decision: it goes to `pose`, and the next step begins there."""
        assert self._start is not None
        self._taken = pose
        self._velocity = (pose.position - self._start.position) / self._seconds
        self._turning = turn_between(self._start.rotvec, pose.rotvec) / self._seconds

    def decide(self, action: ArrayLike, now_s: float, measured: FloatArray) -> Decision:
        """What of `action`, shape (7,), may be commanded at `now_s` [s].

        Args:
            action: position [m], rotation vector [rad], gripper, as in `h2r_bench.types`.
            now_s: time [s] on one clock.
            measured: tool position (3,) [m].
        """
        wanted = _finite_action(action)
        if wanted is None:
            return Decision(None, None, ("not_finite",))
        if now_s - self._time_s < self.limits.min_interval_s:
            return Decision(None, None, ("rate",))
        if self.pose is None or self._taken is None or not self.allows(self.pose):
            return Decision(None, None, ("outside_workspace",))
        seconds = min(now_s - self._time_s, 1.0 / CONTROL_HZ)
        start = self._start_near(self.pose, self._taken, seconds)
        if start is None:
            return Decision(None, None, ("unreachable",))
        before = (start, self.pose, self._taken)
        pose, held = self._limit(before, ToolPose(wanted[:3], wanted[3:6]), seconds)
        if not self._keeps_near(start, pose, measured):
            pose, held = ToolPose(start.position, pose.rotvec), [*held, "lead"]
        self.pose, self._start, self._seconds, self._time_s = pose, start, seconds, now_s
        self.record_commanded(pose)
        return Decision(pose, self._grip(float(wanted[6]), now_s, held), tuple(dict.fromkeys(held)))

    def allows(self, pose: ToolPose) -> bool:
        """Whether a pose lies in the box and in the orientation cone."""
        low, high = self.limits.box
        inside = (pose.position >= low - EPSILON).all() and (pose.position <= high + EPSILON).all()
        return bool(inside) and upright(pose.rotvec, self.limits.motion)

    def _start_near(self, asked: ToolPose, taken: ToolPose, seconds: float) -> ToolPose | None:
        """Where a step of `seconds` [s] begins: at `taken`, brought inside the box and the cone.

        It is no further than one step from `taken` and from `asked`; None where nothing is that near to both.
        """
        max_translation, max_rotation = self._largest_step(seconds)
        back = np.clip(taken.position, *self.limits.box) - asked.position
        position = asked.position + back * min(
            1.0, max_translation / max(float(np.linalg.norm(back)), EPSILON)
        )
        rotvec, turn = taken.rotvec, turn_between(asked.rotvec, taken.rotvec)
        if turn > max_rotation:
            rotvec = _slerp(asked.rotvec, taken.rotvec, max_rotation / turn)
        if not upright(rotvec, self.limits.motion):
            rotvec = asked.rotvec
        near = (
            np.linalg.norm(position - taken.position) <= max_translation + EPSILON
            and turn_between(rotvec, taken.rotvec) <= max_rotation + EPSILON
        )
        return ToolPose(position, rotvec) if near else None

    def _largest_step(self, seconds: float) -> tuple[float, float]:
        """How far the target may move [m] and turn [rad] in `seconds` [s]."""
        limits = self.limits
        return (
            min(limits.max_step, limits.motion.max_speed * seconds),
            min(limits.max_rotation_step, limits.motion.max_rotation_speed * seconds),
        )

    def _keeps_near(self, start: ToolPose, pose: ToolPose, measured: FloatArray) -> bool:
        """Whether the target stays near the measured tool, or at least comes nearer to it."""
        lead = float(np.linalg.norm(pose.position - measured))
        return lead <= max(self.limits.max_lead, float(np.linalg.norm(start.position - measured)))

    def _limit(
        self, before: tuple[ToolPose, ...], wanted: ToolPose, seconds: float
    ) -> tuple[ToolPose, list[str]]:
        """`wanted` within the limits: one step from the first of the poses `before`, and from each other."""
        low, high = self.limits.box
        motion = dataclasses.replace(self.limits.motion, workspace_low=tuple(low), workspace_high=tuple(high))
        target, names = limit_target(before[0], wanted, motion, 1.0 / seconds)
        held = list(names)
        if wanted.position[2] < low[2] - EPSILON:
            held[held.index("workspace")] = "table"
        position = self._limit_step([pose.position for pose in before], target.position, seconds, held)
        turned = self._limit_turn([pose.rotvec for pose in before], target.rotvec, seconds, held)
        return ToolPose(position, turned), held

    def _limit_step(
        self, before: list[FloatArray], target: FloatArray, seconds: float, held: list[str]
    ) -> FloatArray:
        start, (max_translation, _) = before[0], self._largest_step(seconds)
        step, share = target - start, 1.0
        for place in before:
            share *= _fitting_share(step * share, place - start, max_translation)
        if share < 1.0:
            held.append("step" if max_translation < self.limits.motion.max_speed * seconds else "speed")
        fitting = _fitting_share(
            step * share / seconds, self._velocity, self.limits.max_acceleration * seconds
        )
        if fitting < 1.0:
            held.append("acceleration")
        return start + step * (share * fitting)

    def _limit_turn(
        self, before: list[FloatArray], target: FloatArray, seconds: float, held: list[str]
    ) -> FloatArray:
        start, (_, max_rotation) = before[0], self._largest_step(seconds)
        angle, turned = turn_between(start, target), target
        gaining = (self._turning + self.limits.max_rotation_acceleration * seconds) * seconds
        if angle > min(max_rotation, gaining) + EPSILON:
            held.append("rotation_step" if max_rotation < gaining else "rotation_acceleration")
            turned = _slerp(start, target, min(max_rotation, gaining) / angle)
        if max(turn_between(rotvec, turned) for rotvec in before) > max_rotation + EPSILON:
            # Whichever way it goes, what the start leaves of a step may be turned.
            left = max_rotation - max(turn_between(rotvec, start) for rotvec in before)
            fastest = self.limits.motion.max_rotation_speed * seconds
            held.append("rotation_step" if max_rotation < fastest else "rotation_speed")
            turned = _slerp(start, turned, max(left, 0.0) / max(turn_between(start, turned), EPSILON))
        if upright(turned, self.limits.motion):
            return turned
        # On its way a turn may leave the cone although it begins and ends inside.
        held.append("tilt")
        return start

    def _grip(self, value: float, now_s: float, held: list[str]) -> bool | None:
        """Whether the gripper shall newly open or close."""
        before = self._latch.open
        if self._latch.command(value) == before:
            return None
        if now_s - self._grip_time_s < self.limits.min_grip_interval_s:
            self._latch.open = before
            held.append("gripper_rate")
            return None
        self._grip_time_s = now_s
        return self._latch.open


def upright(rotvec: FloatArray, motion: MotionLimits) -> bool:
    """Whether a rotation (3,) [rad] lies in the orientation cone and the yaw range of `motion`."""
    matrix = rotvec_to_matrix(rotvec)
    tilt = math.acos(min(max(float(matrix[2, 2]), -1.0), 1.0))
    return tilt <= motion.max_tilt + 10 * EPSILON and abs(float(yaw_of(matrix))) <= motion.max_yaw + EPSILON


def _finite_action(action: ArrayLike) -> FloatArray | None:
    """`action` as (7,) floats, or None for one that is no action."""
    try:
        wanted = np.asarray(action, np.float64)
    except (TypeError, ValueError):
        return None
    # A NaN fails the comparison.
    return wanted if wanted.shape == (ACTION_DIM,) and (np.abs(wanted) <= ABSURD).all() else None


def _fitting_share(wanted: FloatArray, last: FloatArray, change: float) -> float:
    """Largest share 0..1 of velocity `wanted` (3,) within `change` [m/s] of velocity `last`, else 0."""
    if np.linalg.norm(wanted - last) <= change + EPSILON:
        return 1.0
    square, cross = float(wanted @ wanted), float(wanted @ last)
    inside = cross * cross - square * (float(last @ last) - change * change)
    if square < EPSILON * EPSILON or inside < 0.0:
        return 0.0
    least, most = (cross - math.sqrt(inside)) / square, (cross + math.sqrt(inside)) / square
    return 0.0 if least > 1.0 else min(max(most, 0.0), 1.0)


def turn_between(first: FloatArray, second: FloatArray) -> float:
    """Angle between two rotations given as vectors (3,) [rad]."""
    between = rotvec_to_matrix(first).T @ rotvec_to_matrix(second)
    return float(np.linalg.norm(matrix_to_rotvec(between)))


def _slerp(first: FloatArray, second: FloatArray, share: float) -> FloatArray:
    """The rotation that lies `share` of the way from `first` to `second`, vectors (3,) [rad]."""
    start = rotvec_to_matrix(first)
    turn = matrix_to_rotvec(start.T @ rotvec_to_matrix(second))
    return np.asarray(matrix_to_rotvec(start @ rotvec_to_matrix(turn * share)))
