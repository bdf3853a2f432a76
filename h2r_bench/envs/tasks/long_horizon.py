"""Six long-horizon tasks, for collecting (the paper's dataset has six; section 3.2)."""

from __future__ import annotations

from h2r_bench.envs.tasks.base import TASKS
from h2r_bench.envs.tasks.sequence import SequenceRecipe, SkillSequence, Step

LONG_HORIZON = (
    SequenceRecipe(
        "tray_then_pen",
        ("tray", "mat", "pen"),
        (Step("push", 0, 1), Step("place", 2, 0)),
        "Pull the {0} onto the {1} and lay the {2} in it.",
        ("pen",),
    ),
    SequenceRecipe(
        "two_cubes_one_tray",
        ("cube", "cube", "tray"),
        (Step("place", 0, 2, (-0.033, 0.0)), Step("place", 1, 2, (0.033, 0.0))),
        "Put the {0} and then the {1} in the {2}.",
        ("cup",),
    ),
    SequenceRecipe(
        "cube_to_plate_pull",
        ("cube", "plate", "mat"),
        (Step("place", 0, 1), Step("push", 1, 2)),
        "Put the {0} on the {1}, then pull the plate onto the {2}.",
        ("cube",),
    ),
    SequenceRecipe(
        "cube_to_plate_and_back",
        ("cube", "plate", "mat"),
        (Step("place", 0, 1), Step("place", 0, 2)),
        "Put the {0} on the {1}, then on the {2}.",
        ("cube",),
    ),
    SequenceRecipe(
        "two_cubes_two_plates",
        ("cube", "cube", "plate", "plate"),
        (Step("place", 0, 2), Step("place", 1, 3)),
        "Put the {0} on the {2} and the {1} on the {3}.",
    ),
    SequenceRecipe(
        "block_then_pen",
        ("block", "mat", "pen", "plate"),
        (Step("push", 0, 1), Step("place", 2, 3)),
        "Push the {0} onto the {1}, then put the {2} on the {3}.",
    ),
)

for _recipe in LONG_HORIZON:
    TASKS.add(_recipe.name, SkillSequence(_recipe))
