"""Chunks of actions under latency: which action is due while a newer chunk is still being computed.

An agent that predicts chunks (`h2r_bench.types.ChunkAgent`) is asked for the next one every `execute` steps,
from the observation of that step. While it computes, the actions of the previous chunk are carried out; when
the new one arrives `d` steps later, its first `d` actions are in the past and it is entered at the `d`-th.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from h2r_bench.rotations import matrix_from_6d, matrix_to_rotvec
from h2r_bench.types import Agent, ChunkAgent, Demonstration, Float32Array, PrivilegedAgent

if TYPE_CHECKING:
    from collections.abc import Mapping


class ChunkPlayer:
    """Plays the newest chunk by the step, not by the count of calls."""

    def __init__(self, execute: int | None) -> None:
        """A new chunk is due every `execute` control steps; None: when half of the last one is used up."""
        self._execute = execute
        self._asked: int | None = None
        self._made_at = 0
        self._actions: Float32Array | None = None

    def due(self, step: int) -> bool:
        """Whether a new chunk shall be asked for at `step`."""
        if self._asked is None or self._actions is None:
            return self._asked is None
        return step >= self._asked + (self._execute or max(1, len(self._actions) // 2))

    def asked(self, step: int) -> None:
        """A chunk was asked for with the observation of `step`."""
        self._asked = step

    def put(self, made_at: int, actions: Float32Array) -> None:
        """The chunk (n, 7) made from the observation of step `made_at`, for then and later, has arrived."""
        self._made_at, self._actions = made_at, actions

    def used_up(self, step: int) -> bool:
        """Whether the newest chunk says nothing of `step` any more."""
        return self._actions is None or step - self._made_at >= len(self._actions)

    def action(self, step: int) -> Float32Array | None:
        """The action (7,) for `step`, the chunk's last one beyond its end; None before the first chunk."""
        if self._actions is None:
            return None
        action: Float32Array = self._actions[min(step - self._made_at, len(self._actions) - 1)]
        return action


def stay(observation: Mapping[str, Any]) -> Float32Array:
    """The action (7,) that keeps the tool where `observation` shows it, and the gripper as it is."""
    state = np.asarray(observation["state"], np.float64)
    rotvec = matrix_to_rotvec(matrix_from_6d(state[3:9]))
    return np.concatenate([state[:3], rotvec, [0.5]]).astype(np.float32)


class LateAgent:
    """An agent whose actions come `delay` control steps after the observation they answer.

    What a slow network or policy costs, known before an arm moves. An agent that predicts chunks goes on
    with the previous one meanwhile, as on the physical arm, where the trial begins with its first chunk; of
    any other agent the tool stays where it is for the first `delay` steps.
    """

    def __init__(self, agent: Agent, delay: int) -> None:
        """Delay `agent` by `delay` control steps."""
        self.agent, self.delay = agent, delay
        self._late: deque[tuple[int, Float32Array]] = deque()
        self._player = ChunkPlayer(None)
        self._step = 0
        self._inner: Any = None

    def __getattr__(self, name: str) -> Any:
        # Everything else (weights_hash, image_size, needs_images, world) is the agent's own.
        return getattr(self.agent, name)

    def reset(self, demonstration: Demonstration, instruction: str, seed: int) -> None:
        """Start a trial."""
        self.agent.reset(demonstration, instruction, seed)
        self._late.clear()
        self._player = ChunkPlayer(getattr(self.agent, "execute", None))
        self._step, self._inner = 0, None

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Float32Array, Any]:
        """The action (7,) that has arrived by now; one environment at a time."""
        step, self._step = self._step, self._step + 1
        if isinstance(self.agent, ChunkAgent):
            return self._of_chunks(self.agent, observation, step), state
        action, self._inner = self.agent.predict(observation, self._inner, episode_start, deterministic)
        self._late.append((step + self.delay, action))
        return (self._late.popleft()[1] if self._late[0][0] <= step else stay(observation)), state

    def _of_chunks(self, agent: ChunkAgent, observation: Any, step: int) -> Float32Array:
        if self._player.due(step):
            self._late.append((step, agent.plan(observation, step)))
            self._player.asked(step)
        while self._late and self._late[0][0] + (self.delay if self._late[0][0] else 0) <= step:
            self._player.put(*self._late.popleft())
        action = self._player.action(step)
        return stay(observation) if action is None else action


class PrivilegedLateAgent(LateAgent):
    """A late agent that looks behind the curtain."""

    def bind(self, env: Any) -> None:
        """Receive the unwrapped environment."""
        assert isinstance(self.agent, PrivilegedAgent)
        self.agent.bind(env)


def delayed(agent: Agent, delay: int) -> Agent:
    """`agent` with its actions `delay` control steps late; itself for no delay."""
    if delay == 0:
        return agent
    return (PrivilegedLateAgent if isinstance(agent, PrivilegedAgent) else LateAgent)(agent, delay)
