"""Train the scene reader of `h2r_knn`: what will be done, from the first frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.policies.h2r.camera_alignment import warp
from h2r_bench.policies.knn.frame_encoders import (
    NAME,
    PER_MOMENT,
    SceneReader,
    SceneReaderConfig,
    path_vector,
)
from h2r_bench.training.data.video_augmentation import augment_video
from h2r_bench.training.engine.loop import Batch, Trainer, TrainingConfig

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from h2r_bench.training.data.frames import Frames
    from h2r_bench.types import Float32Array

FIRST = 3
"""Frames from the beginning of an episode that count as its first one: the tool has hardly moved."""
REACH = (0.15, 0.15, 0.1, 0.15)
"""Furthest that pictures are moved: right and down [half heights], zoom and turn [parts, rad]."""


class SceneLoss(nn.Module):
    """Distance from the true path, gentle near zero."""

    def __init__(self, reader: SceneReader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, frames: Tensor, path: Tensor, *, generator: torch.Generator) -> Tensor:
        """Frames (N, H, W, 3) uint8 and normalised paths (N, 4 moments)."""
        return F.smooth_l1_loss(self.reader(frames), path, beta=0.1)


def train_scene(
    config: SceneReaderConfig,
    frames: Frames,
    loop: TrainingConfig,
    batch: int,
    out: Path,
    repaint: float = 0.0,
    init: Path | None = None,
) -> SceneReader:
    """Train on first robot frames of the episodes of `frames` whose scene says what to do; write to `out`.

    The robot's own path is what is foreseen, so episodes with a shifted layout serve as well. Every picture
    is moved a little, and its path with it; a share `repaint` is shown in other colours.
    Training goes on from the reader in folder `init`, of which layers of another shape start anew.
    """
    torch.manual_seed(loop.seed)
    reader = SceneReader(config)
    if init is not None:
        take_over(reader, init / f"{NAME}.safetensors")
    episodes = frames.episodes_with_cue("scene")
    paths = torch.stack([torch.from_numpy(path_of(config, frames, episode)) for episode in episodes])

    def draw(rng: np.random.Generator) -> Batch:
        drawn = rng.integers(len(episodes), size=batch)
        rows = frames.starts[episodes[drawn]] + rng.integers(FIRST, size=batch)
        offsets = torch.from_numpy((rng.uniform(-1, 1, (batch, 4)) * REACH).astype(np.float32))
        images = warp(torch.from_numpy(frames.robot[rows])[:, None], offsets)
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        return augment_video(images, repaint, generator)[:, 0], moved_paths(paths[drawn], offsets)

    Trainer(SceneLoss(reader), loop, out).run(draw, "scene")
    reader.save(out)
    return reader


def take_over(reader: SceneReader, weights: Path) -> None:
    """Start from what `weights` has of the same name and shape. Raises ValueError when that is nothing."""
    own = reader.state_dict()
    found = {
        name: value
        for name, value in load_file(weights).items()
        if name in own and value.shape == own[name].shape
    }
    if not found:
        raise ValueError(f"{weights} has no layer of this reader's shapes")
    reader.load_state_dict(found, strict=False)


def path_of(config: SceneReaderConfig, frames: Frames, episode: NDArray[np.int64]) -> Float32Array:
    """The robot's path in one episode as a vector, see `path_vector`."""
    steps = slice(frames.starts[episode], frames.starts[episode + 1])
    return path_vector(frames.state[steps], frames.action[steps, 6], config, config.image_size)


def moved_paths(paths: Tensor, offsets: Tensor) -> Tensor:
    """Path vectors (N, 5 moments) in pictures moved by `offsets` (N, 4), see `camera_alignment.warp`."""
    moments = paths.unflatten(1, (-1, PER_MOMENT))
    right, down, zoom, turn = (each[:, None] for each in offsets.unbind(1))
    x, y = moments[..., 0] - right, moments[..., 1] - down
    size = (1 + zoom).square() + turn.square()
    places = torch.stack([((1 + zoom) * x + turn * y) / size, ((1 + zoom) * y - turn * x) / size], -1)
    # The camera looks down on the table, so what turns in the picture turns on the table about as much.
    cosine, sine = (1 + zoom) / size.sqrt(), turn / size.sqrt()
    across, along = moments[..., 2], moments[..., 3]
    yaw = torch.stack([cosine * across - sine * along, sine * across + cosine * along], -1)
    return torch.cat([places, yaw, moments[..., 4:]], -1).flatten(1)
