"""Gymnasium ids of the tasks. Cheap to import: the world itself loads when an environment is made."""

from __future__ import annotations

import gymnasium

ENTRY_POINT = "h2r_bench.envs.env:TabletopEnv"

GYM_IDS = {
    "push_pull": "h2r_bench/PushPull-v0",
    "pick_place": "h2r_bench/PickPlace-v0",
    "rotation": "h2r_bench/Rotation-v0",
    "instance_gen": "h2r_bench/InstanceGen-v0",
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
