"""The visual encoder of Diffusion Policy (Chi et al. 2023, section III-B), trained end to end.

Heat maps find places in the image: a spatial softmax gives where each of them has its centre of mass. Behind
a ResNet18 without its last pooling, batch normalisation replaced by group normalisation (batches change with
the EMA of the weights), that is all the policy is told. Behind the small trunk it is told what is seen there
as well, and learns faster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.policies.common.images import to_unit
from h2r_bench.policies.common.layers import Residual, centres
from h2r_bench.ranges import Size


@dataclass(frozen=True)
class VisionConfig:
    """Sizes of the visual encoder."""

    image_size: tuple[Size, Size] = (128, 128)
    """Width and height of the images [pixels]."""
    crop: tuple[Size, Size] = (124, 124)
    """Width and height of the part that is looked at: anywhere in training, the middle otherwise [pixels]."""
    trunk: Literal["small", "resnet"] = "small"
    """What the heat maps are computed from. `small`: convolutions of strides 4 and 2, then a few blocks whose
    dilation lets each cell see the whole image. `resnet`: ResNet18."""
    channels: tuple[Size, ...] = (32, 64)
    """Width behind each convolution of the small trunk, of each stage of a ResNet (64, 128, 256, 512)."""
    dilations: tuple[Size, ...] = (1, 2, 4)
    """Of the small trunk's blocks."""
    strides: tuple[Size, ...] = (1, 2, 2, 2)
    """What each stage of a ResNet divides the resolution by, after its first two layers have divided it by
    four."""
    points: Size = 16
    """Heat maps of the spatial softmax."""
    out: Size | None = 128
    """Numbers that places and what is seen there are brought down to; None: the places alone, as they are
    (the original)."""
    groups: Size = 8
    """Groups of the group normalisation; the blocks of the small trunk have their own."""

    def __post_init__(self) -> None:
        if self.trunk == "small" and len(self.channels) != 2:
            raise ValueError(f"the small trunk has two widths in `channels`, not {len(self.channels)}")

    @property
    def stride(self) -> int:
        """How far apart two cells of the heat maps are in the image [pixels]."""
        return 8 if self.trunk == "small" else 4 * math.prod(self.strides)


PAPER = VisionConfig((424, 240), (382, 216), "resnet", (64, 128, 256, 512), points=32, out=None, groups=16)
"""ResNet18."""


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


def resnet(config: VisionConfig) -> nn.Sequential:
    """Images (N, 3, H, W) to the last stage's maps; two blocks a stage."""
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
    return nn.Sequential(*layers)


def small(config: VisionConfig) -> nn.Sequential:
    """Images (N, 3, H, W) to maps of an eighth of the resolution."""
    first, width = config.channels
    return nn.Sequential(
        nn.Conv2d(3, first, 8, 4, 2),
        nn.GroupNorm(config.groups, first),
        nn.SiLU(),
        nn.Conv2d(first, width, 4, 2, 1),
        *(Residual(width, dilation) for dilation in config.dilations),
        nn.GroupNorm(config.groups, width),
        nn.SiLU(),
    )


class VisualEncoder(nn.Module):
    """Images to the places of what matters in them, and what is there."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = resnet(config) if config.trunk == "resnet" else small(config)
        last, points = config.channels[-1], config.points
        self.heat = nn.Conv2d(last, points, 1)
        self.head = (
            nn.Sequential(nn.Linear(points * (2 + last), config.out), nn.SiLU()) if config.out else None
        )

    @property
    def width(self) -> int:
        """Numbers that come out for an image."""
        return self.config.out or 2 * self.config.points

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images (B, H, W, 3) uint8 to (B, `width`); cropped at random with a `generator`.

        Places are those in the middle of the image, whichever part is looked at: actions are where they are.
        """
        corners = corners_of(images, self.config.crop, generator) if generator is not None else None
        # Channels last, as the pixels lie in memory, group normalisation in bfloat16 takes ten times as long.
        maps = self.trunk(to_unit(cropped(images, self.config.crop, corners)).contiguous())
        share = self.heat(maps).flatten(2).float().softmax(-1)
        places = centres(share, maps.shape[-2], maps.shape[-1])
        if corners is not None:
            cells = torch.tensor([maps.shape[-1] - 1, maps.shape[-2] - 1]).clamp(min=1)
            moved = corners - torch.tensor(middle_of(images, self.config.crop))
            moved = 2 * moved / (self.config.stride * cells)
            places = places + moved[:, None].to(places)
        if self.head is None:
            return places.flatten(1)
        there = share @ maps.flatten(2).transpose(1, 2).to(share.dtype)
        seen: Tensor = self.head(torch.cat([places, there], -1).flatten(1))
        return seen


def middle_of(images: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    """Left and top edge of the part in the middle of `images` (B, H, W, 3), `size` is width and height."""
    return (images.shape[2] - size[0]) // 2, (images.shape[1] - size[1]) // 2


def corners_of(images: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Left and top edges (B, 2) of parts of `images` (B, H, W, 3), of `size`, that lie anywhere [pixels]."""
    spare = images.shape[2] - size[0], images.shape[1] - size[1]
    return torch.stack([torch.randint(each + 1, (len(images),), generator=generator) for each in spare], 1)


def cropped(images: Tensor, size: tuple[int, int], corners: Tensor | None = None) -> Tensor:
    """Parts (B, height, width, 3) of `images` (B, H, W, 3) at `corners` (B, 2); without them the middle."""
    width, height = size
    if corners is None:
        left, top = middle_of(images, size)
        return images[:, top : top + height, left : left + width]
    return torch.stack(
        [
            image[top : top + height, left : left + width]
            for image, (left, top) in zip(images, corners.tolist(), strict=True)
        ]
    )
