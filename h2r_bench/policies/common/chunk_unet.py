"""The 1-D convolutional denoiser of Diffusion Policy (Chi et al. 2023, section III-A): a U-Net over time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn

from h2r_bench.policies.common.config import Prediction
from h2r_bench.policies.common.diffusion import ActionDiffusion
from h2r_bench.ranges import Size


@dataclass(frozen=True)
class ChunkUNetConfig:
    """Sizes of the denoiser, and how chunks are noised."""

    channels: tuple[Size, ...] = (32, 64, 64)
    """Width of each level; each but the last halves the number of steps (the authors: 256, 512, 1024)."""
    kernel: Size = 5
    """Steps that a convolution sees."""
    groups: Size = 8
    """Groups of the group normalisation."""
    time_width: Size = 64
    """Width of the embedding of the diffusion's timestep (the original: 128)."""
    chunk: Size = 16
    """Actions predicted at once."""
    action_dim: Size = 10
    """Position (3), 6-D rotation (6), gripper (1), all brought to [-1, 1]."""
    train_steps: Size = 100
    """Timesteps of the noise schedule."""
    sample_steps: Size = 8
    """DDIM steps at inference."""
    prediction: Prediction = "sample"
    """What the network puts out. The original has epsilon; the clean sample is learnt in far fewer steps, and
    `h2r`'s compact decoder predicts it as well."""
    guess: Size | None = 128
    """Width of the hidden layer of a first guess at the clean chunk, which the denoiser is shown and
    corrects; for the prediction `sample`. None: no such guess (the original)."""

    def __post_init__(self) -> None:
        if self.guess and self.prediction != "sample":
            raise ValueError(f"a guess at the clean chunk is no help to predict {self.prediction}")
        shortest = 2 ** (len(self.channels) - 1)
        if self.chunk % shortest:
            raise ValueError(
                f"{len(self.channels)} levels need a chunk that {shortest} divides, not {self.chunk}"
            )


PAPER = ChunkUNetConfig(channels=(256, 512, 1024), time_width=128, prediction="epsilon", guess=None)
"""The authors' sizes."""


def convolution(before: int, width: int, config: ChunkUNetConfig) -> nn.Sequential:
    """Convolution over time, group normalisation, Mish."""
    return nn.Sequential(
        nn.Conv1d(before, width, config.kernel, padding=config.kernel // 2),
        nn.GroupNorm(config.groups, width),
        nn.Mish(),
    )


class FiLMBlock(nn.Module):
    """Two convolutions; between them the condition scales and shifts each channel (Perez et al. 2018)."""

    def __init__(self, before: int, width: int, condition: int, config: ChunkUNetConfig) -> None:
        super().__init__()
        self.first = convolution(before, width, config)
        self.film = nn.Sequential(nn.Mish(), nn.Linear(condition, 2 * width))
        self.second = convolution(width, width, config)
        self.shortcut = nn.Conv1d(before, width, 1) if before != width else nn.Identity()

    def forward(self, maps: Tensor, condition: Tensor) -> Tensor:
        """Maps (B, before, steps) and condition (B, condition) to (B, width, steps)."""
        scale, shift = self.film(condition)[..., None].chunk(2, dim=1)
        out: Tensor = self.second(self.first(maps) * (1 + scale) + shift) + self.shortcut(maps)
        return out


class ResidualPair(nn.Module):
    """Two FiLM blocks."""

    def __init__(self, before: int, width: int, condition: int, config: ChunkUNetConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [FiLMBlock(before, width, condition, config), FiLMBlock(width, width, condition, config)]
        )

    def forward(self, maps: Tensor, condition: Tensor) -> Tensor:
        """Maps (B, before, steps) and condition (B, condition) to (B, width, steps)."""
        for block in self.blocks:
            maps = block(maps, condition)
        return maps


class ChunkUNet(ActionDiffusion):
    """Down, middle and up over the steps of a chunk, every block conditioned on what is seen."""

    def __init__(self, config: ChunkUNetConfig, context: int) -> None:
        """For a context of `context` numbers."""
        super().__init__(config)
        self.time = nn.Sequential(
            Timesteps(config.time_width, flip_sin_to_cos=True, downscale_freq_shift=0),
            TimestepEmbedding(config.time_width, 4 * config.time_width, out_dim=config.time_width),
        )
        condition, widths = config.time_width + context, config.channels
        self.guess = (
            nn.Sequential(
                nn.Linear(context, config.guess),
                nn.SiLU(),
                nn.Linear(config.guess, config.chunk * config.action_dim),
            )
            if config.guess
            else None
        )
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shorter, self.longer = nn.ModuleList(), nn.ModuleList()
        before = 2 * config.action_dim if config.guess else config.action_dim
        for width in widths:
            self.down.append(ResidualPair(before, width, condition, config))
            before = width
        for width in widths[:-1]:
            self.shorter.append(nn.Conv1d(width, width, 3, 2, 1))
        self.middle = ResidualPair(before, before, condition, config)
        for width in reversed(widths[:-1]):
            self.longer.append(nn.ConvTranspose1d(before, before, 4, 2, 1))
            self.up.append(ResidualPair(before + width, width, condition, config))
            before = width
        self.head = nn.Sequential(
            convolution(before, before, config), nn.Conv1d(before, config.action_dim, 1)
        )

    def forward(self, noisy: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """Noisy chunks (B, chunk, action_dim) at `timestep` (B,), given `context` (B, n), to the output."""
        if self.guess is None:
            return self._corrected(noisy, timestep, context)
        guess: Tensor = self.guess(context).view_as(noisy)
        return guess + self._corrected(torch.cat([noisy, guess], dim=-1), timestep, context)

    def _corrected(self, shown: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """What is shown for each step of the chunks (B, chunk, n) to (B, chunk, action_dim)."""
        condition = torch.cat([self.time(timestep), context], dim=-1)
        maps, skips = shown.transpose(1, 2), []
        for level, pair in enumerate(self.down):
            maps = pair(maps, condition)
            if level < len(self.shorter):
                skips.append(maps)
                maps = self.shorter[level](maps)
        maps = self.middle(maps, condition)
        for longer, pair in zip(self.longer, self.up, strict=True):
            maps = pair(torch.cat([longer(maps), skips.pop()], dim=1), condition)
        out: Tensor = self.head(maps).transpose(1, 2)
        return out
