"""Sizes of XSkill."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from h2r_bench.policies.baselines.xskill.skill_encoder import PrototypeConfig, SkillConfig
from h2r_bench.policies.common.chunk_unet import PAPER as PAPER_UNET
from h2r_bench.policies.common.chunk_unet import ChunkUNetConfig
from h2r_bench.policies.common.visual_encoder import PAPER as PAPER_VISION
from h2r_bench.policies.common.visual_encoder import VisionConfig
from h2r_bench.ranges import Layers, Size


@dataclass(frozen=True)
class XSkillConfig:
    """Sizes of alignment and policy; of the skill encoder only the width of a skill matters to them."""

    skill_width: Size = 128
    """Width of a skill's vector."""
    longest: Size = 100
    """Most skills of a video; of a longer one as many are taken at equal distances."""
    layers: Layers = 4
    """Layers of the alignment transformer (the original: 16)."""
    heads: Size = 4
    """Attention heads."""
    alignment_weight: float = 1.0
    """Weight of the alignment's loss beside the policy's."""
    vision: VisionConfig = field(default_factory=VisionConfig)
    unet: ChunkUNetConfig = field(default_factory=ChunkUNetConfig)
    state_dim: Size = 10
    """Position (3), 6-D rotation (6), opening (1), brought to [-1, 1]."""


@dataclass(frozen=True)
class XSkillSizes:
    """A preset: skill encoder, alignment and policy."""

    skills: SkillConfig = field(default_factory=SkillConfig)
    policy: XSkillConfig = field(default_factory=XSkillConfig)


PAPER_SKILLS = SkillConfig(
    image_size=(424, 240),
    crop=(382, 216),
    width=256,
    layers=8,
    prototypes=replace(PrototypeConfig(), count=128),
)
COMPACT = XSkillSizes()
"""Trains on a CPU."""
PAPER = XSkillSizes(
    skills=PAPER_SKILLS,
    policy=XSkillConfig(
        skill_width=256,
        layers=16,
        vision=PAPER_VISION,
        unet=PAPER_UNET,
    ),
)
"""The original's sizes."""
PRESETS = {"compact": COMPACT, "paper": PAPER}
