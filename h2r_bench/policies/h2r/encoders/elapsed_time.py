"""No video at all: the decoder is told how much time has passed. What the state and habit alone give away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from diffusers.models.embeddings import Timesteps
from torch import Tensor

from h2r_bench.policies.common.checkpoints import read_sizes
from h2r_bench.policies.h2r.encoders.base import EncoderInput, Sources, VideoEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.policies.h2r.config import H2RConfig

NAME = "time"
WIDTH = 64
"""Sines and cosines of the time."""


class TimeEncoder(VideoEncoder):
    """One feature cell that holds the control steps since the episode began, as sines and cosines.

    Nothing in it is trained; it needs no images, so nothing is gained by computing its features beforehand.
    """

    trained_with_decoder = True
    reads = ()
    frames = 0

    def __init__(self, image_size: tuple[int, int], width: int = WIDTH) -> None:
        super().__init__()
        self.image_size = image_size
        self.feature_shape = (width, 1, 1)
        self.waves = Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)

    @classmethod
    def create(cls, config: H2RConfig, sources: Sources, seed: int) -> TimeEncoder:
        """For datasets with images of the preset's size."""
        return cls(config.vpm.image_size)

    def forward(self, sight: EncoderInput) -> Tensor:
        """Features (B, 1, C, 1, 1)."""
        waves: Tensor = self.waves(sight.step)[:, None, :, None, None]
        return waves

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write `time.json`; there are no weights."""
        folder.mkdir(parents=True, exist_ok=True)
        record = {"image_size": self.image_size, "width": self.feature_shape[0]}
        (folder / f"{NAME}.json").write_text(json.dumps(record) + "\n")

    @classmethod
    def load(cls, folder: Path) -> TimeEncoder:
        """The inverse of `save`."""
        record = read_sizes(folder / f"{NAME}.json")
        return cls(tuple(record["image_size"]), record["width"])
