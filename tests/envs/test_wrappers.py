"""Rescaled and relative actions, dense reward, and learning from them."""

from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3 import SAC

from h2r_bench.envs.env import TabletopEnv
from h2r_bench.envs.wrappers import DeltaAction, rescaled


def test_rescaled_actions_span_the_same_box() -> None:
    env = rescaled(TabletopEnv("push_pull", obs="state"))
    inner = env.unwrapped.action_space
    assert np.all(env.action_space.low == -1)
    assert np.all(env.action_space.high == 1)
    np.testing.assert_allclose(env.action(np.ones(7, np.float32)), inner.high, rtol=1e-5)
    np.testing.assert_allclose(env.action(-np.ones(7, np.float32)), inner.low, rtol=1e-5)


def test_relative_actions_move_from_the_last_target() -> None:
    env = DeltaAction(TabletopEnv("push_pull", obs="state"))
    env.reset(seed=0)
    before = env.unwrapped.simulation.target
    env.step(np.array([0, 1, 0, 0, 0, 1, 1], np.float32))
    after = env.unwrapped.simulation.target
    np.testing.assert_allclose(after.position - before.position, [0, 0.03, 0], atol=1e-6)
    assert after.yaw - before.yaw == pytest.approx(0.15, abs=1e-6)
    env.step(np.zeros(7, np.float32))
    np.testing.assert_allclose(env.unwrapped.simulation.target.position, after.position, atol=1e-6)


@pytest.mark.parametrize("task", ["push_pull", "pick_place", "rotation"])
def test_the_dense_reward_of_the_expert_beats_that_of_idling(task: str) -> None:
    env = TabletopEnv(task, obs="state", reward="dense")
    returns = []
    for moving in (True, False):
        env.reset(seed=3)
        script, idle = env.expert_script(), env.simulation.target
        rest = np.concatenate([idle.position, idle.rotvec, [1.0]])
        steps = (env.step(env.expert_action(script) if moving else rest) for _ in range(env.horizon))
        returns.append(sum(reward for _, reward, *_ in steps))
    assert returns[0] > returns[1] + 1


def test_sac_starts() -> None:
    env = DeltaAction(TabletopEnv("push_pull", obs="state", reward="dense"))
    model = SAC("MultiInputPolicy", env, learning_starts=20, batch_size=16, buffer_size=200, seed=0)
    model.learn(40)
    action, _ = model.predict(env.reset(seed=0)[0])
    assert action.shape == (7,)
