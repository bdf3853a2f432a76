"""A camera: its latest frame, with the time at which it was taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from h2r_bench.real.errors import BridgeError
from h2r_bench.types import UInt8Array

AHEAD_S = 0.02
"""A frame may be stamped this far ahead of the clock it is judged by [s]; one further in the future counts as
stale."""


def is_fresh(time_s: float, now_s: float, age_s: float) -> bool:
    """Whether a frame taken at `time_s` is at most `age_s` old at `now_s` [s], and not from the future."""
    return -AHEAD_S <= now_s - time_s <= age_s


class CameraError(BridgeError):
    """A camera cannot be opened or has stopped; the message says what to do."""


class StaleFrameError(CameraError):
    """There is no frame new enough to act on."""


class VideoOverError(CameraError):
    """A video file used as a camera has come to its end."""


@dataclass(frozen=True)
class Frame:
    """One picture."""

    image: UInt8Array
    """Shape (H, W, 3), RGB."""
    time_s: float
    """When it was taken, on the monotonic clock of this computer [s]."""
    number: int
    """Counts up by one with each new frame."""


class Camera(Protocol):
    """What the bridge needs of a camera."""

    name: str
    """As in messages and records."""

    def open(self) -> None:
        """Start. Raises CameraError, or MissingExtraError naming what to install."""

    def latest(self, newer_than: int = -1, timeout_s: float = 0.2) -> Frame:
        """The newest frame, with a number above `newer_than` and younger than `timeout_s` [s].

        Waits for it, `timeout_s` at most. Raises StaleFrameError when none comes, CameraError when the
        camera has stopped for good.
        """

    def newest_s(self) -> float:
        """When the newest frame was taken [s], minus infinity before the first; answers at once."""

    def close(self) -> None:
        """Stop; closing twice is fine."""


class FrameSource(Protocol):
    """What one kind of camera has to offer: blocking reads, called from one thread."""

    live: bool
    """Whether a sensor is behind it: then a picture equal to the last one, bit for bit, is a frozen one."""

    def open(self) -> None:
        """Start. Raises CameraError, or MissingExtraError naming what to install."""

    def grab(self) -> tuple[UInt8Array, float]:
        """Wait for the next picture (H, W, 3), RGB, and when it was taken [s]. Raises CameraError."""

    def close(self) -> None:
        """Stop; closing twice is fine."""
