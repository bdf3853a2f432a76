"""The environments, every registered task in turn."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import h2r_bench
from h2r_bench.envs.demonstration.recording import record_episode
from h2r_bench.envs.env import TabletopEnv
from h2r_bench.envs.registration import GYM_IDS
from h2r_bench.envs.tasks import TASKS, Cue
from h2r_bench.registry import UnknownNameError
from h2r_bench.types import CLIP_LENGTH, decode_instruction

SMALL = (32, 32)


def run_random(env: TabletopEnv, steps: int, seed: int) -> list[np.ndarray]:
    """States along a seeded random motion."""
    rng = np.random.default_rng(seed)
    low, high = env.action_space.low, env.action_space.high
    return [env.step(rng.uniform(low, high))[0]["state"] for _ in range(steps)]


@pytest.fixture(scope="module")
def env() -> TabletopEnv:
    """One environment that the cheap tests share."""
    return TabletopEnv("pick_place", image_size=SMALL)


def test_every_task_has_a_gymnasium_id() -> None:
    h2r_bench.register_all()
    assert set(GYM_IDS) == set(TASKS)
    for gym_id in GYM_IDS.values():
        assert gymnasium.spec(gym_id).max_episode_steps is None


def test_the_state_preset_passes_the_checkers_and_renders_nothing() -> None:
    made = TabletopEnv("rotation", obs="state", cue="video")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(made, skip_render_check=True)
        sb3_check_env(made)
    observation, info = made.reset(seed=1)
    assert observation["props"].shape == (4, 4)
    assert info["demonstration"].frames.size == 0


@pytest.mark.parametrize("task", list(TASKS))
def test_two_environments_side_by_side_agree_bit_for_bit(task: str) -> None:
    first, second = (TabletopEnv(task, cue="video", image_size=SMALL) for _ in range(2))
    second.reset(seed=99)  # another history must not matter
    run_random(second, 5, 1)
    one, info_one = first.reset(seed=7)
    two, info_two = second.reset(seed=7)
    assert info_one["instruction"] == info_two["instruction"]
    for key in one:
        np.testing.assert_array_equal(one[key], two[key])
    np.testing.assert_array_equal(info_one["demonstration"].frames, info_two["demonstration"].frames)
    np.testing.assert_array_equal(run_random(first, 20, 3), run_random(second, 20, 3))
    np.testing.assert_array_equal(first.render(), second.render())


def test_seeds_draw_different_scenes(env: TabletopEnv) -> None:
    texts = {env.reset(seed=seed)[1]["instruction"] for seed in range(6)}
    assert len(texts) > 3


def test_the_observation_is_what_the_table_says(env: TabletopEnv) -> None:
    observation, info = env.reset(seed=3)
    demonstration = info["demonstration"]
    assert decode_instruction(observation["instruction"]) == info["instruction"]
    np.testing.assert_array_equal(observation["human_clip"], demonstration.frames[:CLIP_LENGTH])
    assert observation["state"][9] == pytest.approx(1.0, abs=0.02)
    for step in range(1, 4):
        observation, *_ = env.step(env.action_space.sample())
        np.testing.assert_array_equal(observation["human_clip"][0], demonstration.frames[step])


def test_the_clip_repeats_the_last_frame_at_the_end(env: TabletopEnv) -> None:
    demonstration = env.reset(seed=3)[1]["demonstration"]
    clip = demonstration.clip(len(demonstration) - 2)
    np.testing.assert_array_equal(clip[1], clip[-1])


def test_a_trial_lasts_the_demonstration_plus_two_seconds() -> None:
    env = TabletopEnv("push_pull", obs="state")
    _, info = env.reset(seed=2)
    action = np.array([0.45, 0, 0.2, 0, 0, 0, 1], np.float32)
    for step in range(1, len(info["demonstration"]) + 21):
        _, reward, terminated, truncated, info = env.step(action)
        assert not terminated
        assert truncated == (step == env.horizon)
    assert reward == 0.0
    assert info["failure"] == "object never touched"
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        env.step(action)


@pytest.mark.parametrize("cue", ["scene", "video"])
@pytest.mark.parametrize("task", list(TASKS))
def test_the_expert_succeeds_and_doing_nothing_does_not(task: str, cue: str) -> None:
    env = TabletopEnv(task, cue=cue, obs="state", shift_cm=2.0)
    env.reset(seed=11)
    start = env.simulation.target
    idle = np.concatenate([start.position, start.rotvec, [1.0]])
    script, expert_ends = env.expert_script(), {}
    for _ in range(env.horizon):
        *_, expert_ends = env.step(env.expert_action(script))
    assert expert_ends["is_success"], expert_ends
    assert expert_ends["progress"] == 1.0
    env.reset(seed=11)
    for _ in range(env.horizon):
        *_, idle_ends = env.step(idle)
    assert not idle_ends["is_success"]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros(6), "shape"),
        (np.full(7, np.nan), "finite"),
        (np.full(7, np.inf), "finite"),
        ([[0.0] * 7], "shape"),
    ],
)
def test_bad_actions_are_refused_and_change_nothing(env: TabletopEnv, action: object, message: str) -> None:
    env.reset(seed=1)
    before = env.simulation.state()
    with pytest.raises(ValueError, match=message):
        env.step(action)
    np.testing.assert_array_equal(before, env.simulation.state())
    assert env.steps_taken == 0


def test_targets_outside_the_limits_are_brought_inside_and_reported(env: TabletopEnv) -> None:
    env.reset(seed=1)
    *_, info = env.step(np.array([5.0, 0, -1.0, 0, 0, 3.1, 1]))
    assert set(info["clipped"]) >= {"workspace", "speed"}
    assert np.all(env.simulation.target.position <= env.simulation.limits.workspace_high)


@pytest.mark.parametrize(
    "arguments",
    [
        {"cue": "words"},
        {"shift_cm": -1.0},
        {"shift_cm": 50.0},
        {"image_size": (4, 4)},
        {"obs": "pixels"},
        {"render_mode": "ansi"},
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        TabletopEnv("pick_place", **arguments)


def test_an_unknown_task_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="pick_place"):
        TabletopEnv("pick_plac")


def test_step_before_reset_and_unknown_options() -> None:
    env = TabletopEnv("pick_place", obs="state")
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(7))
    with pytest.raises(ValueError, match="colour"):
        env.reset(options={"colour": "red"})


@pytest.mark.parametrize("cue", ["scene", "video"])
def test_a_training_episode_can_be_played_again(cue: Cue) -> None:
    episode = record_episode("rotation", 5, cue=cue, image_size=(32, 32))
    env = TabletopEnv("rotation", cue=cue, image_size=(32, 32))
    observation, info = env.reset(seed=3, options={"episode": 5})
    assert env.pair.robot_scene.describe() == episode.scene["robot"]
    assert info["instruction"] == episode.instruction
    np.testing.assert_array_equal(info["demonstration"].frames, episode.human)
    np.testing.assert_array_equal(observation["human_clip"], episode.human[: len(observation["human_clip"])])
    assert env.reset(seed=3)[1]["instruction"] == env.reset(seed=3)[1]["instruction"]
    with pytest.raises(ValueError, match="'episode' is a number"):
        env.reset(options={"episode": -1})
    env.close()


def test_unstable_physics_ends_the_trial_as_failed() -> None:
    env = TabletopEnv("pick_place", obs="state")
    env.reset(seed=0)
    env.simulation.data.qvel[:] = 1e12
    *_, terminated, truncated, info = env.step(env.action_space.sample())
    assert terminated
    assert not truncated
    assert info["failure"] == "physics"
    assert not info["is_success"]
