"""Pinch between thumb and index finger: joint angles as a function of the gap between the two tips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares

from h2r_bench.envs.hand.skeleton import INDEX, RADII, THUMB, FingerPose, finger_pose

if TYPE_CHECKING:
    from h2r_bench.types import FloatArray

GAPS = np.linspace(0.0, 0.10, 41)
"""Inner gaps [m] at scale 1 at which the posture is solved; between them it is interpolated."""

TIP_RADII: FloatArray = RADII[[THUMB, INDEX], 3]
"""Radii of the tips that touch the object [m]: thumb, index."""

PINCH_AXIS = np.array([-0.60, 0.53, -0.60]) / np.linalg.norm([-0.60, 0.53, -0.60])
"""Direction from the index tip to the thumb tip, palm frame: towards wrist, thumb side and palm."""

PINCH_CENTRE = np.array([0.112, 0.038, -0.072])
"""Where the pinch prefers to be [m], palm frame."""

CLOSED = np.radians(
    [
        [0.0, 5.0, 10.0, 25.0],
        [4.0, 52.0, 40.0, 18.0],
        [1.0, 58.0, 68.0, 36.0],
        [-3.0, 60.0, 76.0, 42.0],
        [-7.0, 58.0, 78.0, 44.0],
    ]
)
"""Relaxed angles [rad] of a closed pinch, shape (5, 4); thumb and index are only preferences."""

OPENED = np.radians(
    [
        [0.0, -8.0, 0.0, 8.0],
        [8.0, 22.0, 22.0, 10.0],
        [2.0, 24.0, 52.0, 26.0],
        [-6.0, 29.0, 62.0, 33.0],
        [-14.0, 32.0, 64.0, 35.0],
    ]
)
"""The same for a pinch 10 cm wide."""

LOWEST = np.radians([[-35.0, -35.0, -10.0, -10.0], [-10.0, -5.0, 8.0, 4.0]])
HIGHEST = np.radians([[40.0, 35.0, 50.0, 60.0], [14.0, 80.0, 85.0, 45.0]])
"""Joint limits [rad] of thumb and index, shape (2, 4)."""


def nominal_posture(gap: float) -> FloatArray:
    """Relaxed joint angles [rad], shape (5, 4), at a gap [m] at scale 1."""
    share = gap / GAPS[-1]
    blended: FloatArray = (1 - share) * CLOSED + share * OPENED
    return blended


def solve_posture(gap: float, start: FloatArray) -> FloatArray:
    """Joint angles [rad], shape (5, 4), whose tips leave `gap` [m] between them, about along `PINCH_AXIS`."""
    nominal = nominal_posture(gap)
    distance = gap + TIP_RADII.sum()

    def residual(free: FloatArray) -> FloatArray:
        posture = np.concatenate([free.reshape(2, 4), nominal[2:]])
        pose = finger_pose(posture)
        apart = pose.tip[THUMB] - pose.tip[INDEX]
        length = np.linalg.norm(apart)
        return np.concatenate(
            [
                [(length - distance) / 1e-5],
                (apart / length - PINCH_AXIS) / 0.10,
                ((pose.tip[THUMB] + pose.tip[INDEX]) / 2 - PINCH_CENTRE) / 0.012,
                (posture[:2] - nominal[:2]).ravel() / np.radians(15.0),
                _facing(pose, apart / length) / 0.2,
            ]
        )

    inside = np.clip(start[:2], LOWEST + 1e-3, HIGHEST - 1e-3).ravel()
    solution = least_squares(
        residual, inside, bounds=(LOWEST.ravel(), HIGHEST.ravel()), xtol=1e-10, ftol=1e-10
    )
    return np.concatenate([solution.x.reshape(2, 4), nominal[2:]])


def _facing(pose: FingerPose, axis: FloatArray) -> FloatArray:
    """How far the last links are from leaning a little towards each other along `axis`, shape (2,)."""
    thumb, index = pose.rotation[THUMB, 2, :, 0], pose.rotation[INDEX, 2, :, 0]
    lean = np.sin(np.radians(20.0))
    return np.array([thumb @ axis + lean, index @ axis - lean])


def solve_postures() -> FloatArray:
    """Joint angles [rad] at all `GAPS`, shape (41, 5, 4), each solved from its neighbour."""
    postures = [solve_posture(float(GAPS[0]), CLOSED)]
    for gap in GAPS[1:]:
        postures.append(solve_posture(float(gap), postures[-1]))
    return np.stack(postures)
