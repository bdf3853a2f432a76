"""Gymnasium ids of the tasks. Cheap to import: the world itself loads when an environment is made."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium

ENTRY_POINT = "h2r_bench.envs.env:TabletopEnv"

LONG_HORIZON_EPISODES = 500.0
"""Episodes of all long-horizon tasks together in the full dataset."""


@dataclass(frozen=True)
class TaskEntry:
    """What is known of a task before the world is loaded."""

    gym_id: str
    """Its Gymnasium id."""
    episodes: float = 0.0
    """How many of the 2,600 episodes of the full dataset are of it; no task without any may be trained on."""


CATALOG = {
    "push_pull": TaskEntry("h2r_bench/PushPull-v0", 600.0),
    "pick_place": TaskEntry("h2r_bench/PickPlace-v0", 800.0),
    "rotation": TaskEntry("h2r_bench/Rotation-v0", 400.0),
    "appearance_gen": TaskEntry("h2r_bench/AppearanceGen-v0"),
    "position_gen": TaskEntry("h2r_bench/PositionGen-v0"),
    "instance_gen": TaskEntry("h2r_bench/InstanceGen-v0"),
    "background_gen": TaskEntry("h2r_bench/BackgroundGen-v0"),
    "combination_gen": TaskEntry("h2r_bench/CombinationGen-v0"),
    "brand_new": TaskEntry("h2r_bench/BrandNew-v0"),
    "writing_play": TaskEntry("h2r_bench/WritingPlay-v0", 300.0),
    "brand_new_pen_up": TaskEntry("h2r_bench/BrandNewPenUp-v0"),
    "writing_play_pen_up": TaskEntry("h2r_bench/WritingPlayPenUp-v0"),
    "tray_then_pen": TaskEntry("h2r_bench/TrayThenPen-v0", LONG_HORIZON_EPISODES / 6),
    "two_cubes_one_tray": TaskEntry("h2r_bench/TwoCubesOneTray-v0", LONG_HORIZON_EPISODES / 6),
    "cube_to_plate_pull": TaskEntry("h2r_bench/CubeToPlatePull-v0", LONG_HORIZON_EPISODES / 6),
    "cube_to_plate_and_back": TaskEntry("h2r_bench/CubeToPlateAndBack-v0", LONG_HORIZON_EPISODES / 6),
    "two_cubes_two_plates": TaskEntry("h2r_bench/TwoCubesTwoPlates-v0", LONG_HORIZON_EPISODES / 6),
    "block_then_pen": TaskEntry("h2r_bench/BlockThenPen-v0", LONG_HORIZON_EPISODES / 6),
}
"""Every task by name."""
GYM_IDS = {name: entry.gym_id for name, entry in CATALOG.items()}
"""Task name to Gymnasium id."""
TASK_WEIGHTS = {
    name: entry.episodes
    for name, entry in sorted(CATALOG.items(), key=lambda item: -item[1].episodes)
    if entry.episodes
}
"""Tasks that datasets are made of to their episodes in the full one, the largest first."""


def register_all() -> None:
    """Register every task with Gymnasium. Calling it again changes nothing.

    There is no `max_episode_steps`: a trial lasts as long as its demonstration plus two seconds, so the
    environment truncates itself.
    """
    for task, gym_id in GYM_IDS.items():
        if gym_id not in gymnasium.registry:
            gymnasium.register(gym_id, entry_point=ENTRY_POINT, kwargs={"task": task})
