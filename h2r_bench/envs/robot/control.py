"""From an absolute tool target to joint motion: limits, inverse kinematics, gripper hysteresis."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from h2r_bench.envs.robot.model import HOME, build_arm
from h2r_bench.motion import ToolPose
from h2r_bench.types import CONTROL_HZ, DEFAULT_LIMITS, FloatArray, MotionLimits

_NEAR_POSITION, _NEAR_ROTATION = 0.005, 0.02
"""From this near [m, rad] one iteration ends within about 0.1 mm."""
_MAX_ITERATIONS = 12
_COST = np.array([1.0, 1.0, 1.0, 0.04, 0.04, 0.04])
"""Weight of squared position [1/m^2] and rotation [1/rad^2] errors of the tool."""
_POSTURE_COST = 1e-6
"""Weight of squared distance from the home posture [1/rad^2]."""
_TINY = 1e-9
_SAME = 1e-6
"""Differences smaller than this do not count as held back [m, rad]."""


class InverseKinematics:
    """Damped least squares on the tool frame, iterated to convergence from wherever it last stood.

    A few calls of MuJoCo's own functions on arrays made once: it runs in every control step, where a general
    solver would cost more than all of the step's other Python together.
    """

    def __init__(
        self, model: mujoco.MjModel | None = None, home: FloatArray = HOME, site: str = "tool"
    ) -> None:
        """For the simulated arm, or for another chain: `model` with hinges alone and a `site` at its tool,
        turned so that gripper-down is the identity; `home` holds its joint angles [rad] near which it stays.
        """
        if model is None:
            root = build_arm(visual=False, gripper=False)
            model = mujoco.MjModel.from_xml_string(root.to_xml_string(), root.get_assets())
        self.model, self._home = model, home
        self._data = mujoco.MjData(self.model)
        self._site = self.model.site(site).id
        self._low, self._high = self.model.jnt_range.T.copy()
        joints = self.model.nv
        self._jacobian = np.zeros((6, joints))
        self._error = np.zeros(6)
        self._factor = np.zeros((joints, joints))
        self._motion = np.zeros(joints)
        self._diagonal = self._factor.reshape(-1)[:: joints + 1]
        self._pull = np.zeros(joints)
        self.reset()

    def reset(self, joints: FloatArray | None = None) -> None:
        """Start the next solution from `joints`, shape (7,) [rad], or from home."""
        self._data.qpos[:] = self._home if joints is None else joints

    def narrow(self, low: FloatArray, high: FloatArray) -> None:
        """Keep to joint limits that are narrower than the model's, shape (7,) each [rad]."""
        self._low, self._high = np.maximum(self._low, low), np.minimum(self._high, high)

    def forward(self, joints: FloatArray) -> ToolPose:
        """Where the tool is at `joints`, shape (7,) [rad]. The next solution still starts where it would."""
        kept = self._data.qpos.copy()
        self._data.qpos[:] = joints
        mujoco.mj_kinematics(self.model, self._data)
        quat = np.empty(4)
        mujoco.mju_mat2Quat(quat, self._data.site_xmat[self._site])
        pose = ToolPose(self._data.site_xpos[self._site].copy(), rotation_vector(quat))
        self._data.qpos[:] = kept
        return pose

    def solve(self, pose: ToolPose, reach: FloatArray | None = None) -> FloatArray:
        """Joint angles, shape (7,) [rad], that bring the tool to `pose` or as near as the limits allow.

        With `reach`, shape (7,) [rad], no joint ends further than that from where the search begins: near a
        singular posture or at a joint's limit the nearest solution can be in another branch, far away.
        """
        model, data, target = self.model, self._data, quaternion(pose.rotvec)
        joints, low, high = data.qpos, self._low, self._high
        if reach is not None:
            low, high = np.maximum(low, joints - reach), np.minimum(high, joints + reach)
        for _ in range(_MAX_ITERATIONS):
            mujoco.mj_kinematics(model, data)
            near = self._near(pose.position, target)
            mujoco.mj_comPos(model, data)
            mujoco.mj_jacSite(model, data, self._jacobian[:3], self._jacobian[3:], self._site)
            mujoco.mju_sqrMatTD(self._factor, self._jacobian, _COST)
            mujoco.mju_mulMatTVec(self._pull, self._jacobian, _COST * self._error)
            # The seventh degree of freedom stays near the home posture, far weaker than the tool's pose.
            self._diagonal += _POSTURE_COST
            self._pull += _POSTURE_COST * (self._home - joints)
            mujoco.mju_cholFactor(self._factor, 0.0)
            mujoco.mju_cholSolve(self._motion, self._factor, self._pull)
            joints += self._motion
            np.maximum(joints, low, out=joints)
            np.minimum(joints, high, out=joints)
            if near:
                break
        return np.array(joints)

    def _near(self, position: FloatArray, target: FloatArray) -> bool:
        """Measure the error of the tool's pose; whether one more iteration is sure to remove it."""
        error, quat, turn = self._error, np.empty(4), np.empty(3)
        np.subtract(position, self._data.site_xpos[self._site], out=error[:3])
        mujoco.mju_mat2Quat(quat, self._data.site_xmat[self._site])
        mujoco.mju_negQuat(quat, quat)
        mujoco.mju_mulQuat(quat, target, quat)
        mujoco.mju_quat2Vel(turn, quat, 1.0)
        error[3:] = turn
        return bool(mujoco.mju_norm3(error[:3]) < _NEAR_POSITION and mujoco.mju_norm3(turn) < _NEAR_ROTATION)


def _limit_turn(previous: FloatArray, rotvec: FloatArray, swing: float, held: list[str]) -> FloatArray:
    # Rotations are never further apart than their vectors.
    if mujoco.mju_dist3(previous, rotvec) <= swing:
        return rotvec
    before = quaternion(previous)
    turn = rotation_vector(product(inverse(before), quaternion(rotvec)))
    if (angle := mujoco.mju_norm3(turn)) <= swing:
        return rotvec
    held.append("rotation_speed")
    return rotation_vector(product(before, quaternion(turn * (swing / angle))))


def limit_target(
    previous: ToolPose,
    wanted: ToolPose,
    limits: MotionLimits = DEFAULT_LIMITS,
    rate_hz: float = CONTROL_HZ,
) -> tuple[ToolPose, tuple[str, ...]]:
    """The nearest allowed target to `wanted` one step of a clock of `rate_hz` [Hz] after `previous`.

    Returns the target and the names of the limits that held it back: "workspace", "tilt", "yaw", "speed",
    "rotation_speed".
    """
    held: list[str] = []
    position = np.array(
        [
            min(max(value, low), high)
            for value, low, high in zip(
                wanted.position.tolist(), limits.workspace_low, limits.workspace_high, strict=True
            )
        ]
    )
    if mujoco.mju_dist3(position, wanted.position) > _SAME:
        held.append("workspace")
    swing = limits.max_rotation_speed / rate_hz
    rotvec = _limit_turn(previous.rotvec, _limit_orientation(wanted.rotvec, limits, held), swing, held)
    reach = limits.max_speed / rate_hz
    if (distance := mujoco.mju_dist3(position, previous.position)) > reach:
        position = previous.position + (position - previous.position) * (reach / distance)
        held.append("speed")
    return ToolPose(position, rotvec), tuple(held)


def _limit_orientation(rotvec: FloatArray, limits: MotionLimits, held: list[str]) -> FloatArray:
    w, x, y, z = quaternion(rotvec).tolist()
    yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    tilted = 2 * math.asin(min(math.hypot(x, y), 1.0)) > limits.max_tilt + _SAME
    turned = abs(yaw) > limits.max_yaw
    if not (tilted or turned):
        return rotvec
    tilt = rotation_vector(product(_about_vertical(-yaw), quaternion(rotvec)))
    if tilted:
        tilt = tilt * min(limits.max_tilt / mujoco.mju_norm3(tilt), 1.0)
        held.append("tilt")
    if turned:
        yaw = math.copysign(limits.max_yaw, yaw)
        held.append("yaw")
    return rotation_vector(product(_about_vertical(yaw), quaternion(tilt)))


def quaternion(rotvec: FloatArray) -> FloatArray:
    """Unit quaternion (w, x, y, z) of a rotation vector (3,) [rad]."""
    x, y, z = rotvec.tolist()
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < _TINY:
        return np.array([1.0, x / 2, y / 2, z / 2])
    share = math.sin(angle / 2) / angle
    return np.array([math.cos(angle / 2), share * x, share * y, share * z])


def rotation_vector(quat: FloatArray) -> FloatArray:
    """Rotation vector (3,) [rad] of a unit quaternion, at most half a turn."""
    rotvec = np.empty(3)
    mujoco.mju_quat2Vel(rotvec, quat, 1.0)
    return rotvec


def product(first: FloatArray, second: FloatArray) -> FloatArray:
    """The rotation `second`, then `first`, as quaternions."""
    quat = np.empty(4)
    mujoco.mju_mulQuat(quat, first, second)
    return quat


def inverse(quat: FloatArray) -> FloatArray:
    """The opposite rotation."""
    opposite = np.empty(4)
    mujoco.mju_negQuat(opposite, quat)
    return opposite


def _about_vertical(angle: float) -> FloatArray:
    return np.array([math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)])
