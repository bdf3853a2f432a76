"""Two seen skills in a row; no such ordered pair of skill and object kind occurs in training."""

from __future__ import annotations

from h2r_bench.envs.tasks.base import TASKS, Mixture
from h2r_bench.envs.tasks.sequence import SequenceRecipe, SkillSequence, Step

NAME = "combination_gen"

COMBINATIONS = (
    SequenceRecipe(
        "pull_plate_place_cube",
        ("plate", "mat", "cube"),
        (Step("push", 0, 1), Step("place", 2, 0)),
        "Move the {0} onto the {1}, then put the {2} on it.",
        ("cube",),
    ),
    SequenceRecipe(
        "push_cup_place_cube",
        ("cup", "mat", "cube"),
        (Step("push", 0, 1), Step("place", 2, 0)),
        "Move the {0} onto the {1}, then put the {2} in it.",
        ("cube",),
    ),
    SequenceRecipe(
        "push_block_stack_cube",
        ("block", "mat", "cube"),
        (Step("push", 0, 1), Step("place", 2, 0)),
        "Push the {0} onto the {1}, then stack the {2} on it.",
        ("cube",),
    ),
    SequenceRecipe(
        "fill_tray_push_tray",
        ("pen", "tray", "mat"),
        (Step("place", 0, 1), Step("push", 1, 2)),
        "Put the {0} in the {1}, then move that onto the {2}.",
        ("pen",),
    ),
)
"""The first is the paper's: the plate is moved, and so is where the cube must go."""

TASKS.add(NAME, Mixture(NAME, tuple(SkillSequence(recipe, name=NAME) for recipe in COMBINATIONS)))
