"""What is held out stays out: thousands of training scenes are drawn, and none holds any of it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from h2r_bench.envs.scene.splits import (
    CLUTTER_KINDS,
    HELD_OUT_AREA,
    HELD_OUT_COLORS,
    HELD_OUT_FINISHES,
    HELD_OUT_GRASP_KINDS,
    HELD_OUT_TABLES,
    HELD_OUT_WALLS,
    TABLE_AREA,
    TRAIN_COLORS,
    TRAIN_FINISHES,
    TRAIN_TABLES,
    TRAIN_WALLS,
)
from h2r_bench.envs.scene.textures import FINISHES, TABLES
from h2r_bench.envs.tasks import TASKS
from h2r_bench.envs.tasks.combination_gen import COMBINATIONS
from h2r_bench.envs.tasks.long_horizon import LONG_HORIZON
from h2r_bench.envs.tasks.writing import on_paper
from h2r_bench.envs.writing.strokes import characters

TRAINING = ("push_pull", "pick_place", "rotation", "writing_play", *(recipe.name for recipe in LONG_HORIZON))
SCENES = 250


@pytest.mark.parametrize("cue", ["scene", "video"])
@pytest.mark.parametrize("name", TRAINING)
def test_training_scenes_hold_nothing_that_is_held_out(name: str, cue: str) -> None:
    rng = np.random.default_rng(0)
    written = {tuple(map(tuple, np.round(on_paper(stroke), 3))) for stroke in characters().values()}
    for _ in range(SCENES):
        scene, goal = TASKS.get(name).variant(rng, None).sample(rng, cue)
        assert scene.table in TRAIN_TABLES
        assert scene.wall in TRAIN_WALLS.values()
        assert scene.clutter == 0
        assert len({prop.name for prop in scene.props}) == len(scene.props), "the words must say which"
        for line in goal.strokes:
            assert tuple(map(tuple, np.round(line, 3))) not in written
        for prop in scene.props:
            assert prop.color in TRAIN_COLORS
            assert prop.finish in TRAIN_FINISHES
            assert prop.kind not in HELD_OUT_GRASP_KINDS
            assert prop.kind not in CLUTTER_KINDS
            if prop.kind not in ("paper", "marker"):
                assert TABLE_AREA.contains(prop.x, prop.y)
                assert not HELD_OUT_AREA.contains(prop.x, prop.y)


def test_no_combination_occurs_in_training() -> None:
    seen = set().union(*(recipe.pairs for recipe in LONG_HORIZON))
    for recipe in COMBINATIONS:
        assert not recipe.pairs & seen, recipe.name


def test_the_halves_of_each_split_are_disjoint() -> None:
    assert not set(TRAIN_COLORS) & set(HELD_OUT_COLORS)
    assert not set(TRAIN_FINISHES) & set(HELD_OUT_FINISHES)
    assert not set(TRAIN_TABLES) & set(HELD_OUT_TABLES)
    assert not set(TRAIN_WALLS) & set(HELD_OUT_WALLS)
    assert set(TRAIN_TABLES) | set(HELD_OUT_TABLES) == set(TABLES)
    assert set(TRAIN_FINISHES) | set(HELD_OUT_FINISHES) == set(FINISHES)
    rgb = np.array([*TRAIN_COLORS.values(), *HELD_OUT_COLORS.values()])
    for one, two in itertools.combinations(rgb, 2):
        assert np.linalg.norm(one - two) > 0.15, "two colours that cannot be told apart"


def test_instances_are_never_those_of_training() -> None:
    rng = np.random.default_rng(0)
    task = TASKS.get("instance_gen").variant(rng, None)
    kinds = {task.sample(rng, "scene")[0].props[0].kind for _ in range(80)}
    assert kinds == set(HELD_OUT_GRASP_KINDS)


@pytest.mark.parametrize("cue", ["scene", "video"])
def test_position_gen_rests_subject_and_goal_in_the_held_out_part(cue: str) -> None:
    rng = np.random.default_rng(1)
    for trial in range(60):
        scene, goal = TASKS.get("position_gen").variant(rng, trial).sample(rng, cue)
        for prop in (scene.props[goal.subject], scene.props[goal.target]):
            assert HELD_OUT_AREA.contains(prop.x, prop.y)


def test_appearance_and_background_change_what_they_say_and_nothing_else() -> None:
    rng = np.random.default_rng(2)
    for trial in range(60):
        look = TASKS.get("appearance_gen").variant(rng, trial).sample(rng, "scene")[0]
        assert {prop.color for prop in look.props} <= set(HELD_OUT_COLORS)
        assert {prop.finish for prop in look.props} <= set(HELD_OUT_FINISHES)
        assert look.table in TRAIN_TABLES
        behind = TASKS.get("background_gen").variant(rng, trial).sample(rng, "scene")[0]
        assert behind.table in HELD_OUT_TABLES
        assert behind.wall in HELD_OUT_WALLS.values()
        assert behind.clutter == 3
        assert {prop.kind for prop in behind.props[-3:]} <= set(CLUTTER_KINDS)
        assert {prop.color for prop in behind.props[:-3]} <= set(TRAIN_COLORS)


def test_generalization_tasks_mix_the_seen_tasks_evenly() -> None:
    rng = np.random.default_rng(0)
    names = [TASKS.get("appearance_gen").variant(rng, trial).name for trial in range(6)]
    assert names == ["push_pull", "pick_place", "rotation"] * 2
