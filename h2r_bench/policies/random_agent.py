"""The floor: an agent that looks at nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from h2r_bench.types import Demonstration, Float32Array, action_space

HOLD_STEPS = 10
"""Control steps (1 s) for which a target is kept, so that the arm really travels instead of trembling."""


class RandomAgent:
    """Draws targets evenly from the whole action space and holds each for a second.

    Every target depends on the seed, the episode in a batch and the step alone.
    """

    needs_images = False
    """It looks at no picture, so the runner need not draw any."""

    def __init__(self, hold_steps: int = HOLD_STEPS) -> None:
        self.hold_steps = hold_steps
        self._space = action_space()
        self._seed = 0

    def reset(self, demonstration: Demonstration, instruction: str, seed: int) -> None:
        """Start a trial; only `seed` matters."""
        self._seed = seed

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Float32Array, Any]:
        """A random action, shape (7,), or (B, 7) for a batch; `state` counts steps, shape (1,) or (B,)."""
        proprioception = np.asarray(observation["state"] if hasattr(observation, "keys") else observation)
        batch = proprioception.shape[0] if proprioception.ndim > 1 else 1
        steps = np.zeros(batch, int) if state is None else np.array(state)
        if episode_start is not None:
            steps = np.where(np.asarray(episode_start, bool), 0, steps)
        actions = np.stack([self._target(row, int(step)) for row, step in enumerate(steps)])
        return (actions if proprioception.ndim > 1 else actions[0]), steps + 1

    def _target(self, row: int, step: int) -> Float32Array:
        """The action, shape (7,), of the episode in batch row `row` at its step `step`."""
        rng = np.random.default_rng((self._seed, row, step // self.hold_steps))
        return rng.uniform(self._space.low, self._space.high).astype(np.float32)
