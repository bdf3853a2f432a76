from __future__ import annotations

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

import h2r_bench
from h2r_bench.envs.registration import GYM_IDS
from h2r_bench.envs.tasks import TASKS

# Both recommend actions in [-1, 1] and flat observations; metres and a clip of frames are on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_every_task_has_an_id_and_every_id_a_task() -> None:
    assert set(GYM_IDS) == set(TASKS)
    for task, gym_id in GYM_IDS.items():
        spec = gymnasium.spec(gym_id)
        assert spec.kwargs == {"task": task}
        assert spec.max_episode_steps is None  # the environment truncates itself


def test_ids_follow_from_names() -> None:
    for task, gym_id in GYM_IDS.items():
        assert gym_id == f"h2r_bench/{task.title().replace('_', '')}-v0"


def test_registering_again_changes_nothing() -> None:
    before = {name: gymnasium.registry[name] for name in GYM_IDS.values()}
    h2r_bench.register_all()
    assert all(gymnasium.registry[name] is spec for name, spec in before.items())


QUICK = ("pick_place", "brand_new")
"""Tasks whose environments are checked by a bare `pytest`; the others need minutes together."""


@pytest.mark.parametrize(
    "gym_id",
    [
        pytest.param(gym_id, marks=() if task in QUICK else pytest.mark.slow)
        for task, gym_id in GYM_IDS.items()
    ],
)
def test_gymnasium_checks_pass(gym_id: str) -> None:
    # Small images: the checker resets a dozen times, and filming the human is most of a reset.
    env = gymnasium.make(gym_id, render_mode="rgb_array", disable_env_checker=True, image_size=(32, 32))
    check_env(env.unwrapped)
    env.close()


@pytest.mark.parametrize("gym_id", GYM_IDS.values())
def test_stable_baselines3_checks_pass(gym_id: str) -> None:
    env = gymnasium.make(gym_id, disable_env_checker=True)
    check_env_for_sb3(env.unwrapped)
    env.close()
