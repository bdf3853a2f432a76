"""How an agent is asked for actions while the arm moves."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

import numpy as np

from h2r_bench.chunks import ChunkPlayer
from h2r_bench.types import Agent, ChunkAgent, Float32Array

WAIT_S = 0.06
"""A chunk is waited for this long once the previous one is used up [s]; after that its last action holds."""


class Mind(Protocol):
    """Gives the action for each control step."""

    def begin(self, observation: Any) -> None:
        """Compute what must be there before the trial's clock starts; the arm stands still meanwhile."""

    def action(self, observation: Any, step: int) -> Float32Array:
        """The action (7,) for `step`, counted in time: steps that were missed are skipped."""

    def made_at(self) -> int:
        """The step whose observation the last action answers."""

    def close(self) -> None:
        """Stop computing."""


class StepMind:
    """Asks the agent in every step and waits for its answer."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._state: Any = None
        self._first, self._step = True, 0

    def begin(self, observation: Any) -> None:
        """Nothing to do."""

    def action(self, observation: Any, step: int) -> Float32Array:
        """The agent's answer to `observation`, shape (7,)."""
        start = np.array([self._first])
        action, self._state = self._agent.predict(observation, self._state, start, deterministic=True)
        self._first, self._step = False, step
        return np.asarray(action, np.float32)

    def made_at(self) -> int:
        """The step of the last action."""
        return self._step

    def close(self) -> None:
        """Nothing to do."""


class ChunkMind:
    """Computes the next chunk in a thread of its own while the previous one is carried out.

    Chunks of one action leave nothing to carry out meanwhile: then it waits, as for any other agent.
    """

    def __init__(self, agent: ChunkAgent) -> None:
        self._agent = agent
        self._player = ChunkPlayer(agent.execute)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="chunks")
        self._coming: Future[Float32Array] | None = None
        self._asked = self._made_at = 0

    def begin(self, observation: Any) -> None:
        """Compute the first chunk."""
        self._player.put(0, self._agent.plan(observation, 0))
        self._player.asked(0)

    def action(self, observation: Any, step: int) -> Float32Array:
        """What the newest chunk says for `step`, shape (7,). Raises whatever the agent raised."""
        self._take(wait_s=0.0)
        if self._coming is None and self._player.due(step):
            self._player.asked(step)
            self._asked = step
            self._coming = self._worker.submit(self._agent.plan, observation, step)
        if self._player.used_up(step):
            self._take(WAIT_S)
        action = self._player.action(step)
        if action is None:
            raise RuntimeError("call begin before action")
        return action

    def _take(self, wait_s: float) -> None:
        """Take the chunk under way if it comes within `wait_s` [s]."""
        if self._coming is None or not wait([self._coming], wait_s).done:
            return
        self._player.put(self._asked, self._coming.result())
        self._made_at, self._coming = self._asked, None

    def made_at(self) -> int:
        """The step whose observation the chunk in use answers."""
        return self._made_at

    def close(self) -> None:
        """Wait for the chunk under way and stop."""
        self._worker.shutdown(wait=True, cancel_futures=True)


def mind_of(agent: Agent) -> Mind:
    """The way to ask `agent`: in the background when it can be asked for chunks."""
    return ChunkMind(agent) if isinstance(agent, ChunkAgent) else StepMind(agent)
