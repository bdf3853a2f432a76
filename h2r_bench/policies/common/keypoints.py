"""What one frame's features say at a glance: where a few heat maps have their peaks."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class KeypointHead(nn.Module):
    """Two convolutions, soft positions of their maps' peaks and their means, a small MLP.

    From as many examples it reads the gripper's place far better than attention that has yet to learn where
    to look, so the Video Former's tokens start from what it finds.
    """

    def __init__(
        self, feature_shape: tuple[int, int, int], maps: int, width: int, out: int | None = None
    ) -> None:
        """Features of `feature_shape` (C, h, w) to `out` numbers (by default `width`), over `maps` heat maps.

        `width` is that of the MLP.
        """
        super().__init__()
        channels, height, breadth = feature_shape
        self.norm = nn.GroupNorm(1, channels)
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, maps, 1), nn.GELU(), nn.Conv2d(maps, maps, 3, padding=1)
        )
        self.head = nn.Sequential(nn.Linear(3 * maps, width), nn.GELU(), nn.Linear(width, out or width))
        down = torch.linspace(-1, 1, height).repeat_interleave(breadth)
        across = torch.linspace(-1, 1, breadth).repeat(height)
        self.register_buffer("places", torch.stack([down, across], -1), persistent=False)
        self.places: Tensor

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, h, w) to (N, out)."""
        # Channels last, PyTorch's group normalisation crashes on the CPU in the backward pass.
        maps = self.convolutions(self.norm(features.contiguous()))
        peaks = maps.flatten(2).softmax(-1) @ self.places
        numbers: Tensor = self.head(torch.cat([peaks.flatten(1), maps.mean((2, 3))], 1))
        return numbers
