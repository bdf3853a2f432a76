"""The limits on what reaches a physical arm: numbers, checked against each other; `guard.py` keeps them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from h2r_bench import ranges
from h2r_bench.ranges import NotNegative
from h2r_bench.types import DEFAULT_LIMITS, FloatArray, MotionLimits


class LimitsError(ValueError):
    """Limits that contradict each other, or are looser than the default without saying so."""


@dataclass(frozen=True)
class SafetyLimits:
    """Limits on what reaches a physical arm. The defaults are for a bench with people near it."""

    motion: MotionLimits = DEFAULT_LIMITS
    """Workspace box, speeds and orientation cone: the same limits as in the simulator."""
    table_height: NotNegative = 0.0
    """Height of the table top [m], robot base frame."""
    table_clearance: NotNegative = 0.004
    """How far above the table the tool stays [m]; the finger tips reach 9.5 mm beyond it when closed round
    nothing, so on a hard table 0.012 keeps them clear."""
    max_acceleration: NotNegative = 6.0
    """Largest change of the commanded velocity [m/s^2]; standing still is always allowed."""
    max_rotation_acceleration: NotNegative = 30.0
    """Largest increase of the commanded turning speed [rad/s^2]."""
    max_step: NotNegative = 0.05
    """Furthest the target moves in one command [m], from the pose asked for before and from the one taken."""
    max_rotation_step: NotNegative = 0.2
    """Furthest the target turns in one command [rad], from both alike."""
    max_lead: NotNegative = 0.15
    """Furthest the target runs ahead of the measured tool [m]: an arm that is blocked is not pushed on."""
    min_interval_s: NotNegative = 0.05
    """Commands that follow sooner are refused [s]."""
    grip_force: NotNegative = 30.0
    """Closing force of the gripper [N], where it can be told."""
    min_grip_interval_s: NotNegative = 0.3
    """Changes of the gripper's command that follow sooner are refused [s]."""
    timeout_s: NotNegative = 0.2
    """Without a command or a frame for this long the arm is held [s]."""
    braking_s: NotNegative = 0.03
    """... and this much earlier the hold is given, so that the arm stands when the time is up [s]: without
    commands it is at the end of the last one by then."""
    moving_braking_s: NotNegative = 0.1
    """This much earlier when it is the camera that gives nothing new [s]: commands go on meanwhile, so the
    arm may be in full motion. A camera has to give a frame within `timeout_s` less this."""
    loosen: bool = False
    """Accept limits looser than the defaults. They are named in every trial record."""

    def __post_init__(self) -> None:
        for path, problem in ranges.problems(self):
            raise LimitsError(f"the limit {path[-1]} {problem}")
        low, high = self.box
        if not (low < high).all():
            raise LimitsError(f"the workspace is empty: {low.tolist()} to {high.tolist()} [m]")
        if not max(self.braking_s, self.moving_braking_s) < self.timeout_s:
            raise LimitsError("braking_s and moving_braking_s must be shorter than timeout_s")
        if (loose := self.loosened()) and not self.loosen:
            raise LimitsError(f"looser than the default: {', '.join(loose)}. Set loosen to accept that.")

    @property
    def box(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper corner of the allowed tool positions, each (3,) [m]."""
        low = np.array(self.motion.workspace_low, float)
        low[2] = max(low[2], self.table_height + self.table_clearance)
        return low, np.array(self.motion.workspace_high, float)

    def loosened(self) -> tuple[str, ...]:
        """Names of the limits that allow more than the defaults do."""
        names = [name for name in _UPPER if getattr(self, name) > _DEFAULTS[name]]
        names += [name for name in _LOWER if getattr(self, name) < _DEFAULTS[name]]
        for entry in dataclasses.fields(MotionLimits):
            ours, standard = (np.array(getattr(m, entry.name)) for m in (self.motion, DEFAULT_LIMITS))
            looser = ours < standard if entry.name == "workspace_low" else ours > standard
            names += [entry.name] if looser.any() else []
        return tuple(names)

    def describe(self) -> dict[str, Any]:
        """JSON-able: every limit, and which are looser than the default."""
        return {**dataclasses.asdict(self), "loosened": list(self.loosened())}


_UPPER = (
    "max_acceleration",
    "max_rotation_acceleration",
    "max_step",
    "max_rotation_step",
    "max_lead",
    "grip_force",
    "timeout_s",
)
"""Limits that are looser when larger."""
_LOWER = (
    "table_height",
    "table_clearance",
    "min_interval_s",
    "min_grip_interval_s",
    "braking_s",
    "moving_braking_s",
)
"""Limits that are looser when smaller."""
_DEFAULTS = {
    entry.name: entry.default for entry in dataclasses.fields(SafetyLimits) if entry.name in _UPPER + _LOWER
}
