"""What is commanded: a tool pose and a gripper that opens or closes, and the action that says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h2r_bench.types import GRIPPER_CLOSES_BELOW, GRIPPER_OPENS_ABOVE, Float32Array, FloatArray


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


def to_action(pose: ToolPose, gripper: float) -> Float32Array:
    """The interface's action, shape (7,)."""
    return np.concatenate([pose.position, pose.rotvec, [gripper]]).astype(np.float32)


def from_action(action: FloatArray | Float32Array) -> tuple[ToolPose, float]:
    """Tool pose and gripper command of an action, shape (7,)."""
    wide = np.asarray(action, np.float64)
    return ToolPose(wide[:3], wide[3:6]), float(wide[6])
