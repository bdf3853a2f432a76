"""A thread that always holds the latest frame, so that nobody ever acts on one that waited in a queue."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import numpy as np

from h2r_bench.real.cameras.base import AHEAD_S, CameraError, Frame, FrameSource, StaleFrameError, is_fresh
from h2r_bench.types import UInt8Array

_JOIN_S = 2.0
"""How long `close` waits for a read that hangs [s]."""


class LatestFrame:
    """A `Camera` over any `FrameSource`."""

    def __init__(self, name: str, source: FrameSource, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._source = source
        self._clock = clock
        self._news = threading.Condition()
        self._frame: Frame | None = None
        self._error: CameraError | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start reading. Raises CameraError or MissingExtraError."""
        if self._thread is not None:
            return
        self._source.open()
        self._stop.clear()
        self._thread = threading.Thread(target=self._read, name=f"camera {self.name}", daemon=True)
        self._thread.start()

    def latest(self, newer_than: int = -1, timeout_s: float = 0.2) -> Frame:
        """The newest frame, see `Camera.latest`."""
        with self._news:
            self._news.wait_for(lambda: self._error or self._fresh(newer_than, timeout_s), timeout_s)
            frame = self._fresh(newer_than, timeout_s)
            if frame is not None:
                return frame
            if self._error is not None:
                raise self._error
            raise StaleFrameError(self._complaint(timeout_s))

    def newest_s(self) -> float:
        """When the newest frame was taken [s], see `Camera.newest_s`."""
        frame = self._frame
        return -math.inf if frame is None else frame.time_s

    def close(self) -> None:
        """Stop reading; closing twice is fine."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(_JOIN_S)
            self._source.close()

    def _fresh(self, newer_than: int, age_s: float) -> Frame | None:
        frame = self._frame
        if frame is None or frame.number <= newer_than or not is_fresh(frame.time_s, self._clock(), age_s):
            return None
        return frame

    def _complaint(self, timeout_s: float) -> str:
        if self._frame is None:
            return f"camera {self.name} has not given a frame yet: is it plugged in and free?"
        age = self._clock() - self._frame.time_s
        if not age >= -AHEAD_S:
            return f"camera {self.name} stamps its frames {-age:.1f} s in the future: its clock is not ours"
        return f"camera {self.name} gave no new frame for {max(age, timeout_s) * 1000:.0f} ms"

    def _read(self) -> None:
        """Body of the thread: keep the latest frame until stopped."""
        while not self._stop.is_set():
            try:
                image, time_s = self._source.grab()
            except CameraError as error:
                self._publish(None, error)
                return
            except Exception as error:  # a driver's own kind; the thread must not die unheard
                self._publish(None, CameraError(f"camera {self.name}: {error}"))
                return
            if not (self._source.live and self._is_frozen(image)):
                self._publish((image, time_s), None)

    def _is_frozen(self, image: UInt8Array) -> bool:
        """Whether `image` is the last one again: a sensor's noise never repeats."""
        return self._frame is not None and np.array_equal(image, self._frame.image)

    def _publish(self, taken: tuple[UInt8Array, float] | None, error: CameraError | None) -> None:
        with self._news:
            if taken is not None:
                number = self._frame.number + 1 if self._frame else 0
                self._frame = Frame(taken[0], taken[1], number)
            self._error = error
            self._news.notify_all()
