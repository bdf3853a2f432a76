"""Draws the pictures of the documentation: `python tools/pictures.py`."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np

from h2r_bench.envs.recording import record_episode

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIDE = 200
"""Side of one frame [pixels]."""


def filmstrip(task: str, seed: int, cue: str, count: int) -> np.ndarray:
    """`count` frames of one episode, the human above the robot, shape (2 SIDE, count SIDE, 3)."""
    episode = record_episode(task, seed, cue=cue, image_size=(SIDE, SIDE), fine=True)
    moments = np.linspace(0.1 * len(episode), 0.88 * len(episode), count).astype(int)
    return np.concatenate(
        [np.concatenate(list(video[moments]), 1) for video in (episode.human, episode.robot)]
    )


def main() -> None:
    """Write docs/images/pairs.png: four tasks, hand above robot."""
    plays = (
        ("pick_place", 9, "scene"),
        ("rotation", 11, "video"),
        ("push_pull", 12, "scene"),
        ("instance_gen", 9, "video"),
    )
    strips = [filmstrip(*play, count=3) for play in plays]
    IMAGES.mkdir(parents=True, exist_ok=True)
    gap = np.full((strips[0].shape[0], 6, 3), 255, np.uint8)
    rows = [np.concatenate([strips[i], gap, strips[i + 1]], 1) for i in (0, 2)]
    line = np.full((6, rows[0].shape[1], 3), 255, np.uint8)
    iio.imwrite(IMAGES / "pairs.png", np.concatenate([rows[0], line, rows[1]]))


if __name__ == "__main__":
    main()
