"""What every arm can do, and nothing more.

Units are metres and radians, poses are the tool's in the robot base frame of `h2r_bench.types` (table top at
z = 0, identity rotation with the gripper straight down). A driver converts at its own edge.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from h2r_bench.real.errors import BridgeError, MissingExtraError
from h2r_bench.types import FloatArray

__all__ = [
    "Arm",
    "ArmError",
    "ArmState",
    "Clock",
    "Commanded",
    "MissingExtraError",
    "MonotonicClock",
]


class ArmError(BridgeError):
    """The arm is unreachable, refuses or was lost; the message says what to do."""


@dataclass(frozen=True)
class ArmState:
    """What the arm reports."""

    time_s: float
    """When it was read, on the arm's `clock` [s]."""
    position: FloatArray
    """Shape (3,): tool position [m], robot base frame."""
    rotation: FloatArray
    """Shape (3,): rotation vector of the tool relative to gripper-down [rad]."""
    opening: float
    """Gripper, 0 closed .. 1 open."""
    faults: tuple[str, ...] = ()
    """What the driver complains of, empty when well."""


@dataclass(frozen=True)
class Commanded:
    """What the arm was really told, after clipping inside its driver."""

    time_s: float
    """When, on the arm's `clock` [s]."""
    position: FloatArray
    """Shape (3,): tool position [m], robot base frame."""
    rotation: FloatArray
    """Shape (3,): rotation vector of the tool relative to gripper-down [rad]."""
    gripper_open: bool
    """What the gripper was last told."""


class Clock(Protocol):
    """The time a session runs by: this computer's on a real arm, the simulation's in the twin."""

    def now(self) -> float:
        """Time [s]; it never goes back."""

    def sleep_until(self, time_s: float) -> None:
        """Return once `now()` has reached `time_s` [s]; at once when it has."""


class MonotonicClock:
    """The monotonic clock of this computer."""

    def now(self) -> float:
        """Time [s]."""
        return time.monotonic()

    def sleep_until(self, time_s: float) -> None:
        """Sleep until `time_s` [s]."""
        time.sleep(max(0.0, time_s - time.monotonic()))


class Arm(Protocol):
    """One physical arm with a gripper. Every method may raise ArmError, and may be called from any thread."""

    name: str
    """How records call it."""
    clock: Clock
    """What its times are told by."""

    def connect(self) -> None:
        """Reach the arm, anew where it was reached before, and make it ready; nothing moves yet."""

    def read_state(self) -> ArmState:
        """Where the tool is now."""

    def stream(self, position: FloatArray, rotation: FloatArray) -> Commanded:
        """Aim at an absolute tool pose, (3,) [m] and (3,) [rad], and return at once.

        It comes to rest at that pose unless another follows; it never runs past it.
        """

    def grip(self, open_: bool, force_n: float) -> None:
        """Open, or close with at most `force_n` [N] where the gripper can tell, and return at once."""

    def stop(self) -> None:
        """Halt the motion now and stay connected; the gripper keeps what it holds."""

    def close(self) -> None:
        """Let go of the connection. Calling it again does nothing."""
