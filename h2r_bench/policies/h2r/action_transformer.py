"""The diffusion policy (paper, equation 3): a transformer that denoises a chunk of actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn

from h2r_bench.policies.common.diffusion import ActionDiffusion
from h2r_bench.policies.common.layers import sinusoidal_embedding

if TYPE_CHECKING:
    from h2r_bench.policies.h2r.config import DecoderConfig


class ActionTransformer(ActionDiffusion):
    """Blocks of self-attention over the chunk, cross-attention to the context, and a feed-forward layer."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(config)
        width = config.width
        self.embed = nn.Linear(config.action_dim, width)
        self.position = nn.Parameter(sinusoidal_embedding(config.chunk, width))
        self.time_proj = Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(width, width)
        blocks = (
            BasicTransformerBlock(width, config.heads, width // config.heads, cross_attention_dim=width)
            for _ in range(config.policy_layers)
        )
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.action_dim)

    def forward(self, noisy: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """Noisy chunks (B, chunk, action_dim) at `timestep` (B,), given context (B, n, L), to the output."""
        moment = self.time_embedding(self.time_proj(timestep))[:, None]
        tokens = self.embed(noisy) + self.position + moment
        for block in self.blocks:
            tokens = block(tokens, encoder_hidden_states=context)
        out: Tensor = self.head(self.norm(tokens))
        return out
