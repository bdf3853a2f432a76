"""Skills that human and robot share (XSkill, Xu et al. 2023, section 3.1).

A skill is what happens within `window` steps of a video: an encoder sees the first and the last frame and
puts out a unit vector. Its similarities to a set of prototypes are trained to agree between two distorted
views of one video (SwAV, Caron et al. 2020), and between moments near each other in time rather than far
ones. Nothing says whose video it is: assignments are balanced over all prototypes for the human's videos and
for the robot's by themselves, so each prototype has to serve both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.policies.baselines.xskill.augmentation import distorted
from h2r_bench.policies.common.images import to_unit
from h2r_bench.policies.common.stored_module import Stored
from h2r_bench.policies.common.visual_encoder import cropped
from h2r_bench.ranges import Layers, Size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from h2r_bench.types import UInt8Array

AT_ONCE = 256
"""Frames that pass the convolutions together when a whole video is read."""


@dataclass(frozen=True)
class PrototypeConfig:
    """How skills are told apart."""

    count: Size = 64
    """Prototypes (the original: 128 in simulation, 32 for real videos)."""
    epsilon: float = 0.03
    """Softness of the Sinkhorn assignment."""
    iterations: Size = 3
    """Sinkhorn iterations."""
    temperature: float = 0.1
    """Of the softmax over prototypes, and of the contrast in time."""
    swav_weight: float = 0.5
    """Weight of the prototype loss."""
    contrast_weight: float = 1.0
    """Weight of the contrast in time."""
    near: Size = 4
    """Windows at most this many steps apart should look alike."""
    far: Size = 12
    """Windows at least this many steps apart should not."""


@dataclass(frozen=True)
class SkillConfig:
    """Sizes of the skill encoder."""

    image_size: tuple[Size, Size] = (128, 128)
    """Width and height of the images [pixels]."""
    crop: tuple[Size, Size] = (112, 112)
    """Width and height of the part that is looked at [pixels]."""
    channels: tuple[Size, Size, Size] = (32, 64, 32)
    """Width of the three convolutions (8x8 stride 4, 4x4 stride 2, 3x3)."""
    width: Size = 128
    """Width of tokens and of a skill's vector (the original: 256)."""
    layers: Layers = 4
    """Layers of the temporal transformer (the original: 8)."""
    heads: Size = 4
    """Attention heads."""
    window: Size = 8
    """Steps from the first frame of a skill to its last."""
    stride: Size = 4
    """Steps from one skill of a video's sequence to the next (the original: 1)."""
    prototypes: PrototypeConfig = field(default_factory=PrototypeConfig)


class SkillFrameEncoder(nn.Module):
    """The original's three convolutions, with group normalisation and a padded third one."""

    def __init__(self, config: SkillConfig) -> None:
        super().__init__()
        first, second, third = config.channels
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, first, 8, 4),
            nn.GroupNorm(8, first),
            nn.ReLU(),
            nn.Conv2d(first, second, 4, 2),
            nn.GroupNorm(8, second),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, padding=1),
            nn.GroupNorm(8, third),
            nn.ReLU(),
            nn.Flatten(),
        )
        width, height = config.crop
        with torch.no_grad():
            cells = self.convolutions(torch.zeros(1, 3, height, width)).shape[1]
        self.project = nn.Linear(cells, config.width)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, h, w) in [-1, 1] to (N, width)."""
        encoded: Tensor = self.project(self.convolutions(images))
        return encoded


class SkillEncoder(Stored):
    """Windows of a video to skills, and skills to prototypes."""

    name = "skills"
    kind = SkillConfig

    def __init__(self, config: SkillConfig) -> None:
        super().__init__()
        self.config = config
        self.frames = SkillFrameEncoder(config)
        self.place = nn.Parameter(0.02 * torch.randn(3, config.width))
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, config.width))
        self.transformer = transformer(config.width, config.heads, config.layers)
        self.prototypes = nn.Parameter(F.normalize(torch.randn(config.prototypes.count, config.width), dim=1))

    def skills(self, first: Tensor, last: Tensor) -> Tensor:
        """Encoded first and last frames (N, width) of windows to unit vectors (N, width)."""
        tokens = torch.cat([self.token.expand(len(first), -1, -1), torch.stack([first, last], 1)], 1)
        mixed = self.transformer(tokens + self.place)
        return F.normalize(mixed[:, 0], dim=-1)

    def scores(self, skills: Tensor) -> Tensor:
        """Cosines (N, prototypes) of skills (N, width) and prototypes."""
        return skills @ F.normalize(self.prototypes, dim=1).T

    def video_loss(self, videos: Tensor, windows: Tensor, generator: torch.Generator) -> Tensor:
        """Prototype loss and contrast in time for videos of one body, (V, M, H, W, 3) uint8.

        Frames are half a window apart. Of the M - 2 windows of each video its first `windows` (V,) count:
        what follows is a last frame that repeats, and as alike as no two moments of a video are.
        """
        config = self.config.prototypes
        one, other = (self.views(videos, generator) for _ in range(2))
        counted = torch.arange(one.shape[1], device=one.device) < windows[:, None]
        agreement = swapped_prediction(one[counted], other[counted], config)
        step = self.config.window // 2
        near, far = max(1, config.near // step), max(1, config.far // step)
        contrast = time_contrast(one, windows, config.temperature, near, far, generator)
        return config.swav_weight * agreement + config.contrast_weight * contrast

    def views(self, videos: Tensor, generator: torch.Generator) -> Tensor:
        """Scores (V, M - 2, prototypes) of the windows of `videos`, each distorted in a way of its own."""
        count, frames = videos.shape[:2]
        images = distorted(videos, self.config.crop, generator).flatten(0, 1)
        encoded = self.frames(images).unflatten(0, (count, frames))
        first, last = encoded[:, :-2].flatten(0, 1), encoded[:, 2:].flatten(0, 1)
        return self.scores(self.skills(first, last)).unflatten(0, (count, frames - 2))

    @torch.no_grad()
    def encode(self, video: UInt8Array) -> Tensor:
        """Frames (T, H, W, 3) to the vectors (T, width) that `between` reads."""
        pieces = (torch.from_numpy(video[at : at + AT_ONCE]) for at in range(0, len(video), AT_ONCE))
        device = self.place.device
        return torch.cat(
            [self.frames(to_unit(cropped(piece.to(device), self.config.crop))) for piece in pieces]
        )

    @torch.no_grad()
    def between(self, first: Tensor, last: Tensor) -> Tensor:
        """The skills (N, width) of windows from their encoded first and last frames; values of order one."""
        return self.skills(first, last) * self.config.width**0.5

    def read(self, video: UInt8Array, starts: Sequence[int]) -> Tensor:
        """The skills (S, width) that begin at frames `starts` of a video (T, H, W, 3).

        Beyond the end of the video its last frame repeats.
        """
        first = np.array(starts)
        last = np.minimum(first + self.config.window, len(video) - 1)
        needed, places = np.unique(np.stack([first, last]), return_inverse=True)
        encoded = self.encode(video[needed])[torch.from_numpy(places.reshape(2, -1))]
        return self.between(encoded[0], encoded[1])


def transformer(width: int, heads: int, layers: int) -> nn.TransformerEncoder:
    """Pre-norm transformer layers without dropout."""
    layer = nn.TransformerEncoderLayer(
        width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Assignments (N, K) of N windows to K prototypes by `scores` (N, K): rows sum to 1, columns are even.

    Columns are so after many iterations, nearly so after a few.
    """
    logs = scores.T / epsilon
    # In logarithms: a prototype that no window is near would be nought over nought.
    for _ in range(iterations):
        logs = logs.log_softmax(1)
        logs = logs.log_softmax(0)
    return logs.exp().T


def swapped_prediction(one: Tensor, other: Tensor, config: PrototypeConfig) -> Tensor:
    """SwAV: the scores (N, K) of each view foretell the assignments of the other."""
    loss = one.new_zeros(())
    for seen, unseen in ((one, other), (other, one)):
        assigned = sinkhorn(unseen, config.epsilon, config.iterations)
        loss = loss - (assigned * (seen / config.temperature).log_softmax(1)).sum(1).mean()
    return loss / 2


def time_contrast(
    scores: Tensor, windows: Tensor, temperature: float, near: int, far: int, generator: torch.Generator
) -> Tensor:
    """InfoNCE within each video, on scores (V, W, K) of its windows in order, of which `windows` (V,) count.

    For each window one at most `near` places away is to look more alike than any at least `far` away.
    """
    most = scores.shape[1]
    if most <= far:
        raise ValueError(f"a contrast in time needs more than {far} windows of a video, got {most}")
    places = torch.arange(most)
    offsets = torch.randint(1, near + 1, (most,), generator=generator)
    signs = 2 * torch.randint(2, (most,), generator=generator) - 1
    places, steps = places.to(scores.device), (offsets * signs).to(scores.device)
    partner, last = (places + steps).expand(len(scores), -1), windows[:, None] - 1
    partner = torch.where((partner >= 0) & (partner <= last), partner, places - steps)
    partner = torch.minimum(partner.clamp(min=0), last)
    counted = places <= last
    alike = scores @ scores.transpose(1, 2) / temperature
    apart = ((places[:, None] - places).abs() >= far) & counted[:, None]
    logits = alike.masked_fill(~(apart | F.one_hot(partner, most).bool()), float("-inf"))
    return F.cross_entropy(logits[counted], partner[counted])
