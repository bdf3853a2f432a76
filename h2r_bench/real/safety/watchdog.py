"""A thread that looks after a moving arm until it is told to end, whatever happens meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

from h2r_bench.real.arms.base import Clock
from h2r_bench.types import one_line

PAUSE_S = 0.05
"""How long it rests after something failed [s]."""


class Watchdog:
    """Calls `look` when it last said it should be called next; what fails is passed on, and it goes on."""

    def __init__(self, look: Callable[[], float], clock: Clock, failed: Callable[[str], None]) -> None:
        """`look` returns when to look again, on `clock` [s]; `failed` is told in one line what it raised."""
        self._look, self._clock, self._failed = look, clock, failed
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it looks, and will go on."""
        return self._thread.is_alive() and not self._closing.is_set()

    def close(self) -> None:
        """Look no more after this; waits for nobody."""
        self._closing.set()

    def join(self) -> None:
        """Wait a moment for its end."""
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._clock.sleep_until(self._look())
            except Exception as error:  # an arm that is moved by commands alone must not go unwatched
                if not self._closing.is_set():
                    self._failed(one_line(error))
                self._closing.wait(PAUSE_S)
