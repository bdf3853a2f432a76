"""The contract that every agent keeps, with tiny weights made on the fly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from h2r_bench.policies.catalog import AGENTS
from h2r_bench.policies.h2r.encoders import resnet
from h2r_bench.types import (
    CLIP_LENGTH,
    Agent,
    Demonstration,
    action_space,
    encode_instruction,
    observation_space,
)

from tiny_agents import MAKERS, SIZE, TINY_RESNET


def learned(name: str) -> bool:
    return hasattr(AGENTS.get(name).find(), "from_pretrained")


def independent(name: str) -> bool:
    """Whether it acts under any Gymnasium loop: neither privileged nor in need of a server."""
    agent = AGENTS.get(name).find()
    return not any(hasattr(agent, word) for word in ("bind", "needs_truth", "Options"))


NAMES = [name for name in AGENTS if independent(name)]
LEARNED = [name for name in NAMES if learned(name)]


class Pixels(gymnasium.Env[dict[str, Any], np.ndarray]):
    """Seven steps of noise; all of it follows from the seed."""

    def __init__(self) -> None:
        self.observation_space = observation_space(SIZE)
        self.action_space = action_space()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        super().reset(seed=seed)
        self._step = 0
        frames = self.np_random.integers(0, 255, (8, *SIZE, 3), np.uint8)
        self.demonstration = Demonstration(frames, 10.0, "do it")
        return self._observe(), {"demonstration": self.demonstration}

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        assert action.shape == (7,)
        assert np.isfinite(action).all()
        self._step += 1
        return self._observe(), 1.0, False, self._step == 7, {}

    def _observe(self) -> dict[str, Any]:
        return {
            "image": self.np_random.integers(0, 255, (*SIZE, 3), np.uint8),
            "state": np.float32([0.5, 0.1 * self.np_random.random(), 0.1, 1, 0, 0, 0, 1, 0, 1]),
            "human_clip": self.demonstration.clip(self._step, CLIP_LENGTH),
            "instruction": encode_instruction("do it"),
        }


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {}


@pytest.fixture
def load(
    folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Agents by name; their weights are made once."""
    monkeypatch.setattr(resnet, "SIZES", TINY_RESNET)

    def load(name: str) -> Any:
        if not learned(name):
            return AGENTS.get(name).load()
        if name not in folders:
            folders[name] = MAKERS[name](tmp_path_factory.mktemp(name) / "weights")
        return AGENTS.get(name).load(folders[name])

    return load


def play(agent: Agent, seed: int, steps: int = 7) -> np.ndarray:
    """The actions (steps, 7) of an episode that `seed` decides, under a plain Gymnasium loop."""
    env = Pixels()
    observation, info = env.reset(seed=seed)
    agent.reset(info["demonstration"], "do it", seed)
    actions, state = [], None
    for step in range(steps):
        action, state = agent.predict(observation, state, np.array([step == 0]))
        observation, *_ = env.step(action)
        actions.append(action)
    return np.stack(actions)


def test_every_learned_agent_has_tiny_weights() -> None:
    assert set(LEARNED) <= set(MAKERS), "add a maker of tiny weights to tests/tiny_agents.py"


@pytest.mark.parametrize("name", NAMES)
def test_acts_under_a_plain_loop(load: Any, name: str) -> None:
    agent = load(name)
    assert isinstance(agent, Agent)
    actions = play(agent, 0)
    assert actions.dtype == np.float32
    observation, _ = Pixels().reset(seed=0)
    needed = {"state", *getattr(agent, "reads", observation)}
    agent.predict({key: value for key, value in observation.items() if key in needed})


@pytest.mark.parametrize("name", NAMES)
def test_acts_under_stable_baselines_in_a_vectorised_environment(load: Any, name: str) -> None:
    envs = DummyVecEnv([lambda: Monitor(Pixels())] * 2)
    rewards, lengths = evaluate_policy(load(name), envs, n_eval_episodes=3, return_episode_rewards=True)
    assert (rewards, lengths) == ([7.0] * 3, [7] * 3)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_actions(load: Any, name: str) -> None:
    agent = load(name)
    first = play(agent, 3)
    play(agent, 4, steps=3)
    np.testing.assert_array_equal(play(agent, 3), first)
    np.testing.assert_array_equal(play(load(name), 3), first)


@pytest.mark.parametrize("name", LEARNED)
def test_a_batch_does_what_its_members_would_alone(load: Any, name: str) -> None:
    agent, seeds = load(name), (5, 6)
    alone = []
    for seed in seeds:
        env = Pixels()
        observation, _ = env.reset(seed=seed)
        agent.reset(None, "", 1)
        actions = []
        for _ in range(5):
            actions.append(agent.predict(observation)[0])
            observation, *_ = env.step(actions[-1])
        alone.append(actions)
    envs = [Pixels() for _ in seeds]
    observations = [env.reset(seed=seed)[0] for env, seed in zip(envs, seeds, strict=True)]
    agent.reset(None, "", 1)
    for step in range(5):
        batch = {key: np.stack([each[key] for each in observations]) for key in observations[0]}
        actions, _ = agent.predict(batch)
        np.testing.assert_allclose(actions, [each[step] for each in alone], atol=1e-4)
        observations = [env.step(action)[0] for env, action in zip(envs, actions, strict=True)]


@pytest.mark.parametrize("name", LEARNED)
def test_an_episode_begins_anew_where_it_says(load: Any, name: str) -> None:
    agent = load(name)
    observations = [Pixels().reset(seed=seed)[0] for seed in (1, 2)]
    batch = {key: np.stack([each[key] for each in observations]) for key in observations[0]}
    agent.reset(None, "", 0)
    first, state = agent.predict(batch, None, np.array([True, True]))
    _, state = agent.predict(batch, state, np.array([False, False]))
    again, state = agent.predict(batch, state, np.array([True, False]))
    np.testing.assert_allclose(again[0], first[0], atol=1e-5)
    assert list(state.step) == [1, 3]


@pytest.mark.parametrize("name", LEARNED)
def test_weights_are_told_apart_and_know_their_world(load: Any, name: str) -> None:
    agent = load(name)
    assert len(agent.weights_hash) == 16
    assert agent.world == 1
    assert agent.image_size == SIZE


@pytest.mark.parametrize("name", LEARNED)
def test_weights_of_another_agent_are_refused(load: Any, folders: dict[str, Path], name: str) -> None:
    for other in ("blind", "hand_tracker"):
        if other != name:
            load(other)
            with pytest.raises((OSError, ValueError)):
                AGENTS.get(name).load(folders[other])


@pytest.mark.parametrize("name", LEARNED)
def test_missing_weights_say_how_to_get_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AGENTS.get(name).find(), "shipped", "no_such_weights")
    with pytest.raises(FileNotFoundError, match="says how to train them") as caught:
        AGENTS.get(name).load()
    assert "\n" not in str(caught.value)
