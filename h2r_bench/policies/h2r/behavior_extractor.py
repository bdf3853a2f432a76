"""The behaviour extractor (paper, section 4.1): what the human's frames add to the noisy latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from h2r_bench.policies.h2r.config import BehaviorConfig


class BehaviorExtractor(nn.Module):
    """4x4 convolutions of stride 2 with Gaussian weights, then a projection that starts at zero.

    Because of that zero an untrained model does not see the human at all. The variance of the Gaussian falls
    with the number of inputs, so that what comes out is neither lost nor blown up at any width.
    """

    def __init__(self, config: BehaviorConfig, out_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for channels in config.channels:
            convolution = nn.Conv2d(before, channels, kernel_size=4, stride=2, padding=1)
            nn.init.normal_(convolution.weight, std=(config.init_gain / (16 * before)) ** 0.5)
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
            norm = nn.GroupNorm(config.groups, channels) if config.groups else nn.Identity()
            layers += [convolution, norm, nn.SiLU()]
            before = channels
        self.convolutions = nn.Sequential(*layers)
        self.projection = nn.Conv2d(before, out_channels, kernel_size=3, padding=1)
        nn.init.zeros_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)  # type: ignore[arg-type]

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (N, 3, H, W) in [-1, 1] to (N, out_channels, h, w), added to the ST-UNet's maps."""
        projected: Tensor = self.projection(self.convolutions(frames))
        return projected
