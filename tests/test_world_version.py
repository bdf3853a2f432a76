"""A change that alters the world without a new world version is caught here.

After an intended change: bump `WORLD_VERSION`; `python tests/test_world_version.py` writes the new golden.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2r_bench.envs import WORLD_VERSION
from h2r_bench.envs.env import TabletopEnv
from h2r_bench.envs.tasks import TASKS

GOLDEN = Path(__file__).parent / "goldens" / "world.json"
STEPS = 25
BLOCK = 16


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Means of blocks of 16 x 16 pixels."""
    side = image.shape[0] // BLOCK
    return image.reshape(side, BLOCK, side, BLOCK, 3).mean((1, 3))


def glimpse(task: str) -> dict[str, Any]:
    """What a trial of `task` looks like at its start and a little later."""
    env = TabletopEnv(task, cue="video")
    observation, info = env.reset(seed=7, options={"trial": 1})
    demonstration = info["demonstration"]
    look = [thumbnail(observation["image"]), thumbnail(demonstration.frames[len(demonstration) // 2])]
    script = env.expert_script()
    for _ in range(STEPS):
        observation, *_ = env.step(env.expert_action(script))
    env.close()
    return {
        "instruction": info["instruction"],
        "length": len(demonstration),
        "start": np.round(demonstration.truth.object_pose[0, :, :3], 5).tolist(),
        "state": np.round(observation["state"], 5).tolist(),
        "look": np.round([*look, thumbnail(observation["image"])], 1).tolist(),
    }


@pytest.mark.parametrize("task", TASKS.names())
def test_the_world_is_what_its_version_says(task: str) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert golden["world"] == WORLD_VERSION
    expected, seen = golden["tasks"][task], glimpse(task)
    assert seen["instruction"] == expected["instruction"]
    assert seen["length"] == expected["length"]
    np.testing.assert_allclose(seen["start"], expected["start"], atol=1e-4)
    np.testing.assert_allclose(seen["state"], expected["state"], atol=1e-3)
    difference = np.abs(np.subtract(seen["look"], expected["look"])).mean((1, 2, 3))
    assert (difference < 1.0).all(), difference


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    content = {"world": WORLD_VERSION, "tasks": {task: glimpse(task) for task in TASKS.names()}}
    GOLDEN.write_text(json.dumps(content) + "\n")
