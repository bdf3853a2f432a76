"""From an absolute tool target to joint motion: limits, inverse kinematics (mink), gripper hysteresis."""

from __future__ import annotations

from dataclasses import dataclass

import mink
import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from h2r_bench.envs.robot import ARM_JOINTS, HOME, build_arm
from h2r_bench.types import (
    CONTROL_HZ,
    DEFAULT_LIMITS,
    GRIPPER_CLOSES_BELOW,
    GRIPPER_OPENS_ABOVE,
    FloatArray,
    MotionLimits,
)

_POSITION_TOLERANCE = 1e-4
_ROTATION_TOLERANCE = 1e-3
_MAX_ITERATIONS = 12


@dataclass(frozen=True)
class ToolPose:
    """A pose of the tool frame in the robot base frame."""

    position: FloatArray
    """Shape (3,) [m]."""
    rotvec: FloatArray
    """Shape (3,) [rad], relative to gripper-down."""

    @staticmethod
    def at(x: float, y: float, z: float, yaw: float = 0.0) -> ToolPose:
        """Gripper straight down at (x, y, z) [m], turned by `yaw` [rad]."""
        return ToolPose(np.array([x, y, z], float), np.array([0.0, 0.0, yaw]))

    @property
    def yaw(self) -> float:
        """Turn about the vertical [rad]."""
        return float(self.rotvec[2])


class InverseKinematics:
    """Differential inverse kinematics iterated to convergence, from wherever it last stood."""

    def __init__(self) -> None:
        root = build_arm(visual=False, gripper=False)
        self.model = mujoco.MjModel.from_xml_string(root.to_xml_string(), root.get_assets())
        self._configuration = mink.Configuration(self.model, HOME.copy())
        self._tool = mink.FrameTask("tool", "site", position_cost=1.0, orientation_cost=0.2)
        # The seventh degree of freedom: stay near the home posture, far weaker than the tool task.
        self._posture = mink.PostureTask(self.model, cost=1e-3)
        self._posture.set_target(HOME)
        self._limits = [mink.ConfigurationLimit(self.model)]

    def reset(self, joints: FloatArray = HOME) -> None:
        """Start the next solution from `joints`, shape (7,) [rad]."""
        self._configuration.update(joints.copy())

    def solve(self, pose: ToolPose) -> FloatArray:
        """Joint angles, shape (7,) [rad], that bring the tool to `pose` or as near as the limits allow."""
        rotation = mink.SO3.exp(pose.rotvec)
        self._tool.set_target(mink.SE3.from_rotation_and_translation(rotation, pose.position))
        tasks = [self._tool, self._posture]
        for _ in range(_MAX_ITERATIONS):
            velocity = mink.solve_ik(
                self._configuration, tasks, 1.0, "daqp", damping=1e-6, limits=self._limits
            )
            self._configuration.integrate_inplace(velocity, 1.0)
            error = self._tool.compute_error(self._configuration)
            if (
                np.linalg.norm(error[:3]) < _POSITION_TOLERANCE
                and np.linalg.norm(error[3:]) < _ROTATION_TOLERANCE
            ):
                break
        return np.array(self._configuration.q[: len(ARM_JOINTS)])


def limit_target(
    previous: ToolPose, wanted: ToolPose, limits: MotionLimits = DEFAULT_LIMITS
) -> tuple[ToolPose, tuple[str, ...]]:
    """The nearest allowed target to `wanted` one control step after `previous`.

    Returns the target and the names of the limits that held it back: "workspace", "tilt", "yaw", "speed",
    "rotation_speed".
    """
    held: list[str] = []
    position = np.clip(wanted.position, limits.workspace_low, limits.workspace_high)
    if not np.allclose(position, wanted.position, atol=1e-6):
        held.append("workspace")
    rotvec = _limit_orientation(wanted.rotvec, limits, held)
    step = position - previous.position
    reach = limits.max_speed / CONTROL_HZ
    if (distance := float(np.linalg.norm(step))) > reach:
        position = previous.position + step * (reach / distance)
        held.append("speed")
    before = Rotation.from_rotvec(previous.rotvec)
    turn = (before.inv() * Rotation.from_rotvec(rotvec)).as_rotvec()
    swing = limits.max_rotation_speed / CONTROL_HZ
    if (angle := float(np.linalg.norm(turn))) > swing:
        rotvec = (before * Rotation.from_rotvec(turn * (swing / angle))).as_rotvec()
        held.append("rotation_speed")
    return ToolPose(position, rotvec), tuple(held)


def _limit_orientation(rotvec: FloatArray, limits: MotionLimits, held: list[str]) -> FloatArray:
    rotation = Rotation.from_rotvec(rotvec)
    matrix = rotation.as_matrix()
    yaw = float(np.arctan2(matrix[1, 0], matrix[0, 0]))
    clipped = float(np.clip(yaw, -limits.max_yaw, limits.max_yaw))
    tilt = (Rotation.from_euler("z", -yaw) * rotation).as_rotvec()
    angle = float(np.linalg.norm(tilt))
    if angle > limits.max_tilt:
        tilt = tilt * (limits.max_tilt / angle)
        held.append("tilt")
    if clipped != yaw:
        held.append("yaw")
    return np.asarray((Rotation.from_euler("z", clipped) * Rotation.from_rotvec(tilt)).as_rotvec())


class GripperLatch:
    """Binary gripper command with hysteresis, as real grippers take it."""

    def __init__(self, *, open_: bool = True) -> None:
        self.open = open_

    def command(self, value: float) -> bool:
        """Take a command 0..1 and return whether the gripper shall be open."""
        if value > GRIPPER_OPENS_ABOVE:
            self.open = True
        elif value < GRIPPER_CLOSES_BELOW:
            self.open = False
        return self.open
