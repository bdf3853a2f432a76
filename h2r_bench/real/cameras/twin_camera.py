"""The simulated camera of the twin: drawn when it is asked for, with the simulation's time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from h2r_bench.real.cameras.base import Frame, StaleFrameError, is_fresh

if TYPE_CHECKING:
    from h2r_bench.real.arms.base import Clock
    from h2r_bench.real.operator.simulated import SimulatedWorld

_PAUSE_S = 0.01
"""Between two looks at a camera that shows nothing new [s]."""


class TwinCamera:
    """A `Camera` in the world behind a simulated arm."""

    name = "twin"

    def __init__(self, world: SimulatedWorld, clock: Clock) -> None:
        """Look into `world`, whose time `clock` tells."""
        self._world, self._clock = world, clock

    def open(self) -> None:
        """Nothing to do: the world draws whenever it is asked."""

    def latest(self, newer_than: int = -1, timeout_s: float = 0.2) -> Frame:
        """A frame of this moment. Raises StaleFrameError when the world shows nothing newer in time."""
        give_up = time.monotonic() + timeout_s
        while True:
            frame = self._world.frame()
            now = self._clock.now()
            if frame.number > newer_than and is_fresh(frame.time_s, now, timeout_s):
                return Frame(frame.image, frame.time_s, frame.number)
            if time.monotonic() > give_up:
                age_ms = 1000 * (now - frame.time_s)
                raise StaleFrameError(f"the twin's camera gave no new frame for {age_ms:.0f} ms")
            time.sleep(_PAUSE_S)

    def newest_s(self) -> float:
        """When the frame was taken that the world would show now [s]."""
        return self._world.newest_frame_s()

    def close(self) -> None:
        """Nothing to do."""
