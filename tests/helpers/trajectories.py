"""The path of a trial as a golden: a hash of rounded states, and waypoints for machines that round otherwise.

A hash of rounded numbers survives float noise only until one number lies on the edge between two roundings,
so a different hash alone is no failure: the waypoints then decide, within the tolerances below. Noise that a
contact or a singular posture blows up is no failure either: when a golden is written, its trial is played
again with noise in the actions, and only waypoints that this leaves in place are held to it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

GRAIN = np.array([1e-3] * 3 + [1e-2] * 7)
"""States are rounded to this before they are hashed: position [m], 6-D rotation, gripper opening."""
EVERY = 20
"""A waypoint every so many control steps (2 s)."""
POSITION_TOLERANCE = 2e-3
"""Waypoints of another machine may lie this far off [m]."""
OPENING_TOLERANCE = 0.05
"""Openings of the gripper may differ by this much [0..1]."""


NOISE = 1e-6
"""Relative noise in actions that a golden's waypoints have withstood; float32 rounds at 6e-8."""


@dataclass(frozen=True)
class Path:
    """What is kept of the states (T, 10) of one trial."""

    digest: str
    """Hash of all states, rounded to `GRAIN`."""
    waypoints: list[list[float]]
    """Every 20th state and the last: position [m] and opening."""

    @classmethod
    def of(cls, states: Any) -> Path:
        """The path of states of shape (T, 10)."""
        states = np.asarray(states, np.float64)
        grains = np.round(states / GRAIN).astype("<i4")
        picked = np.unique([*range(0, len(states), EVERY), len(states) - 1])
        waypoints = np.round(states[picked][:, [0, 1, 2, 9]], 4).tolist()
        return cls(hashlib.sha256(grains.tobytes()).hexdigest()[:16], waypoints)

    def difference(self, golden: Path) -> str:
        """Where this path leaves the waypoints of `golden` by more than the tolerances.

        Empty when it does not, or when the hashes agree. Waypoints that `golden` lacks are not looked at.
        """
        if self.digest == golden.digest:
            return ""
        if len(self.waypoints) < len(golden.waypoints):
            return f"after {len(self.waypoints)} waypoints: it ends"
        first = self.steady(golden)
        if first == len(golden.waypoints):
            return ""
        gap = np.subtract(self.waypoints[first], golden.waypoints[first])
        return (
            f"at waypoint {first}: {1e3 * np.linalg.norm(gap[:3]):.1f} mm off, opening off by {gap[3]:+.2f}"
        )

    def steady(self, other: Path, share: float = 1.0) -> int:
        """How many waypoints the two share before they differ by more than `share` of the tolerances."""
        count = min(len(self.waypoints), len(other.waypoints))
        gap = np.subtract(self.waypoints[:count], other.waypoints[:count]).reshape(count, 4)
        far = np.linalg.norm(gap[:, :3], axis=1) > share * POSITION_TOLERANCE
        wrong = far | (np.abs(gap[:, 3]) > share * OPENING_TOLERANCE)
        return int(np.argmax(wrong)) if wrong.any() else count

    def up_to(self, count: int) -> Path:
        """The same path with its first `count` waypoints only."""
        return Path(self.digest, self.waypoints[:count])


def shaken(action: Any, rng: np.random.Generator) -> Any:
    """`action`, shape (7,), with `NOISE` in it."""
    noise = rng.uniform(-NOISE, NOISE, np.shape(action))
    return (np.asarray(action, np.float64) * (1.0 + noise)).astype(np.float32)
