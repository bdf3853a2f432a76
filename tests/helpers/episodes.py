"""Synthetic paired episodes: a square that moves over a plain ground, the human's red, the robot's white."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from h2r_bench.datasets import DatasetMeta, EpisodeStore
from h2r_bench.geometry import rotvec_to_6d
from h2r_bench.types import Episode

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.types import UInt8Array


def make_episode(
    seed: int = 0, steps: int = 12, size: tuple[int, int] = (32, 32), task: str = "push_pull"
) -> Episode:
    """An episode of `steps` steps whose square stands for hand and gripper."""
    rng = np.random.default_rng(seed)
    where = np.linspace(rng.uniform(0.2, 0.8, 2), rng.uniform(0.2, 0.8, 2), steps)
    position = np.column_stack([0.3 + 0.4 * where[:, 1], where[:, 0] - 0.5, np.full(steps, 0.1)])
    rotvec = np.zeros((steps, 3))
    gripper = (np.arange(steps) < steps // 2).astype(float)[:, None]
    return Episode(
        human=_video(where, size, (200, 60, 60)),
        robot=_video(where, size, (240, 240, 240)),
        state=np.hstack([position, rotvec_to_6d(rotvec), gripper]).astype(np.float32),
        action=np.hstack([position, rotvec, gripper]).astype(np.float32),
        hand_pose=np.hstack([position, rotvec]).astype(np.float32),
        hand_opening=gripper[:, 0].astype(np.float32),
        human_frame_index=np.arange(steps),
        task=task,
        instruction="push the square",
        success=True,
        seed=seed,
        world=1,
        scene={"objects": [{"kind": "square", "position": [0.4, 0.0]}]},
        object_pose=np.random.default_rng(seed).normal(size=(steps, 2, 9)).astype(np.float32),
        failures=("object not at the goal",) * (seed % 2),
    )


def make_dataset(
    root: Path, episodes: int = 3, size: tuple[int, int] = (32, 32), tasks: tuple[str, ...] = ("push_pull",)
) -> EpisodeStore:
    """A dataset of synthetic episodes in `root`, of `tasks` in turns."""
    recipe = {"tasks": list(tasks), "shifted": 0.0, "cue_video": 0.0}
    store = EpisodeStore.create(root, DatasetMeta(world=1, image_size=size, recipe=recipe))
    for index in range(episodes):
        store.write(index, make_episode(index, size=size, task=tasks[index % len(tasks)]))
    store.publish()
    return store


def _video(where: np.ndarray, size: tuple[int, int], color: tuple[int, int, int]) -> UInt8Array:
    width, height = size
    frames = np.full((len(where), height, width, 3), 90, np.uint8)
    for frame, (x, y) in zip(frames, where, strict=True):
        column, row = int(x * width), int(y * height)
        frame[row - 4 : row + 4, column - 4 : column + 4] = color
    return frames
