"""A world small enough to test the runner in milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from h2r_bench.types import (
    CLIP_LENGTH,
    Demonstration,
    Float32Array,
    UInt8Array,
    action_space,
    encode_instruction,
    observation_space,
)

SIZE = (32, 24)


class FakeEnv:
    """Keeps the environment's contract; succeeds where the seed and the first action say so."""

    horizon = 12

    def __init__(self, success_rate: float = 0.5) -> None:
        self.success_rate = success_rate
        self.observation_space = observation_space(SIZE)
        self.action_space = action_space()
        self.closed = False
        self.resets = 0

    @property
    def unwrapped(self) -> FakeEnv:
        return self

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        self._rng = np.random.default_rng(seed)
        self.resets += 1
        self._step = 0
        self._luck = self._rng.random()
        frames = self._rng.integers(0, 255, (8, SIZE[1], SIZE[0], 3), np.uint8)
        self._demonstration = Demonstration(frames, 10.0, "do it")
        verdict = {"is_success": False, "progress": 0.0, "failure": "missed"}
        return self._observe(), {"demonstration": self._demonstration, "instruction": "do it", **verdict}

    def step(self, action: Float32Array) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(np.asarray(action, np.float32))
        self._step += 1
        success = self._luck < self.success_rate and self._step == self.horizon
        info = {
            "is_success": success,
            "progress": 1.0 if success else float(action[6]) / 2,
            "failure": "" if success else "missed",
        }
        return self._observe(), float(success), False, self._step == self.horizon, info

    def render(self) -> UInt8Array:
        return np.full((SIZE[1], SIZE[0], 3), 10 * self._step, np.uint8)

    def close(self) -> None:
        self.closed = True

    def _observe(self) -> dict[str, Any]:
        return {
            "image": self.render(),
            "state": np.zeros(10, np.float32),
            "human_clip": self._demonstration.clip(self._step, CLIP_LENGTH),
            "instruction": encode_instruction("do it"),
        }
