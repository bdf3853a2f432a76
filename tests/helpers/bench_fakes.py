"""A bench without hardware: an arm with a small world behind it, and cameras that do as they are told."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from h2r_bench.real.cameras import CameraError, Frame
from h2r_bench.types import Demonstration, Float32Array, UInt8Array

from arm_fakes import HandClock, RecordingArm

SIZE = (32, 24)


def demonstration(length: int = 25, size: tuple[int, int] = SIZE) -> Demonstration:
    frames = np.zeros((length, size[1], size[0], 3), np.uint8)
    frames[:] = np.arange(length, dtype=np.uint8)[:, None, None, None] * 5
    return Demonstration(frames, 10.0, "do it")


@dataclass(frozen=True)
class Shown:
    demonstration: Demonstration


class SmallWorld:
    """Succeeds where the seed of the trial is even; keeps what it was asked."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.scenes: list[tuple[str, int, int]] = []
        self.frames = 0
        self.frozen_after: int | None = None
        self.expert_calls = 0

    def set_scene(self, task: str, seed: int, trial: int, *, cue: str, shift_cm: float) -> Shown:
        self.scenes.append((task, seed, trial))
        return Shown(demonstration())

    def frame(self) -> Frame:
        if self.frozen_after is None or self.frames < self.frozen_after:
            self.frames += 1
            self._latest = Frame(
                np.full((SIZE[1], SIZE[0], 3), self.frames % 250, np.uint8), self.clock.now(), self.frames
            )
        return self._latest

    def newest_frame_s(self) -> float:
        frozen = self.frozen_after is not None and self.frames >= self.frozen_after
        return self._latest.time_s if frozen else self.clock.now()

    def verdict(self) -> dict[str, Any]:
        success = self.scenes[-1][1] % 2 == 0
        return {
            "is_success": success,
            "progress": 1.0 if success else 0.5,
            "failure": "" if success else "missed",
        }

    def expert_script(self) -> str:
        return "script"

    def expert_action(self, script: str) -> Float32Array:
        assert script == "script"
        self.expert_calls += 1
        return np.array([0.45, 0.0, 0.2, 0, 0, 0, 1], np.float32)


class WorldArm(RecordingArm):
    """An arm with a world of its own, as the twin has."""

    name = "small"

    def __init__(self) -> None:
        super().__init__(HandClock())
        self.twin = SmallWorld(self.clock)


class BareArm(RecordingArm):
    """An arm that a person has to serve."""

    name = "bare"

    def __init__(self) -> None:
        super().__init__(HandClock())


class ScriptedSource:
    """A camera driver whose pictures are handed out one by one."""

    live = True

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._queue: list[UInt8Array | CameraError] = []
        self.opened = self.closed = 0

    def push(self, *items: UInt8Array | CameraError) -> None:
        with self._ready:
            self._queue += items
            self._ready.notify()

    def open(self) -> None:
        self.opened += 1

    def grab(self) -> tuple[UInt8Array, float]:
        with self._ready:
            while not self._ready.wait_for(lambda: self._queue, 0.05):
                if self.closed:
                    raise CameraError("closed")
            item = self._queue.pop(0)
        if isinstance(item, CameraError):
            raise item
        return item, time.monotonic()

    def close(self) -> None:
        self.closed += 1


class ClockCamera:
    """A fresh frame whenever one is asked for, on the arm's clock."""

    name = "clock"

    def __init__(self, clock: HandClock, size: tuple[int, int] = (640, 480)) -> None:
        self._clock, self._size, self._number = clock, size, 0
        self.open_now = False

    def open(self) -> None:
        self.open_now = True

    def latest(self, newer_than: int = -1, timeout_s: float = 0.2) -> Frame:
        self._number += 1
        image = np.full((self._size[1], self._size[0], 3), self._number % 250, np.uint8)
        return Frame(image, self._clock.now(), self._number)

    def newest_s(self) -> float:
        return self._clock.now()

    def close(self) -> None:
        self.open_now = False


class StillAgent:
    """Keeps the tool where it is; looks at 32x24 pictures and remembers what it saw."""

    image_size = SIZE

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.seen: list[dict[str, Any]] = []

    def reset(self, demonstration: Demonstration, instruction: str, seed: int) -> None:
        assert demonstration.frames.shape[1:3] == (SIZE[1], SIZE[0])
        self.seeds.append(seed)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> Any:
        self.seen.append(observation)
        return np.array([*observation["state"][:3], 0, 0, 0, 1], np.float32), state


class WristAgent(StillAgent):
    """Needs a camera that no bench has."""

    reads = ("image", "wrist_image")


class HugeAgent(StillAgent):
    """Wants more pixels than there are."""

    image_size = (1920, 1080)


class BreakingAgent(StillAgent):
    """Loses its server in the third step of its first trial."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> Any:
        from h2r_bench.types import AgentError

        if len(self.seen) == 2 and len(self.seeds) == 1:
            raise AgentError("the policy server hung up")
        return super().predict(observation, state)
