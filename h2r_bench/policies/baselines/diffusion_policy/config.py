"""Sizes of Diffusion Policy."""

from __future__ import annotations

from dataclasses import dataclass, field

from h2r_bench.policies.common.chunk_unet import PAPER as PAPER_UNET
from h2r_bench.policies.common.chunk_unet import ChunkUNetConfig
from h2r_bench.policies.common.config import CLIP_TEXT, MINILM, LanguageConfig
from h2r_bench.policies.common.visual_encoder import PAPER as PAPER_VISION
from h2r_bench.policies.common.visual_encoder import VisionConfig
from h2r_bench.ranges import Size


@dataclass(frozen=True)
class DiffusionPolicyConfig:
    """Sizes of the whole policy."""

    vision: VisionConfig = field(default_factory=VisionConfig)
    unet: ChunkUNetConfig = field(default_factory=ChunkUNetConfig)
    language: LanguageConfig = MINILM
    word_width: Size = 64
    """Numbers that the sentence's embedding is brought down to."""
    state_dim: Size = 10
    """Position (3), 6-D rotation (6), opening (1), brought to [-1, 1]."""


COMPACT = DiffusionPolicyConfig()
"""Trains on a CPU."""
PAPER = DiffusionPolicyConfig(vision=PAPER_VISION, unet=PAPER_UNET, language=CLIP_TEXT)
"""The sizes of the Human2Robot authors' Diffusion Policy."""
PRESETS = {"compact": COMPACT, "paper": PAPER}
