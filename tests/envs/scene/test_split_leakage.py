"""What is held out is found where it shows."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from h2r_bench.envs.registration import TASK_WEIGHTS
from h2r_bench.envs.scene.split_leakage import find_leaks
from h2r_bench.envs.tasks import TASKS
from h2r_bench.envs.tasks.combination_gen import COMBINATIONS
from h2r_bench.envs.tasks.long_horizon import LONG_HORIZON as RECIPES
from h2r_bench.envs.tasks.writing import on_paper
from h2r_bench.envs.writing.strokes import characters


def facts_of(task: str, seed: int = 0) -> dict[str, Any]:
    """As recorded, without playing it."""
    rng = np.random.default_rng(seed)
    scene, goal = TASKS.get(task).variant(rng, None).sample(rng, "video")
    described = scene.describe()
    return {"task": task, "scene": {"human": described, "robot": described, "goal": goal.describe()}}


def test_the_names_are_those_of_the_recipes() -> None:
    names = {recipe.name for recipe in RECIPES}
    assert names <= set(TASK_WEIGHTS)
    assert sum(TASK_WEIGHTS[name] for name in names) == pytest.approx(500.0)


@pytest.mark.parametrize("task", TASK_WEIGHTS)
def test_training_scenes_have_no_leaks(task: str) -> None:
    for seed in range(30):
        assert find_leaks(facts_of(task, seed)) == []


@pytest.mark.parametrize(
    "task", ["appearance_gen", "position_gen", "instance_gen", "background_gen", "brand_new"]
)
def test_scenes_of_generalization_tasks_are_found_out(task: str) -> None:
    for seed in range(10):
        assert find_leaks(facts_of(task, seed))


@pytest.mark.parametrize("name", sorted(characters()))
def test_characters_are_found_out(name: str) -> None:
    facts = facts_of("writing_play")
    facts["scene"]["goal"]["strokes"] = [on_paper(characters()[name]).tolist()]
    assert f"character {name}" in find_leaks(facts)


def test_an_ordered_pair_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = copy.deepcopy(facts_of("tray_then_pen"))
    monkeypatch.setattr("h2r_bench.envs.scene.split_leakage.COMBINATIONS", (*COMBINATIONS, RECIPES[0]))
    assert any(leak.startswith("pair") for leak in find_leaks(facts))
