"""Tells the arm to stop, again and again until its driver has taken it.

A driver may refuse a stop (a lost packet), raise what it likes, or never return. None of that may reach
whoever wants the arm to stand: the watchdog, a key, a signal handler.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait

from h2r_bench.types import one_line

WAIT_S = 0.05
"""How long whoever asks for a stop waits for the driver to take it [s]."""
RETRY_S = 0.02
"""Pause before a driver that refused is told again [s]."""
HANG_S = 1.0
"""A stop that has not returned for this long [s] hangs: the driver is told again from another thread ..."""
MAX_HANGING = 5
"""... at most so often."""


class Stopper:
    """Calls `stop` in a thread of its own until it has worked once after each `ask`."""

    def __init__(self, stop: Callable[[], None], failed: Callable[[str], None]) -> None:
        """`failed` is told why, in one line, when a stop was refused or hangs; it may be called often."""
        self._stop, self._failed = stop, failed
        # A signal handler may ask while the same thread is asking: nothing here waits for a lock.
        self._asked: queue.SimpleQueue[Future[None] | None] = queue.SimpleQueue()
        self._newest: Future[None] | None = None
        self._serving: list[Future[None]] = []
        self._since: float | None = None
        self._thread: threading.Thread | None = None
        self._hanging = 0
        self.closed = False
        """Whether `close` was called."""

    @property
    def pending(self) -> bool:
        """Whether the driver has yet to take a stop that was asked for."""
        return self._newest is not None and not self._newest.done()

    def ask(self, wait_s: float = WAIT_S) -> bool:
        """Have the arm told to stop now; waits `wait_s` [s] at most.

        Returns whether the driver has taken it. Never raises, waits for no lock.
        """
        if self.closed:
            return False
        asked: Future[None] = Future()
        self._newest = asked
        self._asked.put(asked)
        if self._thread is None:
            self._start([])
        return bool(wait([asked], wait_s).done)

    def look(self) -> None:
        """To be called now and then: a stop that hangs is given up and made anew in another thread."""
        since = self._since
        if since is None or time.monotonic() - since < HANG_S or self._hanging >= MAX_HANGING:
            return
        self._hanging += 1
        self._failed(f"stopping the arm has not returned for {HANG_S:g} s")
        self._start(list(self._serving))

    def close(self) -> None:
        """Ask no more; a driver that does not obey is left."""
        self.closed = True
        self._asked.put(None)

    def _start(self, left: list[Future[None]]) -> None:
        """Go on in a new thread, first with what the one before has `left`."""
        self._since = time.monotonic() if left else None
        self._thread = threading.Thread(target=self._serve, args=(left,), name="stopper", daemon=True)
        self._thread.start()

    def _serve(self, batch: list[Future[None]]) -> None:
        while batch or (batch := self._next()):
            if not self._tell(batch):
                return
            batch = []

    def _next(self) -> list[Future[None]]:
        """Wait for a stop to be asked for; all that wait are answered by one. Empty when all is over."""
        batch: list[Future[None]] = []
        while not batch or not self._asked.empty():
            asked = self._asked.get()
            if asked is None:
                return batch
            batch.append(asked)
        return batch

    def _tell(self, batch: list[Future[None]]) -> bool:
        """Tell the driver until it obeys; whether this thread is the one to go on."""
        self._serving = batch
        while not self.closed:
            self._since = time.monotonic()
            error = self._try()
            going_on = threading.current_thread() is self._thread
            if going_on:
                self._since = None
            if error is None:
                # Even after this thread was given up: a stop that comes back late has worked.
                for asked in batch:
                    if not asked.done():
                        asked.set_result(None)
                return going_on
            if not going_on:
                return False
            self._failed(error)
            time.sleep(RETRY_S)
        return False

    def _try(self) -> str | None:
        """Tell the driver once; returns what it said against it, in one line."""
        try:
            self._stop()
        except Exception as error:  # whatever a driver raises, it is told again
            return one_line(error)
        return None
