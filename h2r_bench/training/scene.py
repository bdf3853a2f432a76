"""Train the scene reader of `h2r_knn`: what will be done, from the first frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.policies.knn.frame_encoders import SceneConfig, SceneReader
from h2r_bench.training.loop import Batch, Loop, Trainer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from h2r_bench.training.frames import Frames

FIRST = 3
"""Frames from the beginning of an episode that count as its first one: the tool has hardly moved."""


class SceneLoss(nn.Module):
    """Distance from the true path, gentle near zero."""

    def __init__(self, reader: SceneReader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, frames: Tensor, path: Tensor, *, generator: torch.Generator) -> Tensor:
        """Frames (N, H, W, 3) uint8 and normalised paths (N, 4 moments)."""
        return F.smooth_l1_loss(self.reader(frames), path, beta=0.1)


def train_scene(config: SceneConfig, frames: Frames, loop: Loop, batch: int, out: Path) -> SceneReader:
    """Train on first robot frames of the episodes of `frames` whose scene says what to do; write to `out`.

    The robot's own path is what is foreseen, so episodes with a shifted layout serve as well.
    """
    torch.manual_seed(loop.seed)
    reader = SceneReader(config)
    reader.normalizer.fit(frames.state[frames.chosen, :3])
    episodes = frames.episodes_with_cue("scene")
    paths = torch.stack([path_of(reader, frames, episode) for episode in episodes])

    def draw(rng: np.random.Generator) -> Batch:
        drawn = rng.integers(len(episodes), size=batch)
        rows = frames.starts[episodes[drawn]] + rng.integers(FIRST, size=batch)
        return torch.from_numpy(frames.robot[rows]), paths[drawn]

    Trainer(SceneLoss(reader), loop, out).run(draw, "scene")
    reader.save(out)
    return reader


def path_of(reader: SceneReader, frames: Frames, episode: NDArray[np.int64]) -> Tensor:
    """The robot's path in one episode, shape (4 moments,): normalised position and command."""
    first, last = frames.starts[episode], frames.starts[episode + 1] - 1
    rows = np.linspace(first, last, reader.config.moments).round().astype(int)
    position = reader.normalizer.state(frames.state[rows])[:, :3]
    command = torch.from_numpy(2 * frames.action[rows, 6:] - 1)
    return torch.cat([position, command], 1).flatten()
