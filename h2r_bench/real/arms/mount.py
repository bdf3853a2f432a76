"""Where an arm's own base stands on the bench, and how its tool is turned against ours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h2r_bench.geometry import matrix_to_rotvec, rotvec_to_matrix
from h2r_bench.motion import ToolPose
from h2r_bench.types import FloatArray

GRIPPER_DOWN = np.diag([1.0, -1.0, -1.0])
"""Orientation of a tool frame whose z axis points out of the gripper, as drivers have it, when it points
straight down: half a turn about x, which is our identity."""


@dataclass(frozen=True)
class Mount:
    """The pose of the arm's base in the robot base frame of `h2r_bench.types`: it stands upright."""

    x: float = 0.0
    """[m]."""
    y: float = 0.0
    """[m]."""
    z: float = 0.0
    """Height of the arm's base above the table top [m]."""
    yaw: float = 0.0
    """Turn about the vertical [rad]."""

    @property
    def _matrix(self) -> FloatArray:
        return np.asarray(rotvec_to_matrix(np.array([0.0, 0.0, self.yaw])))

    @property
    def _origin(self) -> FloatArray:
        return np.array([self.x, self.y, self.z])

    def to_bench(self, pose: ToolPose) -> ToolPose:
        """A tool pose of the arm's base frame in ours."""
        turned = self._matrix @ rotvec_to_matrix(pose.rotvec)
        return ToolPose(self._matrix @ pose.position + self._origin, np.asarray(matrix_to_rotvec(turned)))

    def from_bench(self, pose: ToolPose) -> ToolPose:
        """A tool pose of our frame in that of the arm's base."""
        turned = self._matrix.T @ rotvec_to_matrix(pose.rotvec)
        return ToolPose(self._matrix.T @ (pose.position - self._origin), np.asarray(matrix_to_rotvec(turned)))


def to_driver_rotation(rotvec: FloatArray) -> FloatArray:
    """Our rotation vector (3,) [rad] as that of a tool frame with z out of the gripper."""
    return np.asarray(matrix_to_rotvec(rotvec_to_matrix(rotvec) @ GRIPPER_DOWN))


def from_driver_rotation(rotvec: FloatArray) -> FloatArray:
    """Inverse of `to_driver_rotation`."""
    return np.asarray(matrix_to_rotvec(rotvec_to_matrix(rotvec) @ GRIPPER_DOWN.T))
