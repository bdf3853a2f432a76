"""The Franka Hand: it takes one command at a time and answers when it is done, so a thread attends to it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

MAX_WIDTH = 0.08
"""Opening between the fingers [m]."""
_LOOK_S = 0.04
"""How often the opening is read [s]."""
_JOIN_S = 3.0
"""How long the thread may take to end [s]; libfranka gives up on a silent hand after one second."""
_BUSY: list[Any] = []
"""Hands let go in the middle of a command: freed then, they would take the process with them."""


class FrankaHand:
    """Takes commands at once and answers from memory.

    A command that comes while another runs waits for it, under a second; the newest one counts.
    """

    def __init__(self, connect: Callable[[], Any], speed: float) -> None:
        """Serve franky's gripper, which `connect` reaches; its opening changes at `speed` [m/s].

        A connection that breaks, as after a second of silence, is made again.
        """
        self._connect, self._speed = connect, speed
        self._gripper = connect()
        self._width = float(self._gripper.width)
        self._wanted: tuple[bool, float] | None = None
        self._under_way: tuple[bool, float] | None = None
        self.wanted_open = self._width > MAX_WIDTH / 2
        """What it was last told."""
        self.fault = ""
        """What it last complained of."""
        self._running: Any = None
        self._wake, self._closing = threading.Event(), threading.Event()
        self._attending = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="franka hand", daemon=True)
        self._thread.start()

    @property
    def opening(self) -> float:
        """0 closed .. 1 open, at most 40 ms old."""
        return min(max(self._width / MAX_WIDTH, 0.0), 1.0)

    def grip(self, open_: bool, force_n: float) -> None:
        """Open, or close with `force_n` [N]; returns at once."""
        self._wanted, self.wanted_open = (open_, force_n), open_
        self._wake.set()

    def close(self) -> None:
        """End the thread; the fingers stay as they are."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout=_JOIN_S)
        if self._thread.is_alive():
            _BUSY.append(self._gripper)
        else:
            self._drop()

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(_LOOK_S)
            self._wake.clear()
            try:
                with self._attending:
                    self._attend()
                self.fault = ""
            except Exception as error:  # a lost connection shows in the arm's state too
                self.fault = str(error)
                self._closing.wait(_LOOK_S)
                self._reconnect()

    def _reconnect(self) -> None:
        """Try once to reach the hand again; what it was doing is asked for again."""
        self._drop()  # the hand takes one connection at a time
        with contextlib.suppress(Exception):
            self._gripper = self._connect()
            self._wanted = self._wanted or self._under_way

    def _attend(self) -> None:
        """Start what is wanted, if the hand is free, and look at the fingers."""
        if self._wanted is not None and self._idle():
            self._under_way, self._wanted = self._wanted, None
            self._running = self._command(*self._under_way)
        self._width = float(self._gripper.width)

    def quiet(self) -> AbstractContextManager[Any]:
        """While it is entered the hand is asked nothing."""
        return self._attending

    def _drop(self) -> None:
        """End the connection, unless the driver's own thread still uses it."""
        ended = self._running is None
        with contextlib.suppress(Exception):  # what ended badly has ended as well, but who knows
            ended = ended or bool(self._running.wait(_JOIN_S))
        if not ended:
            _BUSY.append(self._gripper)
        self._running = None
        self._gripper = None

    def _idle(self) -> bool:
        return self._running is None or bool(self._running.wait(0.0))

    def _command(self, open_: bool, force_n: float) -> Any:
        """Start a command; returns franky's promise of an answer."""
        if open_:
            return self._gripper.move_async(MAX_WIDTH, self._speed)
        # Whatever is between the fingers counts as grasped.
        return self._gripper.grasp_async(
            0.0, self._speed, force_n, epsilon_inner=MAX_WIDTH, epsilon_outer=MAX_WIDTH
        )
