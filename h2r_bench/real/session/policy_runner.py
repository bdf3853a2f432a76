"""How an agent is asked for actions while the arm moves."""

from __future__ import annotations

import time
from concurrent.futures import Future, wait
from typing import Any, Protocol

import numpy as np

from h2r_bench.evaluation.action_queue import ActionQueue
from h2r_bench.real.arms.base import Clock
from h2r_bench.real.errors import BridgeError
from h2r_bench.real.safety.worker import Worker
from h2r_bench.types import Agent, ChunkAgent, Float32Array

WAIT_S = 0.06
"""A chunk is waited for this long once the previous one is used up [s]; after that its last action holds."""
PATIENCE_S = 2.0
"""An agent that has not answered for this long while the arm may move hangs [s]."""
FIRST_PATIENCE_S = 120.0
"""The same before a trial, while the arm stands [s]: first answers may include compiling."""
_LOOK_S = 0.02
"""How often it is looked whether an answer that is waited for is overdue [s]."""
_LATE_S = 0.5
"""Before this [s] nobody asks what the session's clock says of an answer that is waited for."""


class AgentHangsError(BridgeError):
    """The agent does not answer."""


class PolicyRunner(Protocol):
    """Gives the action for each control step."""

    @property
    def busy(self) -> bool:
        """Whether the agent still computes an answer: it must not be reset meanwhile."""

    def begin(self, observation: Any) -> None:
        """Compute what must be there before the trial's clock starts; the arm stands still meanwhile.

        Raises AgentHangsError when that takes longer than `FIRST_PATIENCE_S`.
        """

    def action(self, observation: Any, step: int) -> Float32Array:
        """The action (7,) for `step`, counted in time: steps that were missed are skipped.

        Raises AgentHangsError for an agent that has not answered for `PATIENCE_S`, and what the agent raised.
        """

    def made_at(self) -> int:
        """The step whose observation the last action answers."""

    def end(self) -> None:
        """The trial is over: wait for what is under way, `PATIENCE_S` at most."""


class _Question:
    """What an agent was asked, in a thread of its own; it may never answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._worker = Worker("agent")
        self._coming: Future[Any] | None = None
        self._since = 0.0
        self._late_since: float | None = None
        """When the answer was found to be late, on the session's clock [s]."""

    @property
    def open(self) -> bool:
        """Whether an answer is to be taken, come or not."""
        return self._coming is not None

    @property
    def busy(self) -> bool:
        """Whether the agent still computes."""
        return self._coming is not None and not self._coming.done()

    def ask(self, call: Any) -> None:
        """Let the agent compute."""
        self._since, self._late_since = time.monotonic(), None
        self._coming = self._worker.submit(call)

    def come(self, wait_s: float = 0.0) -> bool:
        """Whether an answer can be taken, within `wait_s` [s]."""
        return self._coming is not None and bool(wait([self._coming], wait_s).done)

    def take(self) -> Any:
        """The answer that has come, or what the agent raised instead."""
        assert self._coming is not None
        come, self._coming = self._coming, None
        return come.result()

    def check(self, patience_s: float = PATIENCE_S) -> None:
        """Raise AgentHangsError when it has computed for too long.

        By this computer's clock and by the session's: where simulated time waits for the agent, its own is
        not counted.
        """
        wall_s = time.monotonic() - self._since
        if not self.busy or wall_s < _LATE_S:
            return
        now = self._clock.now()
        if self._late_since is None:
            self._late_since = now - _LATE_S
        if min(wall_s, now - self._late_since) > patience_s:
            raise AgentHangsError(f"the agent has not answered for {patience_s:g} s")

    def answer(self, patience_s: float = PATIENCE_S) -> Any:
        """Wait for the answer and take it. Raises AgentHangsError."""
        while not self.come(_LOOK_S):
            self.check(patience_s)
        return self.take()

    def drop(self) -> None:
        """Let what is under way end, `PATIENCE_S` at most."""
        if self.come(max(0.0, self._since + PATIENCE_S - time.monotonic())):
            self._coming = None


class SyncRunner:
    """Asks the agent in every step and waits for its answer."""

    def __init__(self, agent: Agent, clock: Clock) -> None:
        self._agent = agent
        self._question = _Question(clock)
        self._state: Any = None
        self._first, self._step = True, 0

    @property
    def busy(self) -> bool:
        """Whether the agent still computes."""
        return self._question.busy

    def begin(self, observation: Any) -> None:
        """Nothing is to be computed."""
        self._state, self._first, self._step = None, True, 0

    def action(self, observation: Any, step: int) -> Float32Array:
        """The agent's answer to `observation`, shape (7,)."""
        start, state = np.array([self._first]), self._state
        self._question.ask(lambda: self._agent.predict(observation, state, start, deterministic=True))
        action, self._state = self._question.answer()
        self._first, self._step = False, step
        return np.asarray(action, np.float32)

    def made_at(self) -> int:
        """The step of the last action."""
        return self._step

    def end(self) -> None:
        """Wait for the answer under way, if there is one."""
        self._question.drop()


class AsyncChunkRunner:
    """Computes the next chunk in a thread of its own while the previous one is carried out.

    Chunks of one action leave nothing to carry out meanwhile: then it waits, as for any other agent.
    """

    def __init__(self, agent: ChunkAgent, clock: Clock) -> None:
        self._agent = agent
        self._question = _Question(clock)
        self._player = ActionQueue(agent.execute)
        self._asked = self._made_at = 0

    @property
    def busy(self) -> bool:
        """Whether the agent still computes."""
        return self._question.busy

    def begin(self, observation: Any) -> None:
        """Compute the first chunk."""
        self._player = ActionQueue(self._agent.execute)
        self._made_at = 0
        self._ask(observation, 0)
        self._player.put(0, self._question.answer(FIRST_PATIENCE_S))

    def action(self, observation: Any, step: int) -> Float32Array:
        """What the newest chunk says for `step`, shape (7,). Raises whatever the agent raised."""
        self._take(wait_s=0.0)
        if not self._question.open and self._player.due(step):
            self._ask(observation, step)
        if self._player.used_up(step):
            self._take(WAIT_S)
        self._question.check()
        action = self._player.action(step)
        if action is None:
            raise RuntimeError("call begin before action")
        return action

    def _ask(self, observation: Any, step: int) -> None:
        self._player.asked(step)
        self._asked = step
        self._question.ask(lambda: self._agent.plan(observation, step))

    def _take(self, wait_s: float) -> None:
        """Take the chunk under way if it comes within `wait_s` [s]."""
        if self._question.come(wait_s):
            self._player.put(self._asked, self._question.take())
            self._made_at = self._asked

    def made_at(self) -> int:
        """The step whose observation the chunk in use answers."""
        return self._made_at

    def end(self) -> None:
        """Wait for the chunk under way."""
        self._question.drop()


def make_policy_runner(agent: Agent, clock: Clock) -> PolicyRunner:
    """The way to ask `agent`, on a session's `clock`: in the background when it can be asked for chunks."""
    return AsyncChunkRunner(agent, clock) if isinstance(agent, ChunkAgent) else SyncRunner(agent, clock)
