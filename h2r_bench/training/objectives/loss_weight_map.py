"""Where a predicted frame matters most: the gripper, and the soft shadow below it that shows its height.

Fingers and shadow are a few pixels of a frame. Averaged over all of it, a loss hardly notices whether they
are right, and the features that the action decoder reads need not say where they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from h2r_bench.envs.scene.arena import project

if TYPE_CHECKING:
    from h2r_bench.types import Float32Array

_SHADOW_SHARE = 0.7
"""Weight of the shadow beside that of the gripper."""
_RADIUS = 0.8
"""Standard deviation of both spots [cells]."""


def focus_map(position: Float32Array, image_size: tuple[int, int], cells: tuple[int, int]) -> Float32Array:
    """How near each latent cell is to the gripper and its shadow, 0 to 1.7.

    Args:
        position: tool centres in the robot base frame, shape (..., 3) [m].
        image_size: width and height of the robot's camera image [pixels].
        cells: rows and columns (h, w) of the latents.

    Returns:
        Shape (..., h, w).
    """
    on_table = np.concatenate([position[..., :2], np.zeros_like(position[..., :1])], axis=-1)
    return _spots(position, image_size, cells) + _SHADOW_SHARE * _spots(on_table, image_size, cells)


def _spots(points: Float32Array, image_size: tuple[int, int], cells: tuple[int, int]) -> Float32Array:
    width, height = image_size
    rows, columns = cells
    pixels = project(points.astype(float), image_size)
    across = (np.arange(columns) + 0.5) - (pixels[..., 0, None] + 0.5) * columns / width
    down = (np.arange(rows) + 0.5) - (pixels[..., 1, None] + 0.5) * rows / height
    distance = across[..., None, :] ** 2 + down[..., :, None] ** 2
    spots: Float32Array = np.exp(-0.5 * distance / _RADIUS**2).astype(np.float32)
    return spots
