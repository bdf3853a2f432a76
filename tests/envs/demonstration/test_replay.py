"""Tracking the true hand open loop."""

from __future__ import annotations

import numpy as np
import pytest

from h2r_bench.envs.env import TabletopEnv
from h2r_bench.policies.replay import ReplayAgent
from h2r_bench.types import Demonstration


def test_replay_follows_the_hand_closely() -> None:
    env, agent = TabletopEnv("pick_place", obs="state"), ReplayAgent()
    observation, info = env.reset(seed=2)
    agent.reset(info["demonstration"], info["instruction"], 0)
    hand = info["demonstration"].truth.tool_pose
    apart = []
    for step in range(len(hand) - 1):
        action, _ = agent.predict(observation)
        observation, *_ = env.step(action)
        apart.append(np.linalg.norm(observation["state"][:3] - hand[step + 1, :3]))
    assert np.median(apart) < 0.01


def test_replay_needs_the_truth() -> None:
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="simulated"):
        ReplayAgent().reset(Demonstration(frames, 10.0, "Wave."), "Wave.", 0)
