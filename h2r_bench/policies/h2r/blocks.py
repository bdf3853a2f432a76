"""Small convolutional parts."""

from __future__ import annotations

from torch import Tensor, nn

GROUPS = 8
"""Groups of the group normalisation; widths are multiples of it."""


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
