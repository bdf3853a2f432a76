"""Small convolutional parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

GROUPS = 8
"""Groups of the group normalisation; widths are multiples of it."""


def sinusoidal_embedding(count: int, width: int) -> Tensor:
    """Positions 0 to `count` - 1 as sines and cosines of `width` / 2 wavelengths, shape (count, width).

    Where two sequences start from the same ones, attention finds what belongs to the same moment; from small
    random numbers it has to learn that first.
    """
    frequency = 100.0 ** -(torch.arange(width // 2) / (width // 2))
    angle = torch.arange(count)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class Residual(nn.Module):
    """Two 3x3 convolutions whose result is added to their input; the first may look far (`dilation`)."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(GROUPS, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation),
            nn.GroupNorm(GROUPS, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, width, h, w) to the same shape."""
        out: Tensor = maps + self.layers(maps)
        return out


def quarter(width: int) -> nn.Sequential:
    """Images (N, 3, H, W) to maps (N, width, H / 4, W / 4) that see most of the image from each cell."""
    return nn.Sequential(
        nn.Conv2d(3, width // 2, 4, stride=2, padding=1),
        nn.GroupNorm(GROUPS, width // 2),
        nn.SiLU(),
        nn.Conv2d(width // 2, width, 4, stride=2, padding=1),
        *(Residual(width, dilation) for dilation in (1, 2, 4, 8)),
        nn.GroupNorm(GROUPS, width),
        nn.SiLU(),
    )


def centres(share: Tensor, height: int, width: int) -> Tensor:
    """Centres of mass (B, points, 2), x and y in [-1, 1], of shares (B, points, height * width)."""
    down = torch.linspace(-1, 1, height, device=share.device).repeat_interleave(width)
    across = torch.linspace(-1, 1, width, device=share.device).repeat(height)
    return torch.stack([(share * across).sum(-1), (share * down).sum(-1)], dim=-1)


class KeypointRegressor(nn.Module):
    """A few numbers from an image: heat maps find places; where they are and what is there decides."""

    def __init__(self, width: int, points: int, out: int) -> None:
        """`points` places in maps of `width` channels, read as `out` numbers."""
        super().__init__()
        self.maps = quarter(width)
        self.heat = nn.Conv2d(width, points, 3, padding=1)
        self.head = nn.Sequential(nn.Linear(points * (2 + width), 128), nn.SiLU(), nn.Linear(128, out))

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1] to (N, out)."""
        maps = self.maps(images)
        share = self.heat(maps).flatten(2).softmax(-1)
        # Rows before columns, as the weights that ship have learnt it.
        places = centres(share, *maps.shape[-2:]).flip(-1)
        seen = share @ maps.flatten(2).transpose(1, 2)
        numbers: Tensor = self.head(torch.cat([places, seen], -1).flatten(1))
        return numbers
