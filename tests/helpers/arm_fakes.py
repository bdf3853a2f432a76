"""An arm that writes down what it is told, and a clock that is turned by hand."""

from __future__ import annotations

import threading
import time

import numpy as np

from h2r_bench.real.arms.base import ArmError, ArmState, Commanded
from h2r_bench.types import FloatArray


class HandClock:
    """Time passes when the thread that made it waits; the others only look."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self._owner = threading.get_ident()

    def now(self) -> float:
        return self.time_s

    def sleep_until(self, time_s: float) -> None:
        if threading.get_ident() == self._owner:
            self.time_s = max(self.time_s, time_s)
        else:
            time.sleep(0.001)


class RecordingArm:
    """Follows every command at once, or after `lag` of the way; keeps all calls in order."""

    name = "recording"

    def __init__(self, clock: HandClock | None = None, share: float = 1.0) -> None:
        self.clock = clock or HandClock()
        self.share = share
        self.position = np.array([0.45, 0.0, 0.2])
        self.rotation = np.zeros(3)
        self.opening = 1.0
        self.faults: tuple[str, ...] = ()
        self.streamed: list[Commanded] = []
        self.calls: list[str] = []
        self.forces: list[float] = []
        self.lost = False

    def connect(self) -> None:
        self.calls.append("connect")

    def read_state(self) -> ArmState:
        if self.lost:
            raise ArmError("the arm is gone")
        return ArmState(
            self.clock.now(), self.position.copy(), self.rotation.copy(), self.opening, self.faults
        )

    def stream(self, position: FloatArray, rotation: FloatArray) -> Commanded:
        self.calls.append("stream")
        told = Commanded(self.clock.now(), position.copy(), rotation.copy(), self.opening > 0.5)
        self.streamed.append(told)
        self.position += self.share * (position - self.position)
        self.rotation = rotation.copy()
        return told

    def grip(self, open_: bool, force_n: float) -> None:
        self.calls.append("open" if open_ else "close_gripper")
        self.forces.append(force_n)
        self.opening = float(open_)

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")
