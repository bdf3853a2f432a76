"""Gymnasium ids of the tasks. Cheap to import: the world itself loads when an environment is made."""

from __future__ import annotations

import gymnasium

ENTRY_POINT = "h2r_bench.envs.env:TabletopEnv"

GYM_IDS = {
    "push_pull": "h2r_bench/PushPull-v0",
    "pick_place": "h2r_bench/PickPlace-v0",
    "rotation": "h2r_bench/Rotation-v0",
    "appearance_gen": "h2r_bench/AppearanceGen-v0",
    "position_gen": "h2r_bench/PositionGen-v0",
    "instance_gen": "h2r_bench/InstanceGen-v0",
    "background_gen": "h2r_bench/BackgroundGen-v0",
    "combination_gen": "h2r_bench/CombinationGen-v0",
    "brand_new": "h2r_bench/BrandNew-v0",
    "writing_play": "h2r_bench/WritingPlay-v0",
    "brand_new_pen_up": "h2r_bench/BrandNewPenUp-v0",
    "writing_play_pen_up": "h2r_bench/WritingPlayPenUp-v0",
    "tray_then_pen": "h2r_bench/TrayThenPen-v0",
    "two_cubes_one_tray": "h2r_bench/TwoCubesOneTray-v0",
    "cube_to_plate_pull": "h2r_bench/CubeToPlatePull-v0",
    "cube_to_plate_and_back": "h2r_bench/CubeToPlateAndBack-v0",
    "two_cubes_two_plates": "h2r_bench/TwoCubesTwoPlates-v0",
    "block_then_pen": "h2r_bench/BlockThenPen-v0",
}
"""Task name to Gymnasium id."""


def register_all() -> None:
    """Register every task with Gymnasium. Calling it again changes nothing.

    There is no `max_episode_steps`: a trial lasts as long as its demonstration plus two seconds, so the
    environment truncates itself.
    """
    for task, gym_id in GYM_IDS.items():
        if gym_id not in gymnasium.registry:
            gymnasium.register(gym_id, entry_point=ENTRY_POINT, kwargs={"task": task})
