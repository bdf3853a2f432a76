"""The scripted expert: privileged, and the ceiling of what a policy can reach."""

from __future__ import annotations

from typing import Any

from h2r_bench.types import Demonstration, Float32Array


class ExpertAgent:
    """Reads the true scene from the environment and plays a script that solves it.

    Privileged: it sees neither image nor video. `bind` must be called before `reset`.
    """

    needs_images = False
    """It looks at no picture, so the runner need not draw any."""

    def __init__(self) -> None:
        self._env: Any = None
        self._script: Any = None

    def bind(self, env: Any) -> None:
        """Receive the unwrapped environment."""
        self._env = env

    def reset(self, demonstration: Demonstration, instruction: str, seed: int) -> None:
        """Plan for the scene that the environment now shows. Raises RuntimeError before `bind`."""
        if self._env is None:
            raise RuntimeError("the expert is privileged: call bind(env.unwrapped) before reset")
        self._script = self._env.expert_script()

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Float32Array, Any]:
        """The next action of the script, shape (7,)."""
        action: Float32Array = self._env.expert_action(self._script)
        return action, state
