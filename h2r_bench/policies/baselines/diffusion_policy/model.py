"""Diffusion Policy (Chi et al. 2023), told the task in words: robot image and state to a chunk of actions.

It sees no human. One observation, sixteen actions, eight of them executed, as the Human2Robot authors ran it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from h2r_bench.policies.baselines.diffusion_policy.config import DiffusionPolicyConfig
from h2r_bench.policies.common.chunk_unet import ChunkUNet
from h2r_bench.policies.common.normalizer import Normalizer
from h2r_bench.policies.common.stored_module import Stored
from h2r_bench.policies.common.visual_encoder import VisualEncoder

if TYPE_CHECKING:
    from h2r_bench.types import Float32Array


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
