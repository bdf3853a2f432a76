"""Pick and place of things whose shape was never trained on (the paper's section 5.4)."""

from __future__ import annotations

from typing import ClassVar

from h2r_bench.envs.scene.splits import HELD_OUT_GRASP_KINDS
from h2r_bench.envs.tasks.base import TASKS
from h2r_bench.envs.tasks.pick_place import PickPlace


class InstanceGen(PickPlace):
    """Success as in `pick_place`."""

    name = "instance_gen"
    objects: ClassVar[tuple[str, ...]] = HELD_OUT_GRASP_KINDS
    goals: ClassVar[dict[str, tuple[str, ...]]] = {
        # What rolls needs a rim.
        "ball": ("plate", "tray", "cup"),
        "banana": ("plate", "tray"),
        "lemon": ("plate", "tray"),
        "can": ("plate", "tray", "mat"),
        "egg": ("plate", "tray", "cup"),
        "bottle": ("plate", "tray", "mat"),
    }


TASKS.add(InstanceGen.name, InstanceGen())
