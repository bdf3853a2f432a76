"""The visual encoder of Diffusion Policy (Chi et al. 2023, section III-B), trained end to end.

A ResNet18 without its pooling, batch normalisation replaced by group normalisation (batches change with the
EMA of the weights), and a spatial softmax: where each of some heat maps has its centre of mass.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.policies.h2r.vae import to_unit


@dataclass(frozen=True)
class VisionConfig:
    """Sizes of the visual encoder."""

    image_size: tuple[int, int] = (128, 128)
    """Width and height of the images [pixels]."""
    crop: tuple[int, int] = (116, 116)
    """Width and height of the part that is looked at: anywhere in training, the middle otherwise [pixels]."""
    channels: tuple[int, ...] = (32, 64, 96, 96)
    """Width of each stage of two blocks (ResNet18: 64, 128, 256, 512)."""
    strides: tuple[int, ...] = (1, 2, 2, 1)
    """What each stage divides the resolution by, after the first two layers have divided it by four
    (ResNet18: 1, 2, 2, 2, which would leave 4x4 cells of a small image)."""
    points: int = 32
    """Heat maps of the spatial softmax."""
    groups: int = 8
    """Groups of the group normalisation."""


class Block(nn.Module):
    """A basic block of ResNet18 (He et al. 2016)."""

    def __init__(self, before: int, width: int, stride: int, groups: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(before, width, 3, stride, 1, bias=False),
            nn.GroupNorm(groups, width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.GroupNorm(groups, width),
        )
        same = stride == 1 and before == width
        self.shortcut = nn.Identity() if same else nn.Conv2d(before, width, 1, stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, before, h, w) to (N, width, h / stride, w / stride)."""
        out: Tensor = F.relu(self.layers(maps) + self.shortcut(maps))
        return out


class VisualEncoder(nn.Module):
    """Images to the places of what matters in them."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        first = config.channels[0]
        layers: list[nn.Module] = [
            nn.Conv2d(3, first, 7, 2, 3, bias=False),
            nn.GroupNorm(config.groups, first),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        ]
        before = first
        for width, stride in zip(config.channels, config.strides, strict=True):
            layers.append(Block(before, width, stride, config.groups))
            layers.append(Block(width, width, 1, config.groups))
            before = width
        self.resnet = nn.Sequential(*layers)
        self.heat = nn.Conv2d(before, config.points, 1)

    @property
    def width(self) -> int:
        """Numbers that come out for an image."""
        return 2 * self.config.points

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images (B, H, W, 3) uint8 to (B, 2 points) in [-1, 1]; cropped at random with a `generator`."""
        heat = self.heat(self.resnet(to_unit(cropped(images, self.config.crop, generator))))
        return spatial_softmax(heat)


def cropped(images: Tensor, size: tuple[int, int], generator: torch.Generator | None = None) -> Tensor:
    """The middle of `images` (B, H, W, 3), or with a `generator` a part of each: (B, height, width, 3)."""
    width, height = size
    down, across = images.shape[1] - height, images.shape[2] - width
    if generator is None:
        return images[:, down // 2 : down // 2 + height, across // 2 : across // 2 + width]
    tops = torch.randint(down + 1, (len(images),), generator=generator).tolist()
    lefts = torch.randint(across + 1, (len(images),), generator=generator).tolist()
    return torch.stack(
        [
            image[top : top + height, left : left + width]
            for image, top, left in zip(images, tops, lefts, strict=True)
        ]
    )


def spatial_softmax(heat: Tensor) -> Tensor:
    """Heat maps (B, points, h, w) to the centres of mass of their softmax, (B, 2 points) in [-1, 1]."""
    height, width = heat.shape[-2:]
    share = heat.flatten(2).softmax(-1)
    down = torch.linspace(-1, 1, height, device=heat.device).repeat_interleave(width)
    across = torch.linspace(-1, 1, width, device=heat.device).repeat(height)
    return torch.stack([(share * across).sum(-1), (share * down).sum(-1)], dim=-1).flatten(1)
