"""XSkill (Xu et al. 2023): the human's video as a sequence of skills, one of which is due now.

    human video --skills--> sequence --alignment, given what the robot sees--> skill due --policy--> actions

The skill encoder is trained first, on human and robot videos that are not paired. Alignment and policy are
then trained on the robot's episodes alone, the robot's own videos in the place of the human's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.policies.baselines.xskill.config import XSkillConfig
from h2r_bench.policies.baselines.xskill.skill_encoder import transformer
from h2r_bench.policies.common.chunk_unet import ChunkUNet
from h2r_bench.policies.common.normalizer import Normalizer
from h2r_bench.policies.common.stored_module import Stored
from h2r_bench.policies.common.visual_encoder import VisualEncoder
from h2r_bench.types import Float32Array


class SkillAlignment(nn.Module):
    """The skill alignment transformer: which skill of a sequence is due, given what the robot sees."""

    def __init__(self, config: XSkillConfig, seen: int) -> None:
        """For observations of `seen` numbers."""
        super().__init__()
        width = config.skill_width
        self.observation = nn.Sequential(nn.Linear(seen, width), nn.SiLU(), nn.Linear(width, width))
        self.place = nn.Parameter(0.02 * torch.randn(config.longest, width))
        self.transformer = transformer(width, config.heads, config.layers)
        self.head = nn.Linear(width, width)

    def forward(self, observation: Tensor, sequence: Tensor, there: Tensor) -> Tensor:
        """The skill that is due (B, D), given observations (B, seen) and skills (B, S, D).

        A sequence is filled up with zeros; `there` (B, S) says which of it are skills.
        """
        # What fills up even the longest sequence costs two thirds of the time and changes nothing.
        longest = int(there.any(0).nonzero().max()) + 1
        sequence, there = sequence[:, :longest], there[:, :longest]
        query = self.observation(observation)[:, None]
        tokens = torch.cat([query, sequence + self.place[: sequence.shape[1]]], dim=1)
        padding = torch.cat([torch.zeros_like(there[:, :1]), ~there], dim=1)
        mixed = self.transformer(tokens, src_key_padding_mask=padding)
        due: Tensor = self.head(mixed[:, 0])
        return due


class XSkillModel(Stored):
    """Alignment and policy of one training domain."""

    name = "xskill"
    kind = XSkillConfig

    def __init__(self, config: XSkillConfig) -> None:
        super().__init__()
        self.config = config
        self.normalizer = Normalizer()
        self.vision = VisualEncoder(config.vision)
        seen = self.vision.width + config.state_dim
        self.alignment = SkillAlignment(config, seen)
        self.policy = ChunkUNet(config.unet, seen + config.skill_width)

    @torch.no_grad()
    def act(
        self, images: Tensor, state: Float32Array, sequence: Tensor, there: Tensor, noise: Tensor
    ) -> Float32Array:
        """Actions (B, chunk, 7) from observed states (B, 10), the human's skills, noise (B, chunk, 10)."""
        seen = torch.cat([self.vision(images), self.normalizer.state(state)], dim=-1)
        due = self.alignment(seen, sequence, there)
        return self.normalizer.to_action(self.policy.sample(torch.cat([seen, due], dim=-1), noise))


def sequence_starts(length: int, stride: int, longest: int) -> list[int]:
    """First frames of the skills of a video of `length` frames: every `stride` steps, at most `longest`."""
    starts = list(range(0, length, stride))
    if len(starts) <= longest:
        return starts
    return [round(place * (length - 1) / (longest - 1)) for place in range(longest)]


def padded(sequence: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Skills (S, D) as (longest, D) with zeros behind them, and which of these are skills (longest,)."""
    there = torch.arange(longest) < len(sequence)
    return F.pad(sequence, (0, 0, 0, longest - len(sequence))), there
