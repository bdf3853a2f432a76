from __future__ import annotations

import numpy as np

from h2r_bench.policies.random_agent import RandomAgent

from fakes import FakeEnv


def test_random_agent_holds_and_changes_targets() -> None:
    agent = RandomAgent(hold_steps=3)
    agent.reset(None, "", 5)  # type: ignore[arg-type]
    env = FakeEnv()
    observation, _ = env.reset(seed=0)
    actions, state = [], None
    for _ in range(6):
        action, state = agent.predict(observation, state)
        actions.append(action)
    assert all(env.action_space.contains(action) for action in actions)
    assert np.array_equal(actions[0], actions[2])
    assert not np.array_equal(actions[2], actions[3])
    agent.reset(None, "", 6)  # type: ignore[arg-type]
    assert not np.array_equal(agent.predict(observation)[0], actions[0])


def test_random_agent_takes_batches() -> None:
    agent = RandomAgent(hold_steps=1)
    batch = {"state": np.zeros((3, 10), np.float32)}
    first, state = agent.predict(batch, None, np.ones(3, bool))
    second, _ = agent.predict(batch, state, np.array([False, True, False]))
    assert first.shape == (3, 7)
    assert not np.array_equal(first[0], first[1])
    assert np.array_equal(first[1], second[1])  # its episode began anew
    assert not np.array_equal(first[0], second[0])
