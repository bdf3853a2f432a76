"""The Diffusion Policy agent: robot image, state and words to a chunk of actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from h2r_bench.policies.baselines.diffusion_policy.model import DiffusionPolicyModel
from h2r_bench.policies.common.checkpoints import domain_folders
from h2r_bench.policies.common.chunking import ChunkingAgent, ChunkRequest
from h2r_bench.policies.common.language import sentence_encoder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from h2r_bench.types import Float32Array


class DiffusionPolicyAgent(ChunkingAgent):
    """The policy in receding horizon, one for each training domain."""

    reads = ("image", "state", "instruction")
    shipped = "diffusion_policy_compact"
    recipe = "docs/baselines.md"

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

    def predict_chunks(self, due: ChunkRequest) -> Float32Array:
        """New chunks (B, chunk, 7)."""
        model = self.heads[self.domain]
        images = torch.from_numpy(np.ascontiguousarray(due.rows["image"]))
        words = sentence_encoder(model.config.language).embed_codes(due.rows["instruction"])
        shape = (self.chunk, model.config.unet.action_dim)
        noise = torch.stack([torch.randn(shape, generator=each) for each in due.generators])
        return model.act(images, due.rows["state"], words, noise)
