"""When the camera took its newest frame, asked in a way that a camera which hangs holds up nobody."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait

from h2r_bench.real.safety.worker import Worker

ASK_S = 0.02
"""How long a camera's answer is waited for [s]; later ones count when they have come."""

AskCamera = Callable[[], float]
"""When the camera took its newest frame, on the session's clock [s]."""


class NewestFrame:
    """Asks one camera for the time of its newest frame, during one trial."""

    def __init__(self, ask: AskCamera, worker: Worker) -> None:
        """Let `worker` ask."""
        self._ask, self._worker = ask, worker
        self._coming: Future[float] | None = None
        self._lock = threading.Lock()
        self.time_s = -math.inf
        """What the camera said last [s]."""

    def refresh(self) -> float:
        """Ask anew, unless an answer is still to come; returns what is known after `ASK_S` at most [s].

        Raises whatever the camera raises.
        """
        with self._lock:
            if self._coming is None:
                self._coming = self._worker.submit(self._ask)
            if wait([self._coming], ASK_S).done:
                come, self._coming = self._coming, None
                self.time_s = float(come.result())
            return self.time_s

    @property
    def hangs(self) -> bool:
        """Whether an answer is still to come."""
        coming = self._coming
        return coming is not None and not coming.done()
