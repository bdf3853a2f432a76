from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.evaluation.action_queue import ActionQueue
from h2r_bench.evaluation.latency import DelayedAgent, delayed, stay
from h2r_bench.evaluation.runner import InputError, check_latency
from h2r_bench.real.arms.base import MonotonicClock
from h2r_bench.real.session.policy_runner import (
    AgentHangsError,
    AsyncChunkRunner,
    SyncRunner,
    make_policy_runner,
)
from h2r_bench.types import AgentInfo, ChunkAgent, Demonstration, Float32Array, PrivilegedAgent

from arm_fakes import HandClock

NOTHING = Demonstration(np.zeros((3, 2, 2, 3), np.uint8), 10.0, "")


def observation(step: int = 0) -> dict[str, Any]:
    state = np.array([0.4, 0.1, 0.2, 1, 0, 0, 0, 1, 0, 1.0], np.float32)
    return {"state": state, "step": step}


class Counter:
    """Its action says from which observation it was made."""

    weights_hash = "abc"

    def __init__(self) -> None:
        self.calls = 0

    def reset(self, demonstration: Any, instruction: str, seed: int) -> None:
        self.calls = 0

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> Any:
        self.calls += 1
        return np.full(7, observation["step"], np.float32), (state or 0) + 1


class Planner(Counter):
    """Its chunk says for which step each action is, and from which observation it was made."""

    def __init__(self, execute: int = 4, chunk: int = 8) -> None:
        super().__init__()
        self.execute, self.chunk = execute, chunk

    def plan(self, observation: Any, step: int) -> Float32Array:
        self.calls += 1
        actions = np.zeros((self.chunk, 7), np.float32)
        actions[:, 0] = step + np.arange(self.chunk)
        actions[:, 1] = observation["step"]
        return actions


class Seer(Counter):
    def bind(self, env: Any) -> None:
        self.env = env


def test_which_agents_can_be_asked_for_chunks() -> None:
    assert isinstance(Planner(), ChunkAgent)
    assert not isinstance(Counter(), ChunkAgent)


@given(st.integers(0, 6), st.integers(1, 20))
def test_late_actions_answer_old_observations(delay: int, steps: int) -> None:
    agent = DelayedAgent(Counter(), delay)
    agent.reset(NOTHING, "", 0)
    actions = [agent.predict(observation(step))[0] for step in range(steps)]
    for step, action in enumerate(actions):
        if step < delay:
            np.testing.assert_array_equal(action, stay(observation()))
        else:
            assert action[0] == step - delay


@given(st.integers(0, 4), st.integers(1, 4), st.integers(1, 40))
def test_late_chunks_keep_to_the_step_they_were_made_for(delay: int, execute: int, steps: int) -> None:
    agent = DelayedAgent(Planner(execute), delay)
    agent.reset(NOTHING, "", 0)
    for step in range(steps):
        action, _ = agent.predict(observation(step))
        assert action[0] == step  # a chunk of 8 outlasts every delay here
        made = int(action[1])
        assert made == 0 or step - made >= delay
        assert step - made < execute + delay


def test_chunk_that_is_used_up_repeats_its_last_action() -> None:
    player = ActionQueue(2)
    assert player.action(0) is None
    player.put(3, np.arange(14, dtype=np.float32).reshape(2, 7))
    assert player.action(4) is not None
    np.testing.assert_array_equal(player.action(4), player.action(99))


def test_delayed_agent_is_the_agent_otherwise() -> None:
    counter = Counter()
    assert delayed(counter, 0) is counter
    late: Any = delayed(counter, 2)
    assert AgentInfo.of(late) == AgentInfo.of(counter) == AgentInfo(weights_hash="abc")
    assert not isinstance(late, PrivilegedAgent)
    seer = Seer()
    late = delayed(seer, 1)
    assert isinstance(late, PrivilegedAgent)
    late.bind("env")
    assert seer.env == "env"


def test_a_new_trial_forgets_what_was_late() -> None:
    agent = DelayedAgent(Counter(), 3)
    agent.reset(NOTHING, "", 0)
    for step in range(5):
        agent.predict(observation(100 + step))
    agent.reset(NOTHING, "", 1)
    np.testing.assert_array_equal(agent.predict(observation(0))[0], stay(observation()))


def test_stay_keeps_the_pose_and_the_gripper() -> None:
    np.testing.assert_allclose(stay(observation()), [0.4, 0.1, 0.2, 0, 0, 0, 0.5], atol=1e-6)


@pytest.mark.parametrize("latency", [-100, 50, 130])
def test_latency_between_control_steps_is_refused(latency: int) -> None:
    with pytest.raises(InputError, match="multiple of 100 ms"):
        check_latency(latency)


# --- on an arm ---------------------------------------------------------------------------------------------


def test_mind_of_an_agent_without_chunks_asks_in_every_step() -> None:
    agent = Counter()
    policy_runner = make_policy_runner(agent, HandClock())
    assert isinstance(policy_runner, SyncRunner)
    policy_runner.begin(observation(0))
    assert [policy_runner.action(observation(step), step)[0] for step in (0, 1, 4)] == [0, 1, 4]
    assert policy_runner.made_at() == 4


def test_mind_of_an_agent_with_chunks_never_waits_for_it() -> None:
    go = threading.Event()

    class Slow(Planner):
        def plan(self, observation: Any, step: int) -> Float32Array:
            if step:
                assert go.wait(10.0)
            return super().plan(observation, step)

    policy_runner = make_policy_runner(Slow(execute=2), HandClock())
    assert isinstance(policy_runner, AsyncChunkRunner)
    policy_runner.begin(observation(0))
    made = []
    for step in range(6):
        action = policy_runner.action(observation(step), step)
        assert action[0] == step
        made.append(policy_runner.made_at())
    assert made == [0] * 6  # still computing
    go.set()
    assert policy_runner._question.come(10.0)
    assert policy_runner.action(observation(6), 6)[1] == 2
    assert policy_runner.made_at() == 2
    policy_runner.end()


def test_what_breaks_while_computing_is_raised() -> None:
    class Breaks(Planner):
        def plan(self, observation: Any, step: int) -> Float32Array:
            if step:
                raise ValueError("gone")
            return super().plan(observation, step)

    policy_runner = AsyncChunkRunner(Breaks(execute=1), HandClock())
    policy_runner.begin(observation(0))
    policy_runner.action(observation(1), 1)
    assert policy_runner._question.come(10.0)
    with pytest.raises(ValueError, match="gone"):
        policy_runner.action(observation(2), 2)
    policy_runner.end()


def test_chunks_of_one_action_are_waited_for() -> None:
    policy_runner = AsyncChunkRunner(Planner(execute=1, chunk=1), HandClock())
    policy_runner.begin(observation(0))
    for step in (1, 2, 5):
        assert policy_runner.action(observation(step), step)[1] == step
        assert policy_runner.made_at() == step
    policy_runner.end()


class Hanging(Planner):
    """Answers the first time and never again."""

    def __init__(self) -> None:
        super().__init__(execute=2)
        self.go = threading.Event()

    def plan(self, observation: Any, step: int) -> Float32Array:
        if step:
            self.go.wait(60.0)
        return super().plan(observation, step)


class HangingInEachStep(Counter):
    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def predict(self, *arguments: Any, **named: Any) -> Any:
        self.go.wait(60.0)
        return super().predict(*arguments, **named)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Hanging, HangingInEachStep])
def test_an_agent_that_hangs_is_a_fault_after_two_seconds_and_is_not_waited_for(kind: type[Any]) -> None:
    agent = kind()
    policy_runner = make_policy_runner(agent, MonotonicClock())
    policy_runner.begin(observation(0))
    start = time.monotonic()

    def act_on() -> None:
        for step in range(1, 60):
            policy_runner.action(observation(step), step)
            time.sleep(0.1)

    with pytest.raises(AgentHangsError, match="2 s"):
        act_on()
    assert time.monotonic() - start > 1.9
    ended = time.monotonic()
    policy_runner.end()
    assert time.monotonic() - ended < 30.0  # it would hang for a minute
    assert policy_runner.busy  # so nobody resets it
    agent.go.set()


def test_time_that_stands_still_while_the_agent_computes_does_not_count() -> None:
    clock, agent = HandClock(), Hanging()
    policy_runner = AsyncChunkRunner(agent, clock)
    policy_runner.begin(observation(0))
    for step in range(1, 30):
        clock.sleep_until(step / 10)
        policy_runner.action(observation(step), step)  # by this computer's clock it was asked just now
    agent.go.set()
    policy_runner.end()
    assert not policy_runner.busy
