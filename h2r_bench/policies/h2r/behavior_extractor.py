"""The behaviour extractor (paper, section 4.1): what the human's frames add to the noisy latents.

Beside it, at `compact`, a comparison of the two scenes, which the paper does not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from h2r_bench.policies.h2r.config import BehaviorConfig


class BehaviorExtractor(nn.Module):
    """4x4 convolutions of stride 2 with Gaussian weights, then a projection that starts at zero.

    Because of that zero an untrained model does not see the human at all. The variance of the Gaussian falls
    with the number of inputs, so that what comes out is neither lost nor blown up at any width.
    """

    def __init__(self, config: BehaviorConfig, out_channels: int) -> None:
        super().__init__()
        self.convolutions = _convolutions(3, config.channels, config)
        self.projection = _projection(config.channels[-1], out_channels)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (N, 3, H, W) in [-1, 1] to (N, out_channels, h, w), added to the ST-UNet's maps."""
        projected: Tensor = self.projection(self.convolutions(frames))
        return projected


class SceneComparison(nn.Module):
    """How the robot's scene and view stand apart from the human's, cell by cell; once per clip.

    The same convolutions on the human's first frame and the robot's reference frame together. The human's
    camera stands a little elsewhere than the robot's, and things were put back a little beside where they
    were, by less than a cell of the latents: that shows in the two pictures pixel on pixel.
    """

    def __init__(self, config: BehaviorConfig, out_channels: int) -> None:
        super().__init__()
        self.convolutions = _convolutions(6, config.comparison, config)
        self.projection = _projection(config.comparison[-1], out_channels)

    def forward(self, human: Tensor, robot: Tensor) -> Tensor:
        """Two frames (B, 3, H, W) in [-1, 1] to (B, out_channels, h, w), for all frames of the clip."""
        projected: Tensor = self.projection(self.convolutions(torch.cat([human, robot], dim=1)))
        return projected


def _convolutions(inputs: int, widths: Sequence[int], config: BehaviorConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    before = inputs
    for channels in widths:
        convolution = nn.Conv2d(before, channels, kernel_size=4, stride=2, padding=1)
        nn.init.normal_(convolution.weight, std=(config.init_gain / (16 * before)) ** 0.5)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        norm = nn.GroupNorm(config.groups, channels) if config.groups else nn.Identity()
        layers += [convolution, norm, nn.SiLU()]
        before = channels
    return nn.Sequential(*layers)


def _projection(inputs: int, out_channels: int) -> nn.Conv2d:
    projection = nn.Conv2d(inputs, out_channels, kernel_size=3, padding=1)
    nn.init.zeros_(projection.weight)
    nn.init.zeros_(projection.bias)  # type: ignore[arg-type]
    return projection
