"""Open-loop tracking of the true hand: the ceiling of tracking without seeing."""

from __future__ import annotations

from typing import Any

import numpy as np

from h2r_bench.types import Demonstration, Float32Array

LEAD_STEPS = 2
"""The hand's pose this many steps ahead is commanded, since the arm arrives about that much later."""


class ReplayAgent:
    """Privileged: reads the simulator's true pinch point and opening from the demonstration, sees nothing."""

    needs_images = False
    """It looks at no picture, so the runner need not draw any."""

    needs_truth = True
    """It reads the simulator's knowledge of the hand."""

    def __init__(self, lead_steps: int = LEAD_STEPS) -> None:
        self.lead_steps = lead_steps
        self._actions: Float32Array | None = None
        self._step = 0

    def reset(self, demonstration: Demonstration, instruction: str, seed: int) -> None:
        """Take the hand's path. Raises ValueError for a demonstration without ground truth."""
        truth = demonstration.truth
        if truth is None:
            raise ValueError("replay tracks the true hand pose: it needs a simulated demonstration")
        ahead = np.minimum(np.arange(len(truth.tool_pose)) + self.lead_steps, len(truth.tool_pose) - 1)
        self._actions = np.concatenate([truth.tool_pose[ahead], truth.gripper[:, None]], axis=1)
        self._step = 0

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Float32Array, Any]:
        """The hand's pose a little ahead, shape (7,); the last one at the end."""
        if self._actions is None:
            raise RuntimeError("call reset before predict")
        action = self._actions[min(self._step, len(self._actions) - 1)]
        self._step += 1
        return action.astype(np.float32), state
