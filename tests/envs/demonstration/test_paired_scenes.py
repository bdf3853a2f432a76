"""Human and robot: the same script, put back, shifted, seen by two cameras."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2r_bench.envs.demonstration.demonstrator import play
from h2r_bench.envs.demonstration.paired_scenes import (
    PUT_BACK_ANGLE,
    PUT_BACK_DISTANCE,
    draw_pair,
    put_back,
    shift_layout,
)
from h2r_bench.envs.demonstration.recording import record_episode
from h2r_bench.envs.hand import HandModel
from h2r_bench.envs.robot.control import InverseKinematics
from h2r_bench.envs.scene.compiled import SceneSpec
from h2r_bench.envs.simulation import Simulation
from h2r_bench.envs.tasks import TASKS, Task
from h2r_bench.envs.tasks.pick_place import PickPlace
from h2r_bench.geometry import matrix_from_6d, wrap_angle

SEEN = ("push_pull", "pick_place", "rotation")


def one_of(name: str) -> Task:
    return TASKS.get(name).variant(np.random.default_rng(0), 0)


def any_scene(seed: int) -> SceneSpec:
    return PickPlace().sample(np.random.default_rng(seed), "video")[0]


@given(st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_put_back_stays_within_its_bounds(seed: int) -> None:
    scene = any_scene(seed)
    for before, after in zip(scene.props, put_back(np.random.default_rng(seed), scene).props, strict=True):
        distance = np.hypot(after.x - before.x, after.y - before.y)
        assert distance <= PUT_BACK_DISTANCE
        assert abs(wrap_angle(after.yaw - before.yaw)) <= PUT_BACK_ANGLE + 1e-9
        if not before.shape.free:
            assert after == before


@given(st.integers(0, 2**31), st.floats(0.5, 4.0))
@settings(max_examples=50, deadline=None)
def test_a_shift_keeps_the_layout_rigid(seed: int, shift: float) -> None:
    scene = any_scene(seed)
    moved = shift_layout(np.random.default_rng(seed), scene, shift)
    before = np.array([(p.x, p.y) for p in scene.props])
    after = np.array([(p.x, p.y) for p in moved.props])
    np.testing.assert_allclose(
        np.linalg.norm(before[:, None] - before[None], axis=-1),
        np.linalg.norm(after[:, None] - after[None], axis=-1),
        atol=1e-12,
    )
    assert not np.allclose(before, after)


def test_no_shift_changes_nothing() -> None:
    scene = any_scene(0)
    assert shift_layout(np.random.default_rng(0), scene, 0.0) == scene


@pytest.mark.parametrize("task", SEEN)
def test_an_equal_scene_pair_is_synchronous(task: str) -> None:
    """The hand's pinch point stays within 5 mm of the tool in every frame."""
    rng = np.random.default_rng(4)
    pair = draw_pair(rng, one_of(task), "scene", 0.0, InverseKinematics(), as_person=False)
    assert pair.human_scene == pair.robot_scene
    puppet = HandModel(pair.stage.model, pair.hand)
    rotations = matrix_from_6d(pair.rollout.state[:, 3:9])
    puppet.begin(rotations)
    for state, rotation in zip(pair.rollout.state[::5], rotations[::5], strict=True):
        puppet.set(pair.human_simulation.data, state[:3], rotation, float(state[9]))
        mujoco.mj_kinematics(pair.stage.model, pair.human_simulation.data)
        assert np.linalg.norm(puppet.pinch_point(pair.human_simulation.data) - state[:3]) < 0.005


def test_recorded_actions_replay_to_success() -> None:
    pair = draw_pair(np.random.default_rng(2), PickPlace(), "scene", 0.0, InverseKinematics())
    again = play(
        Simulation(pair.stage, InverseKinematics()),
        PickPlace(),
        pair.human_scene,
        pair.goal,
        pair.style,
        pair.rollout.clock,
    )
    np.testing.assert_array_equal(again.action, pair.rollout.action)
    np.testing.assert_array_equal(again.film, pair.rollout.film)


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_an_episode_has_two_videos_frame_for_frame(shift: float) -> None:
    episode = record_episode("push_pull", 5, shift_cm=shift, image_size=(32, 32))
    count = len(episode)
    assert episode.human.shape == episode.robot.shape == (count, 32, 32, 3)
    assert episode.action.shape == (count, 7)
    assert episode.state.shape == (count, 10)
    assert episode.hand_pose.shape == (count, 6)
    assert episode.success
    assert np.abs(episode.human.astype(int) - episode.robot).mean() > 2, "hand and robot look alike"
    if not shift:
        np.testing.assert_allclose(episode.hand_pose[:, :3], episode.state[:, :3], atol=1e-6)


def test_an_episode_follows_from_its_seed() -> None:
    one, two = (record_episode("rotation", 8, cue="video", image_size=(32, 32)) for _ in range(2))
    np.testing.assert_array_equal(one.human, two.human)
    np.testing.assert_array_equal(one.robot, two.robot)
    np.testing.assert_array_equal(one.action, two.action)
    assert one.scene == two.scene
