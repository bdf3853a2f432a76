"""The seen tasks under one change that training never saw, mixed evenly by trial index.

`appearance_gen`: colours, finishes and materials. `position_gen`: the moved object and its goal rest in the
part of the table held out of training. `background_gen`: table tops, walls, light, and clutter about.
"""

from __future__ import annotations

from h2r_bench.envs.scene.splits import NEW_APPEARANCE, NEW_BACKGROUND, NEW_POSITION
from h2r_bench.envs.tasks.base import TASKS, Mixture, Task
from h2r_bench.envs.tasks.pick_place import PickPlace
from h2r_bench.envs.tasks.push_pull import PushPull
from h2r_bench.envs.tasks.rotation import Rotation

SEEN: tuple[type[Task], ...] = (PushPull, PickPlace, Rotation)

_SURROUNDINGS = "table tops, walls and light cannot be put up from a scene card"

for _name, _look, _unreal in (
    ("appearance_gen", NEW_APPEARANCE, ""),
    ("position_gen", NEW_POSITION, ""),
    ("background_gen", NEW_BACKGROUND, _SURROUNDINGS),
):
    TASKS.add(_name, Mixture(_name, tuple(task(_look) for task in SEEN), unreal=_unreal))
