"""Diffusion Policy (Chi et al. 2023), told the task in words: robot image and state to a chunk of actions.

It sees no human. One observation, sixteen actions, eight of them executed, as the Human2Robot authors ran it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from h2r_bench.policies.chunking import ChunkingAgent, Due
from h2r_bench.policies.h2r.config import CLIP_TEXT, MINILM, LanguageConfig
from h2r_bench.policies.h2r.files import domain_folders
from h2r_bench.policies.h2r.normalizer import Normalizer
from h2r_bench.policies.language import sentence_encoder
from h2r_bench.policies.rivals.chunk_unet import PAPER as PAPER_UNET
from h2r_bench.policies.rivals.chunk_unet import ChunkUNet, ChunkUNetConfig
from h2r_bench.policies.rivals.stored import Stored
from h2r_bench.policies.rivals.vision import PAPER as PAPER_VISION
from h2r_bench.policies.rivals.vision import VisionConfig, VisualEncoder
from h2r_bench.ranges import Size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from h2r_bench.types import Float32Array


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


class DiffusionPolicyModel(Stored):
    """Image, state and words to a chunk of absolute actions."""

    name = "diffusion_policy"
    kind = DiffusionPolicyConfig

    def __init__(self, config: DiffusionPolicyConfig) -> None:
        super().__init__()
        self.config = config
        self.normalizer = Normalizer()
        self.vision = VisualEncoder(config.vision)
        self.words = nn.Linear(config.language.width, config.word_width)
        self.policy = ChunkUNet(config.unet, self.perceived + config.state_dim)

    @property
    def perceived(self) -> int:
        """Numbers that image and words are brought down to."""
        return self.vision.width + self.config.word_width

    def perceive(self, images: Tensor, words: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images (B, H, W, 3) uint8 and sentence embeddings (B, width) to (B, `perceived`).

        The images are cropped at random with a `generator`.
        """
        # An embedding is a unit vector: its values are of the order of one over the root of its width.
        told = self.words(words * self.words.in_features**0.5)
        return torch.cat([self.vision(images, generator), told], dim=-1)

    @torch.no_grad()
    def act(self, images: Tensor, state: Float32Array, words: Tensor, noise: Tensor) -> Float32Array:
        """Actions (B, chunk, 7) from observed states (B, 10) and noise (B, chunk, 10)."""
        context = torch.cat([self.perceive(images, words), self.normalizer.state(state)], dim=-1)
        return self.normalizer.to_action(self.policy.sample(context, noise))


class DiffusionPolicyAgent(ChunkingAgent):
    """The policy in receding horizon, one for each training domain."""

    reads = ("image", "state", "instruction")
    shipped = "diffusion_policy_compact"
    recipe = "docs/rivals.md"

    def __init__(
        self,
        heads: Mapping[str, DiffusionPolicyModel],
        *,
        execute: int = 8,
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        """Act with `heads`, by training domain."""
        self.heads = {domain: head.eval().requires_grad_(False) for domain, head in heads.items()}
        self.domains = tuple(self.heads)
        self.domain = self.domains[0]
        config = self.heads[self.domain].config
        super().__init__(chunk=config.unet.chunk, execute=execute, manifest=manifest)
        self.image_size = config.vision.image_size

    @classmethod
    def load(cls, folder: Path, manifest: Mapping[str, Any], execute: int) -> DiffusionPolicyAgent:
        """The agent in `folder`."""
        places = domain_folders(folder, manifest)
        heads = {domain: DiffusionPolicyModel.load(place) for domain, place in places.items()}
        for head in heads.values():
            sentence_encoder(head.config.language).load()
        return cls(heads, execute=execute, manifest=manifest)

    def predict_chunks(self, due: Due) -> Float32Array:
        """New chunks (B, chunk, 7)."""
        model = self.heads[self.domain]
        images = torch.from_numpy(np.ascontiguousarray(due.rows["image"]))
        words = sentence_encoder(model.config.language).embed_codes(due.rows["instruction"])
        shape = (self.chunk, model.config.unet.action_dim)
        noise = torch.stack([torch.randn(shape, generator=each) for each in due.generators])
        return model.act(images, due.rows["state"], words, noise)
