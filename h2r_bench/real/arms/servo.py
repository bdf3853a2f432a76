"""For arms that do at once whatever they are told: a thread that approaches the target in small steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from h2r_bench.geometry import matrix_to_rotvec, rotvec_to_matrix
from h2r_bench.motion import ToolPose


class ServoLoop:
    """Calls `step` at a steady rate until stopped; a step that is late is not made up for."""

    def __init__(self, step: Callable[[], None], rate_hz: float, name: str) -> None:
        """Prepare to call `step` at `rate_hz` [Hz]."""
        self._step, self._period = step, 1.0 / rate_hz
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; returns once no step is in progress."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._closing.is_set():
            self._step()
            due = max(due + self._period, time.monotonic())
            self._closing.wait(due - time.monotonic())


def step_towards(start: ToolPose, goal: ToolPose, longest: float, widest: float) -> ToolPose:
    """The next pose on the way to `goal`, at most `longest` [m] and `widest` [rad] from `start`.

    Way and turn keep pace, so that both end together.
    """
    way = goal.position - start.position
    turn = matrix_to_rotvec(rotvec_to_matrix(start.rotvec).T @ rotvec_to_matrix(goal.rotvec))
    steps = float(max(np.linalg.norm(way) / longest, np.linalg.norm(turn) / widest))
    if steps <= 1.0:
        return goal
    turned = rotvec_to_matrix(start.rotvec) @ rotvec_to_matrix(turn / steps)
    return ToolPose(start.position + way / steps, np.asarray(matrix_to_rotvec(turned)))
