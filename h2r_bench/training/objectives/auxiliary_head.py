"""A second loss for policies that learn to see while they learn to act, thrown away afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from h2r_bench.policies.common.normalizer import Normalizer
    from h2r_bench.training.data.frames import Frames, Int

AHEAD = (0, 8, 16, 32, 64)
"""Steps ahead whose actions are asked for: where the gripper is, and where it is going."""
READOUT_BETA = 0.1
"""Normalised error above which a readout's loss grows linearly."""
WIDTH = 128
"""Width of the hidden layer."""


class Readout(nn.Module):
    """What the picture says by itself: without the robot's state, and without the noise of diffusion.

    A denoiser that is told the state and a noisy chunk has a good guess before it looks, and the visual
    encoder learns slowly from what is left. Here that encoder alone has to say where the gripper is and where
    it goes.
    """

    def __init__(self, perceived: int, action_dim: int) -> None:
        """For encoders that put out `perceived` numbers."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(perceived, WIDTH), nn.GELU(), nn.Linear(WIDTH, len(AHEAD) * action_dim)
        )

    def forward(self, perceived: Tensor, ahead: Tensor) -> Tensor:
        """The mean error of what (B, n) numbers say of the normalised actions `ahead` (B, moments, 10)."""
        return F.smooth_l1_loss(self.layers(perceived).view_as(ahead), ahead, beta=READOUT_BETA)


def actions_ahead(normalizer: Normalizer, frames: Frames, rows: Int) -> Tensor:
    """The normalised actions (B, moments, 10) that are `AHEAD` of frames `rows` (B,)."""
    later = np.stack([frames.later(rows, steps) for steps in AHEAD], axis=1)
    return normalizer.action(frames.action[later])
