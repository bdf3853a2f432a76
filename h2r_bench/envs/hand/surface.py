"""The skin as a signed distance: tapered capsules joined by a smooth minimum, at rest, in the palm frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from h2r_bench.envs.hand.skeleton import (
    ARM_BONES,
    BASES,
    BONES,
    FINGERS,
    FOREARM_LENGTH,
    HAND,
    RADII,
    REST_POSTURE,
    UPPER_ARM_LENGTH,
    finger_pose,
)

if TYPE_CHECKING:
    from h2r_bench.types import FloatArray

Point = tuple[float, float, float]

FINGER_BLEND = 0.0035
"""Smoothing between the links of one finger [m]: knuckles stay readable."""

PALM_BLEND = 0.010
"""Smoothing between the parts of palm and arm [m]."""

WEB_BLEND = 0.006
"""Smoothing between fingers and palm [m]: makes the webs between the fingers."""


@dataclass(frozen=True)
class Capsule:
    """A tapered capsule that belongs to a bone."""

    bone: str
    start: Point
    """First centre [m], palm frame, hand at rest."""
    end: Point
    radius_start: float
    radius_end: float
    """Radii [m]."""

    def distance(self, points: FloatArray) -> FloatArray:
        """Signed distance [m] of `points` (n, 3) to the surface, shape (n,), best near it."""
        start, axis = np.array(self.start), np.array(self.end) - np.array(self.start)
        offset = points - start
        length = float(np.linalg.norm(axis))
        unit = axis / max(length, 1e-9)
        along = offset @ unit
        across = np.sqrt(np.maximum((offset**2).sum(1) - along**2, 0.0))
        slope = (self.radius_start - self.radius_end) / max(length, 1e-9)
        foot = np.clip(along + across * slope, 0.0, length)
        distance: FloatArray = np.hypot(along - foot, across) - (self.radius_start - slope * foot)
        return distance


def finger_capsules() -> list[Capsule]:
    """Three links per finger at rest, and a small bump over each middle knuckle."""
    pose = finger_pose(REST_POSTURE)
    nodes = np.concatenate([pose.origin, pose.tip[:, None]], axis=1)
    out = []
    for f, finger in enumerate(FINGERS):
        for s, segment in enumerate(("proximal", "middle", "distal")):
            out.append(
                Capsule(
                    f"{finger}_{segment}", _point(nodes[f, s]), _point(nodes[f, s + 1]), *RADII[f, s : s + 2]
                )
            )
        out += _pulp(f, finger, nodes[f], pose.rotation[f])
    return out


def _pulp(f: int, finger: str, nodes: FloatArray, rotation: FloatArray) -> list[Capsule]:
    """Knuckle bump and soft pads, so that a finger is not a plain tube."""
    radius = RADII[f]
    middle_pad = (nodes[0] + nodes[1]) / 2 - rotation[0, :, 2] * 0.18 * radius[0]
    knuckle = nodes[1] + rotation[1, :, 2] * 0.14 * radius[1] if f else nodes[1] + rotation[1, :, 2] * 0.001
    return [
        Capsule(
            f"{finger}_proximal", _point(middle_pad), _point(middle_pad), 0.93 * radius[0], 0.93 * radius[0]
        ),
        Capsule(f"{finger}_middle", _point(knuckle), _point(knuckle), 0.98 * radius[1], 0.98 * radius[1]),
    ]


def palm_capsules() -> list[Capsule]:
    """Metacarpals, the knuckle row, the ball of the thumb and the edge of the hand."""
    out = []
    for f in range(1, 5):
        x, y, z = BASES[f]
        root = (0.004, 0.55 * y + 0.002, -0.002)
        out.append(Capsule("palm", root, (x - 0.006, y, z - 0.005), 0.0165, RADII[f, 0] + 0.0022))
        out.append(Capsule("palm", (x - 0.002, y, z + 0.0005), (x + 0.001, y, z - 0.001), 0.0108, 0.0105))
    out.append(Capsule("palm", BASES_ROW[0], BASES_ROW[1], 0.0112, 0.0098))
    out.append(Capsule("palm", (0.022, -0.024, -0.010), (0.064, -0.033, -0.010), 0.0155, 0.0125))
    thumb = finger_pose(REST_POSTURE)
    root, knuckle = thumb.origin[0, 0], thumb.origin[0, 1]
    ball = 0.35 * root + 0.65 * knuckle + np.array([0.000, -0.008, -0.004])
    out.append(Capsule("palm", (0.018, 0.010, -0.010), (0.034, 0.018, -0.014), 0.0170, 0.0165))
    out.append(Capsule("thumb_proximal", _point(0.7 * root + 0.3 * knuckle), _point(ball), 0.0165, 0.0140))
    web = 0.5 * BASES[1] + 0.5 * knuckle + np.array([-0.016, -0.006, 0.000])
    out.append(Capsule("palm", (0.040, 0.018, -0.008), _point(web), 0.012, 0.0065))
    return out


BASES_ROW: tuple[Point, Point] = ((0.085, 0.022, -0.008), (0.073, -0.031, -0.012))
"""Ends of the fleshy ridge under the finger bases [m]."""


def arm_capsules() -> list[Capsule]:
    """Wrist, the two bones of the forearm with its muscle, and the upper arm up to the shoulder."""
    out = []
    elbow = -FOREARM_LENGTH
    for side in (-1.0, 1.0):
        wrist = (-0.004, side * 0.0115, -0.001)
        mid = (-0.10, side * 0.0120, -0.001)
        out.append(Capsule("forearm", wrist, mid, 0.0178, 0.0235))
        out.append(Capsule("elbow", mid, (elbow + 0.06, side * 0.016, 0.0), 0.0235, 0.0330))
        out.append(
            Capsule("elbow", (elbow + 0.06, side * 0.016, 0.0), (elbow, side * 0.013, 0.0), 0.033, 0.033)
        )
    out.append(Capsule("forearm", (-0.012, -0.017, 0.007), (-0.020, -0.017, 0.006), 0.0125, 0.012))
    shoulder = (elbow - UPPER_ARM_LENGTH, 0.0, 0.0)
    out.append(Capsule("upper_arm", (elbow, 0.0, 0.0), (elbow - 0.15, 0.0, 0.0), 0.0400, 0.0480))
    out.append(Capsule("upper_arm", (elbow - 0.15, 0.0, 0.0), shoulder, 0.0480, 0.0520))
    return out


def all_capsules() -> list[Capsule]:
    """Everything the hand and arm are made of."""
    return finger_capsules() + palm_capsules() + arm_capsules()


def smooth_minimum(distances: list[FloatArray], blend: float) -> FloatArray:
    """Polynomial smooth minimum of distances [m], each of shape (n,)."""
    out = distances[0]
    for other in distances[1:]:
        overlap = np.maximum(blend - np.abs(out - other), 0.0) / blend
        out = np.minimum(out, other) - overlap**2 * blend / 4
    return out


def skin_distance(points: FloatArray) -> FloatArray:
    """Signed distance [m] of `points` (n, 3), palm frame at rest, to the skin, shape (n,)."""
    body = smooth_minimum([c.distance(points) for c in palm_capsules() + arm_capsules()], PALM_BLEND)
    capsules = finger_capsules()
    for finger in FINGERS:
        links = [c.distance(points) for c in capsules if c.bone.startswith(finger)]
        body = smooth_minimum([body, smooth_minimum(links, FINGER_BLEND)], WEB_BLEND)
    return body


def hand_bone_distances(points: FloatArray) -> FloatArray:
    """Distance [m] of `points` (n, 3) to what the palm and each finger bone carries, shape (n, 16)."""
    capsules = all_capsules()
    bones = ("palm", *BONES[len(ARM_BONES) :])
    columns = [np.min([c.distance(points) for c in capsules if c.bone == bone], axis=0) for bone in bones]
    return np.stack(columns, axis=1)


def sleeve_distance(points: FloatArray) -> FloatArray:
    """Signed distance [m] of `points` (n, 3), palm frame at rest, to a long sleeve with folds, shape (n,)."""
    x = points[:, 0]
    inflated = [
        Capsule(
            c.bone,
            (min(c.start[0], -0.045), *c.start[1:]),
            c.end,
            c.radius_start + 0.008,
            c.radius_end + 0.010,
        )
        for c in arm_capsules()
        if c.end[0] < -0.05
    ]
    body = smooth_minimum([c.distance(points) for c in inflated], PALM_BLEND)
    angle = np.arctan2(points[:, 2], points[:, 1])
    folds = np.sin(x * 190 + 1.3 * np.sin(angle)) * np.sin(x * 47 + 0.9) + 0.5 * np.sin(x * 95 - 2 * angle)
    cuff = np.clip((x + SLEEVE_HEM + 0.022) / 0.004, 0.0, 1.0)
    body = body - 0.0022 * folds * (1 - cuff) - 0.0012 * cuff
    cut: FloatArray = np.maximum(body, x + SLEEVE_HEM)
    return cut


SLEEVE_HEM = 0.050
"""The sleeve ends this far behind the wrist [m]."""


def nail_and_palm_shade(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where the nails are (0..1) and how much a point is on the palm side (0..1), each shape (n,)."""
    pose = finger_pose(REST_POSTURE)
    nail = np.zeros(len(points))
    palmar = np.clip(0.5 - points[:, 2] / 0.024, 0.0, 1.0) * (points[:, 0] > -0.01)
    for f in range(len(HAND)):
        local = (points - pose.tip[f]) @ pose.rotation[f, 2] / RADII[f, 3]
        inside = np.hypot(local[:, 0] - 0.05, local[:, 1] / 0.80) < 1.0
        nail = np.maximum(nail, inside * (local[:, 2] > 0.45))
        reach = np.abs(points - pose.tip[f]).max(1) < 2.5 * RADII[f, 0]
        palmar = np.where(reach, np.clip(0.5 - local[:, 2] / 1.4, 0.0, 1.0), palmar)
    return nail.astype(float), palmar


def _point(values: FloatArray) -> Point:
    return float(values[0]), float(values[1]), float(values[2])
