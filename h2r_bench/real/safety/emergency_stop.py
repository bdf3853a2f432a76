"""The emergency stop: a key, a signal, or whoever calls it.

In a terminal the space bar and Escape stop the arm, at any moment and whatever else the program is doing;
so do SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal was closed). The arm's own red button comes first,
always.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

STOP_KEYS = frozenset({" ", "\x1b"})
"""Keys that stop the arm: space and Escape."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_S = 0.1

Stop = Callable[[str], None]


class EmergencyStop:
    """While it is entered, keys and signals call `stop` with the reason."""

    def __init__(self, stop: Stop, on_key: Callable[[str], None] | None = None, *, keys: bool = True) -> None:
        """`stop` is usually `SafeArm.emergency_stop`; `on_key` gets every other key.

        Without `keys` the terminal is left to the program's own questions.
        """
        self._stop, self._on_key, self._keys = stop, on_key, keys
        self._before: dict[signal.Signals, Any] = {}
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> EmergencyStop:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._signalled) for number in SIGNALS}
        if self._keys and sys.stdin is not None and sys.stdin.isatty():
            self._thread = threading.Thread(target=self._listen, name="emergency keys", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._thread is not None:
            self._thread.join()

    def feed(self, key: str) -> bool:
        """Take a key that another part of the program read; returns whether it stops the arm."""
        if key in STOP_KEYS:
            self._stop_for("key")
            return True
        if self._on_key is not None:
            self._on_key(key)
        return False

    def _stop_for(self, reason: str) -> None:
        """Stop the arm. What goes wrong is told, and keeps no later key or signal from stopping it."""
        try:
            self._stop(reason)
        except Exception as error:  # whatever a driver raises
            with contextlib.suppress(Exception):
                print(f"\nthe arm was not stopped ({error}): press its own stop button", file=sys.stderr)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        """Stop the arm, then do what the signal does otherwise."""
        self._stop_for(signal.Signals(number).name)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    def _listen(self) -> None:
        descriptor = sys.stdin.fileno()
        with single_keys(descriptor):
            while not self._leaving.is_set():
                try:
                    if not select.select([descriptor], [], [], _LOOK_S)[0]:
                        continue
                    raw = os.read(descriptor, 1)
                except OSError:
                    raw = b""
                if not raw:
                    self._stop_for("the terminal has gone")
                    return
                try:
                    self.feed(raw.decode(errors="replace"))
                except Exception as error:  # of whoever wanted the other keys
                    self._stop_for(f"key: {error}")


@contextlib.contextmanager
def single_keys(descriptor: int) -> Iterator[None]:
    """Let a terminal hand over each key as it is pressed, Ctrl-C still being a signal."""
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal has gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
