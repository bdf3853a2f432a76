"""Trials that show something else than the scene's own demonstration."""

from __future__ import annotations

import dataclasses
import functools
import typing
from typing import Any

import numpy as np
import pytest

from h2r_bench import run
from h2r_bench.envs.demonstration.demo_controls import (
    CONTROLS,
    SHOWABLE,
    backwards,
    blank,
    frozen,
    wrong_task,
)
from h2r_bench.envs.env import TabletopEnv
from h2r_bench.envs.tasks import TASKS
from h2r_bench.evaluation.trial import Condition, run_trial
from h2r_bench.policies.expert import ExpertAgent
from h2r_bench.policies.random_agent import RandomAgent
from h2r_bench.registry import UnknownNameError
from h2r_bench.types import Demo, Demonstration, GroundTruth

T = 5


def demonstration(truth: bool = True) -> Demonstration:
    ramp = np.arange(T, dtype=np.float32)
    known = GroundTruth(np.tile(ramp[:, None], 6), ramp, np.tile(ramp[:, None, None], (1, 2, 9)), ramp)
    frames = np.tile(np.arange(1, T + 1, dtype=np.uint8)[:, None, None, None], (1, 4, 4, 3))
    return Demonstration(frames, 10.0, "do it", known if truth else None, "writing")


def moments(shown: Demonstration) -> list[int]:
    """Which moment each frame shows; the truth must agree."""
    found = [int(frame[0, 0, 0]) - 1 for frame in shown.frames]
    if shown.truth is not None:
        for array in (shown.truth.tool_pose[:, 0], shown.truth.opening, shown.truth.gripper):
            assert array.tolist() == found
        assert shown.truth.object_pose[:, 0, 0].tolist() == found
    return found


@pytest.mark.parametrize("truth", [True, False])
def test_altered_demonstrations(truth: bool) -> None:
    original = demonstration(truth)
    assert moments(backwards(original)) == [4, 3, 2, 1, 0]
    assert moments(frozen(original)) == [0] * T
    black = blank(original)
    assert not black.frames.any()
    assert black.frames.shape == original.frames.shape
    assert black.truth is None
    for alter in (backwards, frozen, blank):
        shown = alter(original)
        assert (shown.rate_hz, shown.instruction, shown.domain) == (10.0, "do it", "writing")


def test_controls_are_those_of_the_command_line() -> None:
    assert tuple(CONTROLS) == typing.get_args(Demo)
    assert typing.get_type_hints(run.RunConfig)["demo"] == Demo


@pytest.mark.parametrize("task", TASKS)
def test_the_wrong_task_is_of_another_skill(task: str) -> None:
    rng = np.random.default_rng(0)
    for trial in range(3):
        variant = TASKS.get(task).variant(rng, trial)
        shown = {wrong_task(rng, variant) for _ in range(30)}
        assert shown <= set(SHOWABLE)
        assert len(shown) >= 2
        assert not any(isinstance(variant, type(TASKS.get(name))) for name in shown)


@pytest.mark.parametrize(
    ("task", "cue", "message"),
    [
        ("pick_place", "scene", "counterfactual needs cue video"),
        ("combination_gen", "video", "scenes of combination_gen have one goal"),
        ("two_cubes_two_plates", "video", "have one goal"),
        ("writing_play", "video", "have one goal"),
    ],
)
def test_what_makes_no_sense_is_refused(task: str, cue: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TabletopEnv(task, cue=cue, demo="counterfactual")


def test_unknown_controls_teach() -> None:
    wrong: Any = "reverse"
    with pytest.raises(UnknownNameError, match="Did you mean 'reversed'"):
        TabletopEnv("pick_place", demo=wrong)


def test_the_runner_refuses_before_it_writes(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--task", "pick_place", "--policy", "random", "--demo", "counterfactual"]
    assert run.main([*command, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        "error: demo counterfactual needs cue video: with cue scene there is one goal to show\n"
    )
    assert not (tmp_path / "out").exists()


@functools.cache
def shown(demo: Any, obs: Any = "state", task: str = "push_pull") -> tuple[TabletopEnv, dict[str, Any]]:
    env = TabletopEnv(task, cue="video", demo=demo, obs=obs, image_size=(32, 32))
    observation, info = env.reset(seed=3, options={"trial": 0})
    env.close()
    return env, {**info, "observation": observation}


@pytest.mark.parametrize("demo", [name for name in CONTROLS if name != "matched"])
def test_only_the_demonstration_changes(demo: str) -> None:
    (env, info), (matched, true) = shown(demo), shown("matched")
    for name in ("human_scene", "robot_scene", "hand", "camera"):
        assert repr(getattr(env.pair, name)) == repr(getattr(matched.pair, name))
    np.testing.assert_array_equal(info["observation"]["state"], true["observation"]["state"])
    assert info["instruction"] == true["instruction"] == info["demonstration"].instruction
    assert info["demonstration"].domain == "basic"
    assert env.horizon >= matched.horizon
    assert demo == "counterfactual" or env.horizon == matched.horizon
    again = shown.__wrapped__(demo)[1]["demonstration"]
    if demo != "blank":
        np.testing.assert_array_equal(again.truth.tool_pose, info["demonstration"].truth.tool_pose)
        assert not np.array_equal(again.truth.tool_pose, true["demonstration"].truth.tool_pose)


@pytest.mark.parametrize("demo", ["wrong", "reversed"])
def test_the_observation_shows_what_the_demonstration_shows(demo: str) -> None:
    _, info = shown(demo, "image")
    frames = info["demonstration"].frames
    assert frames.any()
    np.testing.assert_array_equal(info["observation"]["human_clip"], frames[:30])


@pytest.mark.parametrize("task", ["push_pull", "pick_place", "rotation", "brand_new"])
def test_another_goal_is_shown_and_both_are_scored(task: str) -> None:
    env = TabletopEnv(task, cue="video", demo="counterfactual", obs="state")
    condition = Condition(task, "expert", "counterfactual", "video", 0.0, 0, "none", 1)
    record = run_trial(env, ExpertAgent(), condition, 0)
    assert (record.success, record.original_success) == (True, False)
    original = env.original_goal
    assert original is not None
    assert original.describe() != env.pair.goal.describe()
    assert record.steps == env.horizon


def test_the_original_goal_can_be_reached_as_well() -> None:
    class Stubborn(ExpertAgent):
        """Does what the scene was drawn for, whatever is shown."""

        def bind(self, env: Any) -> None:
            super().bind(env)
            self.shown = env.pair
            env.pair = dataclasses.replace(env.pair, goal=env.original_goal)

        def reset(self, *arguments: Any) -> None:
            super().reset(*arguments)
            self._env.pair = self.shown

    env = TabletopEnv("pick_place", cue="video", demo="counterfactual", obs="state")
    condition = Condition("pick_place", "x", "counterfactual", "video", 0.0, 0, "none", 1)
    record = run_trial(env, Stubborn(), condition, 0)
    assert (record.success, record.original_success) == (False, True)


def test_other_trials_have_no_second_score() -> None:
    env = TabletopEnv("push_pull", obs="state", demo="frozen")
    record = run_trial(
        env, RandomAgent(), Condition("push_pull", "x", "frozen", "scene", 0.0, 0, "none", 1), 0
    )
    assert record.original_success is None
    assert "original_success" not in record.to_json()
