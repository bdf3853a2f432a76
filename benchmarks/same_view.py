"""How well the human's video is moved onto the robot's view: `python benchmarks/same_view.py`.

For episodes that nothing was trained on: how far points of the table are from where the robot's camera sees
them, in the human's first picture as it is and after it was moved. The true camera is known from the episode.
`--step 30` asks frames of 3 s later, where hand and arm are at work, which the agent does not do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
import tyro
from rich.progress import track

from h2r_bench.envs.demonstration.recording import draw_episode, record_episode
from h2r_bench.envs.scene.arena import project
from h2r_bench.envs.scene.splits import TABLE_AREA
from h2r_bench.policies.h2r.camera_alignment import estimate_similarity
from h2r_bench.training.diagnostics.held_out import FIRST_SEED
from h2r_bench.types import FloatArray


@dataclass(frozen=True)
class Config:
    """Measure what is left of the offset."""

    tasks: tuple[str, ...] = ("push_pull", "pick_place", "rotation", "background_gen")
    """Tasks whose episodes are recorded."""
    episodes: int = 20
    """Episodes of each."""
    size: tuple[int, int] = (128, 128)
    """Width and height of the pictures [pixels]."""
    step: int = 0
    """Frame of both videos that is compared [steps]."""


def on_the_table() -> FloatArray:
    """Points (N, 3) all over the part of the table that things are put on [m]."""
    x, y = np.meshgrid(np.linspace(*TABLE_AREA.x, 7), np.linspace(*TABLE_AREA.y, 9))
    return np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3)


def moved_places(pixels: FloatArray, found: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Where `found` (4,) of `estimate_similarity` expects places (N, 2) of the robot in the human's view."""
    middle, half = (np.array(size) - 1) / 2, size[1] / 2
    x, y = ((pixels - middle) / half).T
    right, down, zoom, turn = found
    return np.stack([x + zoom * x - turn * y + right, y + turn * x + zoom * y + down], -1) * half + middle


def main() -> None:
    """Measure and print."""
    config = tyro.cli(Config)
    points = on_the_table()
    robots = project(points, config.size)
    for task in config.tasks:
        before, after = [], []
        for seed in track(range(FIRST_SEED, FIRST_SEED + config.episodes), task):
            episode = record_episode(task, seed, image_size=config.size)
            camera = draw_episode(task, seed).pair.camera
            humans = project(points, config.size, camera.estimate_similarity, camera.turn)
            at = slice(config.step, config.step + 1)
            human, robot = (torch.from_numpy(each[at].copy()) for each in (episode.human, episode.robot))
            found = estimate_similarity(human, robot)[0].double().numpy()
            before.append(np.linalg.norm(humans - robots, axis=1).mean())
            after.append(np.linalg.norm(humans - moved_places(robots, found, config.size), axis=1).mean())
        figures = {
            "task": task,
            "episodes": config.episodes,
            "apart_px": round(float(np.mean(before)), 2),
            "left_px": round(float(np.mean(after)), 2),
            "worst_px": round(float(np.max(after)), 2),
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
