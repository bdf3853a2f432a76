"""The probe's question put to the human's pictures themselves: ResNet18, trained together with the probe.

What a video prediction model is worth is what its features tell beyond this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from h2r_bench.policies.h2r.encoders.base import Sources
from h2r_bench.policies.h2r.encoders.resnet import ResNetEncoder
from h2r_bench.training.diagnostics.feature_probe import (
    ProbeExamples,
    Reading,
    held_clips,
    labelled,
    new_probe,
    read,
    train_probe,
)

if TYPE_CHECKING:
    from h2r_bench.policies.h2r.config import H2RConfig
    from h2r_bench.training.data.frames import Frames, Int

BATCH = 64
"""Pictures that the probe learns from at once."""


class HumanPictures:
    """Some of the human's pictures, fetched when they are asked for."""

    def __init__(self, frames: Frames, chosen: Int) -> None:
        """Those of `frames` with the indices `chosen` (N,)."""
        self._pictures, self._chosen = frames.human, chosen

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Shape (B, H, W, 3), uint8."""
        return torch.from_numpy(np.asarray(self._pictures[self._chosen[rows.numpy()]]))


class PictureProbe(nn.Module):
    """ResNet18 and the probe behind it."""

    def __init__(self, encoder: ResNetEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.probe = new_probe(encoder.feature_shape)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (N, H, W, 3), 0..255, to the probe's answers (N, 5)."""
        answers: Tensor = self.probe(self.encoder.maps(pictures))
        return answers


def probe_pictures(
    config: H2RConfig,
    sources: Sources,
    train: Frames,
    held: dict[str, Frames],
    *,
    clips: int,
    steps: int,
    seed: int,
    device: torch.device,
) -> dict[str, Reading]:
    """Train ResNet18 and a probe on the human's pictures of `train`; read each of `held`, by name.

    The clips are those that `probe_features` would draw.
    """
    encoder = ResNetEncoder.create(config, sources, seed)
    probe = PictureProbe(encoder).train().to(device)
    learnt = train_probe(probe, _examples(train, clips, config, seed), seed, steps, BATCH)
    return {
        name: read(*learnt, _examples(frames, held_clips(clips), config, seed))
        for name, frames in held.items()
    }


def _examples(frames: Frames, clips: int, config: H2RConfig, seed: int) -> ProbeExamples:
    drawn = frames.clips(np.random.default_rng((seed, 77)), clips, config.vpm.frames)
    return labelled(HumanPictures(frames, drawn.human.reshape(-1)), frames, drawn)
