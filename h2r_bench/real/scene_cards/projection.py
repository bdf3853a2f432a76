"""Where points of the table appear: in the reference view of the camera, and on a plan seen from above."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from h2r_bench.envs.scene.arena import CAMERA_POSITION, CAMERA_TARGET, project
from h2r_bench.types import FloatArray


class Projection(Protocol):
    """From points to pixels."""

    def pixels(self, points: FloatArray) -> FloatArray:
        """Columns and rows (N, 2) [pixels] of points (N, 3) [m], robot base frame."""

    def depth(self, points: FloatArray) -> FloatArray:
        """What is nearer covers what is farther: (N,) [m]."""


class ReferenceCamera:
    """A pinhole where the simulator's camera stands; a well-aimed physical one sees the same."""

    def __init__(self, size: tuple[int, int]) -> None:
        """For pictures of `size` (width, height) [pixels]."""
        self._size = size

    def pixels(self, points: FloatArray) -> FloatArray:
        """Columns and rows (N, 2) [pixels] of points (N, 3) [m]; NaN behind the camera.

        Whole numbers are corners of pixels here, as where something is drawn; in `project` they are centres.
        """
        return project(points, self._size) + 0.5

    def depth(self, points: FloatArray) -> FloatArray:
        """Distance along the view (N,) [m]."""
        position, target = np.array(CAMERA_POSITION), np.array(CAMERA_TARGET)
        ahead = (target - position) / np.linalg.norm(target - position)
        return np.asarray((points - position) @ ahead)


class TablePlan:
    """The table from above, as the operator in front of the robot sees it: the robot at the top."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], scale: float) -> None:
        """For the part of the table within `x` and `y` [m], at `scale` [pixels/m]."""
        self._x, self._y, self._scale = x, y, scale
        self.size = (round((y[1] - y[0]) * scale), round((x[1] - x[0]) * scale))

    def pixels(self, points: FloatArray) -> FloatArray:
        """Columns and rows (N, 2) [pixels] of points (N, 3) [m]."""
        down, across = points[:, 0] - self._x[0], points[:, 1] - self._y[0]
        return np.stack([across, down], axis=1) * self._scale

    def depth(self, points: FloatArray) -> FloatArray:
        """Distance from far above (N,) [m]."""
        return 10.0 - points[:, 2]
