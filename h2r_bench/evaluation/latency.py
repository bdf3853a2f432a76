"""Delayed actions: what a slow network or policy costs, known before an arm moves."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from h2r_bench.evaluation.action_queue import ActionQueue
from h2r_bench.geometry import matrix_from_6d, matrix_to_rotvec
from h2r_bench.types import Agent, AgentInfo, ChunkAgent, Demonstration, Float32Array, PrivilegedAgent

if TYPE_CHECKING:
    from collections.abc import Mapping


def stay(observation: Mapping[str, Any]) -> Float32Array:
    """The action (7,) that keeps the tool where `observation` shows it, and the gripper as it is."""
    state = np.asarray(observation["state"], np.float64)
    rotvec = matrix_to_rotvec(matrix_from_6d(state[3:9]))
    return np.concatenate([state[:3], rotvec, [0.5]]).astype(np.float32)


class DelayedAgent:
    """An agent whose actions come `delay` control steps after the observation they answer.

    What a slow network or policy costs, known before an arm moves. An agent that predicts chunks goes on
    with the previous one meanwhile, as on the physical arm, where the trial begins with its first chunk; of
    any other agent the tool stays where it is for the first `delay` steps.
    """

    def __init__(self, agent: Agent, delay: int) -> None:
        """Delay `agent` by `delay` control steps."""
        self.agent, self.delay = agent, delay
        self._late: deque[tuple[int, Float32Array]] = deque()
        self._player = ActionQueue(None)
        self._step = 0
        self._inner: Any = None

    @property
    def agent_info(self) -> AgentInfo:
        """What the agent itself says."""
        return AgentInfo.of(self.agent)

    def reset(self, demonstration: Demonstration, instruction: str, seed: int) -> None:
        """Start a trial."""
        self.agent.reset(demonstration, instruction, seed)
        self._late.clear()
        self._player = ActionQueue(self.agent_info.execute)
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


class PrivilegedDelayedAgent(DelayedAgent):
    """A delayed agent that is privileged."""

    def bind(self, env: Any) -> None:
        """Receive the unwrapped environment."""
        assert isinstance(self.agent, PrivilegedAgent)
        self.agent.bind(env)


def delayed(agent: Agent, delay: int) -> Agent:
    """`agent` with its actions `delay` control steps late; itself for no delay."""
    if delay == 0:
        return agent
    return (PrivilegedDelayedAgent if isinstance(agent, PrivilegedAgent) else DelayedAgent)(agent, delay)
