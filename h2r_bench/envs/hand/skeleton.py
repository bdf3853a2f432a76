"""Bones of the right hand and arm at scale 1, and their forward kinematics in the palm frame.

Palm frame: origin at the wrist, x towards the finger tips, y towards the thumb (radial), z out of the back of
the hand; metres. Every bone has a frame of the same kind at its near joint: x along the bone, flexion turns
about +y, spreading about +z. Proportions follow an adult hand of about 19 cm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from h2r_bench.types import FloatArray

FINGERS = ("thumb", "index", "middle", "ring", "little")
"""Order of every per-finger array."""

SEGMENTS = ("proximal", "middle", "distal")
"""The three links of a finger; the thumb's first one is its metacarpal."""

ARM_BONES = ("palm", "forearm", "forearm_middle", "elbow", "upper_arm")
"""Parts outside the fingers; the hand's twist fades from `forearm` (all) to `elbow` (none)."""

BONES = (*ARM_BONES, *(f"{finger}_{segment}" for finger in FINGERS for segment in SEGMENTS))
"""All 20 bones, in the order of every per-bone array."""

PARENTS: dict[str, str] = {
    "forearm": "palm",
    "forearm_middle": "forearm",
    "elbow": "forearm_middle",
    "upper_arm": "elbow",
    **{f"{finger}_proximal": "palm" for finger in FINGERS},
    **{f"{finger}_middle": f"{finger}_proximal" for finger in FINGERS},
    **{f"{finger}_distal": f"{finger}_middle" for finger in FINGERS},
}
"""Neighbourhood of bones, with the palm as the root: skin is shared between a bone and its parent only."""

FOREARM_LENGTH = 0.255
UPPER_ARM_LENGTH = 0.30
"""Wrist to elbow and elbow to shoulder [m]."""

JOINTS = ("spread", "flex", "middle_flex", "distal_flex")
"""The four joints of each finger [rad], in the order of the last axis of a posture, shape (5, 4)."""


@dataclass(frozen=True)
class Finger:
    """Size and place of one finger."""

    base: tuple[float, float, float]
    """Near joint [m], palm frame."""
    lengths: tuple[float, float, float]
    """Lengths of the three links, the last one up to the centre of the tip sphere [m]."""
    radii: tuple[float, float, float, float]
    """Radii at the joints and at the tip [m]."""
    axis: tuple[float, float, float] = (1.0, 0.0, 0.0)
    """Direction of the straight finger, palm frame."""
    dorsal: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Direction of the back (nail side) of the straight finger, palm frame."""

    def frame(self) -> FloatArray:
        """Orientation of the finger at zero angles, shape (3, 3), columns x, y, z."""
        x = np.asarray(self.axis) / np.linalg.norm(self.axis)
        z = np.asarray(self.dorsal) - np.dot(self.dorsal, x) * x
        z /= np.linalg.norm(z)
        return np.stack([x, np.cross(z, x), z], axis=1)


HAND = (
    Finger(
        (0.020, 0.022, -0.010),
        (0.048, 0.035, 0.024),
        (0.0150, 0.0125, 0.0108, 0.0088),
        axis=(0.72, 0.58, -0.38),
        dorsal=(-0.25, 0.80, -0.35),
    ),
    Finger((0.091, 0.026, 0.000), (0.044, 0.026, 0.0175), (0.0108, 0.0094, 0.0083, 0.0072)),
    Finger((0.094, 0.004, 0.002), (0.048, 0.030, 0.0185), (0.0110, 0.0096, 0.0084, 0.0073)),
    Finger((0.088, -0.017, -0.001), (0.044, 0.028, 0.0180), (0.0104, 0.0090, 0.0080, 0.0070)),
    Finger((0.079, -0.036, -0.006), (0.035, 0.020, 0.0160), (0.0094, 0.0080, 0.0071, 0.0062)),
)
"""The five fingers, in the order of `FINGERS`."""

BASES = np.array([finger.base for finger in HAND])
FRAMES = np.stack([finger.frame() for finger in HAND])
LENGTHS = np.array([finger.lengths for finger in HAND])
RADII = np.array([finger.radii for finger in HAND])

THUMB, INDEX = 0, 1

REST_POSTURE: FloatArray = np.radians(
    [
        [0.0, 6.0, 12.0, 12.0],
        [6.0, 22.0, 18.0, 10.0],
        [0.0, 24.0, 18.0, 10.0],
        [-6.0, 26.0, 18.0, 10.0],
        [-13.0, 28.0, 18.0, 10.0],
    ]
)
"""Joint angles [rad], shape (5, 4), at which the skin is modelled: half bent, fingers a little apart."""


@dataclass(frozen=True)
class FingerPose:
    """Forward kinematics of the fingers in the palm frame."""

    origin: FloatArray
    """Near joints of the links [m], shape (5, 3, 3): finger, link, coordinate."""
    rotation: FloatArray
    """Orientations of the links, shape (5, 3, 3, 3): finger, link, matrix."""
    tip: FloatArray
    """Centres of the tip spheres [m], shape (5, 3)."""


def finger_pose(posture: FloatArray) -> FingerPose:
    """Links of all fingers for joint angles `posture` [rad], shape (5, 4), at scale 1 in the palm frame."""
    bend = np.cumsum(posture[:, 1:], axis=1)
    spread = posture[:, :1]
    local = _spread_and_bend(np.broadcast_to(spread, bend.shape), bend)
    rotation = FRAMES[:, None] @ local
    steps = rotation[..., 0] * LENGTHS[..., None]
    ends = BASES[:, None] + np.cumsum(steps, axis=1)
    origin = np.concatenate([BASES[:, None], ends[:, :2]], axis=1)
    return FingerPose(origin, rotation, ends[:, 2])


def _spread_and_bend(spread: FloatArray, bend: FloatArray) -> FloatArray:
    """Rz(spread) @ Ry(bend), batched: (...,) to (..., 3, 3)."""
    cs, ss, cb, sb = np.cos(spread), np.sin(spread), np.cos(bend), np.sin(bend)
    out = np.empty((*bend.shape, 3, 3))
    out[..., 0, 0], out[..., 0, 1], out[..., 0, 2] = cs * cb, -ss, cs * sb
    out[..., 1, 0], out[..., 1, 1], out[..., 1, 2] = ss * cb, cs, ss * sb
    out[..., 2, 0], out[..., 2, 1], out[..., 2, 2] = -sb, 0.0, cb
    return out


def rest_bones() -> tuple[FloatArray, FloatArray]:
    """Origins (20, 3) [m] and orientations (20, 3, 3) of all bones with the arm straight, palm frame."""
    fingers = finger_pose(REST_POSTURE)
    arm = np.zeros((len(ARM_BONES), 3))
    arm[1:, 0] = -FOREARM_LENGTH
    origins = np.concatenate([arm, fingers.origin.reshape(-1, 3)])
    eye = np.broadcast_to(np.eye(3), (len(ARM_BONES), 3, 3))
    return origins, np.concatenate([eye, fingers.rotation.reshape(-1, 3, 3)])
