"""The action decoder (paper, section 4.2): Video Former, proprioception, diffusion policy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from h2r_bench.policies.common.checkpoints import load_model, read_config, save_weights
from h2r_bench.policies.common.config_json import to_json
from h2r_bench.policies.common.normalizer import Normalizer
from h2r_bench.policies.h2r.action_transformer import ActionTransformer
from h2r_bench.policies.h2r.config import DecoderConfig
from h2r_bench.policies.h2r.video_former import VideoFormer

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.types import Float32Array


class ActionDecoder(nn.Module):
    """From the VPM's features and the robot's state to a chunk of absolute actions."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.normalizer = Normalizer()
        self.former = VideoFormer(config)
        self.state_token = nn.Sequential(
            nn.Linear(config.state_dim, config.width), nn.SiLU(), nn.Linear(config.width, config.width)
        )
        self.policy = ActionTransformer(config)

    def context(self, features: Tensor, state: Tensor) -> Tensor:
        """Features (B, F, C, h, w) and normalised states (B, 10) to the policy's context (B, n + 1, L)."""
        return torch.cat([self.former(features), self.state_token(state)[:, None]], dim=1)

    @torch.no_grad()
    def act(self, features: Tensor, state: Float32Array, noise: Tensor) -> Float32Array:
        """Actions (B, chunk, 7) from features, observed states (B, 10) and noise (B, chunk, 10)."""
        context = self.context(features, self.normalizer.state(state))
        return self.normalizer.to_action(self.policy.sample(context, noise))

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write `decoder.json` and `decoder.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "decoder.json").write_text(json.dumps({"config": to_json(self.config)}, indent=1) + "\n")
        save_weights(self, folder / "decoder.safetensors", dtype)

    @classmethod
    def load(cls, folder: Path) -> ActionDecoder:
        """The inverse of `save`, in float32."""
        sizes = folder / "decoder.json"
        config = read_config(DecoderConfig, sizes, "config")
        return load_model(sizes, lambda: cls(config), lambda model: {folder / "decoder.safetensors": model})
