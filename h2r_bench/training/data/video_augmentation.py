"""Clips in other colours, lights and surroundings than any that were filmed.

Datasets know a handful of table tops and one lamp. What is painted here stays the same in all frames of a
clip, as a table top does, so what moves is still what has to be followed.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

GAIN = 0.35
"""Largest change of brightness, contrast and each colour, as a part of itself."""
STAIN = 0.45
"""Largest change of a pixel's brightness by the pattern that is laid over a clip, as a part of itself."""
CELLS = (3, 6, 12, 24, 48)
"""Cells along a side of the noise that patterns are made of, from clouds to grain."""
PATCHES = 3
"""Most things that are put at the edge of the picture."""
EDGE = 0.16
"""How far from the edge the middle of such a thing lies at most, as a part of the side."""


def augment_video(clips: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """`clips` (B, F, H, W, 3) uint8, about a `share` of them in other colours, each in a way of its own.

    All frames of a clip are changed alike: brightness, contrast and colours; a static pattern over all, as
    of another table top; up to three plain things at the edge of the picture. `generator` is the CPU's,
    whatever the clips' device.
    """
    chosen = torch.rand(len(clips), generator=generator) < share
    if not share or not bool(chosen.any()):
        return clips
    rows = torch.nonzero(chosen).flatten().to(clips.device)
    images = clips[rows].float() / 255
    count, _, height, width, _ = images.shape
    change = _uniform((4, count, 1, 1, 1, 3), generator).to(images.device)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    one = change[..., :1]
    images = (images - mean) * (1 + GAIN * one[0]) + mean * (1 + GAIN * one[1])
    images = images * (1 + GAIN * change[2])
    images = images * (1 + _pattern(count, (height, width), generator, images.device)[:, None])
    images = _with_patches(images, generator)
    painted = clips.clone()
    painted[rows] = (images.clamp(0, 1) * 255).round().to(torch.uint8)
    return painted


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Numbers between -1 and 1."""
    return 2 * torch.rand(shape, generator=generator) - 1


def _pattern(count: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Tensor:
    """A pattern around zero for each of `count` clips, shape (count, height, width, 3)."""
    total = torch.zeros(count, 3, *size, device=device)
    for cells in CELLS:
        # Tinted noise of one size of cell; how much of each size a clip has decides what it looks like.
        noise = 0.7 * _uniform((count, 1, cells, cells), generator)
        noise = noise + 0.3 * _uniform((count, 3, cells, cells), generator)
        noise = noise * torch.rand((count, 1, 1, 1), generator=generator) ** 3
        total += F.interpolate(noise.to(device), size, mode="bilinear", align_corners=False)
    strength = STAIN * torch.rand((count, 1, 1, 1), generator=generator)
    return (strength.to(device) * total.clamp(-1, 1)).movedim(1, -1)


def _with_patches(images: Tensor, generator: torch.Generator) -> Tensor:
    """`images` (B, F, H, W, 3) with up to `PATCHES` rectangles near the edges, the same in all frames."""
    count, _, height, width, _ = images.shape
    across = torch.linspace(0, 1, width, device=images.device)
    down = torch.linspace(0, 1, height, device=images.device)
    for _ in range(PATCHES):
        there = torch.rand(count, generator=generator) < 0.5
        along, depth = torch.rand((2, count), generator=generator)
        near = EDGE * depth
        side = torch.randint(4, (count,), generator=generator)
        x = torch.where(side == 0, near, torch.where(side == 1, 1 - near, along))
        y = torch.where(side == 2, near, torch.where(side == 3, 1 - near, along))
        half = 0.03 + 0.07 * torch.rand((2, count), generator=generator)
        half = torch.where(there, half, -1.0)
        x, y, half = (each.to(images.device) for each in (x, y, half))
        columns = (across - x[:, None]).abs() < half[0, :, None]
        rows = (down - y[:, None]).abs() < half[1, :, None]
        mask = (rows[:, :, None] & columns[:, None, :])[:, None, :, :, None]
        color = torch.rand((count, 1, 1, 1, 3), generator=generator).to(images.device)
        images = torch.where(mask, color, images)
    return images
