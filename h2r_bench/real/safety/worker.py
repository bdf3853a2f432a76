"""Calls made in a thread of their own, so that one that hangs holds up nobody but itself."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class Worker:
    """Makes one call after another. Whoever asked waits for the answer as long as it likes, and no longer.

    Unlike a `ThreadPoolExecutor` it keeps no program from ending: its thread is a daemon.
    """

    def __init__(self, name: str) -> None:
        """`name` is that of the thread, which begins with the first call."""
        self._name = name
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        """Make `call` once those before it have ended; the future has what it returns or raises."""
        answer: Future[Result] = Future()
        self._calls.put((answer, call))
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        return answer

    def close(self) -> None:
        """End after the calls that were asked for; returns at once."""
        self._calls.put(None)

    def _serve(self) -> None:
        while (asked := self._calls.get()) is not None:
            answer, call = asked
            try:
                answer.set_result(call())
            except BaseException as error:  # it is the asker's to raise
                answer.set_exception(error)
