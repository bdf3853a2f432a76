"""Distorted views of videos: what stays the same in two of them is what a skill is about."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from h2r_bench.policies.common.images import to_unit

JITTER = 0.3
"""Largest change of brightness, contrast and each colour, as a part of itself."""
GREY_SHARE = 0.2
"""Share of the videos that lose their colours."""
BLUR_SHARE = 0.5
"""Share of the videos that are blurred."""


def distorted(videos: Tensor, crop: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Videos (V, M, H, W, 3) uint8 to (V, M, 3, height, width) about [-1, 1].

    Each video is cropped, tinted, greyed and blurred in a way of its own, all its frames alike.
    """
    return torch.stack([_one(to_unit(video), crop, generator) for video in videos])


def _one(frames: Tensor, crop: tuple[int, int], generator: torch.Generator) -> Tensor:
    width, height = crop
    top = _whole(frames.shape[-2] - height, generator)
    left = _whole(frames.shape[-1] - width, generator)
    frames = frames[..., top : top + height, left : left + width]
    change = 1 + JITTER * (2 * torch.rand(5, generator=generator) - 1).to(frames.device)
    mean = frames.mean(dim=(-3, -2, -1), keepdim=True)
    frames = (frames - mean) * change[0] + mean + (change[1] - 1)
    frames = frames * change[2:, None, None]
    grey, blur = torch.rand(2, generator=generator).tolist()
    if grey < GREY_SHARE:
        frames = frames.mean(dim=-3, keepdim=True).expand_as(frames)
    if blur < BLUR_SHARE:
        frames = F.avg_pool2d(frames, 3, stride=1, padding=1, count_include_pad=False)
    return frames


def _whole(highest: int, generator: torch.Generator) -> int:
    return int(torch.randint(highest + 1, (), generator=generator))
