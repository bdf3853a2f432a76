"""The Video Former (paper, equation 2): learnable tokens that aggregate the VPM's features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from h2r_bench.policies.common.keypoints import KeypointHead
from h2r_bench.policies.common.layers import sinusoidal_embedding

if TYPE_CHECKING:
    from h2r_bench.policies.h2r.config import DecoderConfig


class FewQueries:
    """Attention of a few queries to many cells, without a key and a value for every cell.

    The products of diffusers' own processor in another order: (q Wk) c instead of q (Wk c), and Wv (a c)
    instead of a (Wv c). With 4 queries to 68 cells that is a small part of the work.
    """

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor, **_unused: object
    ) -> Tensor:
        """Queries (N, q, L) that look at cells (N, m, L), to (N, q, L)."""
        count, queries, _ = hidden_states.shape
        key, value = (layer.weight.unflatten(0, (attn.heads, -1)) for layer in (attn.to_k, attn.to_v))
        # By head first, all queries of all N in one product: (heads, N q, L).
        query = attn.to_q(hidden_states).flatten(0, 1).unflatten(-1, (attn.heads, -1)).transpose(0, 1)
        looking = (query @ key).unflatten(1, (count, queries)).transpose(0, 1).flatten(1, 2)
        scores = attn.scale * looking @ encoder_hidden_states.transpose(1, 2)
        seen = scores.softmax(-1) @ encoder_hidden_states
        of_head = seen.unflatten(1, (attn.heads, queries)).transpose(0, 1).flatten(1, 2)
        found = (of_head @ value.transpose(1, 2)).transpose(0, 1).flatten(1)
        out: Tensor = attn.to_out[0](found).unflatten(0, (count, queries))
        return out


class VideoFormerLayer(nn.Module):
    """FFN(Temp-Attn(Spat-Attn(Q, F))), each step added to what it reads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_spatial, self.norm_temporal, self.norm_ffn = (nn.LayerNorm(width) for _ in range(3))
        self.spatial = Attention(width, heads=heads, dim_head=width // heads, processor=FewQueries())
        self.temporal = Attention(width, heads=heads, dim_head=width // heads)
        self.ffn = FeedForward(width)

    def forward(self, tokens: Tensor, cells: Tensor) -> Tensor:
        """Tokens (B, F, q, L) that look at cells (B, F, hw, L) of their own frame, then at other frames."""
        batch, frames, queries, _ = tokens.shape
        flat = tokens.flatten(0, 1)
        query = self.norm_spatial(flat)
        seen = torch.cat([cells.flatten(0, 1), query], dim=1)
        flat = flat + self.spatial(query, encoder_hidden_states=seen)
        rows = flat.unflatten(0, (batch, frames)).transpose(1, 2).flatten(0, 1)
        rows = rows + self.temporal(self.norm_temporal(rows))
        rows = rows + self.ffn(self.norm_ffn(rows))
        mixed: Tensor = rows.unflatten(0, (batch, queries)).transpose(1, 2)
        return mixed


class VideoFormer(nn.Module):
    """Features of F frames to n = F x `queries_per_frame` tokens of width L.

    With `maps` each frame's tokens start from what a `KeypointHead` finds in it.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        channels, height, width = config.feature_shape
        self.frames = config.frames
        self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, config.width)
        self.place = nn.Parameter(0.02 * torch.randn(height * width, config.width))
        self.queries = nn.Parameter(0.02 * torch.randn(config.queries_per_frame, config.width))
        self.time = nn.Parameter(sinusoidal_embedding(config.frames, config.width)[:, None])
        self.reader = KeypointHead(config.feature_shape, config.maps, config.width) if config.maps else None
        layers = (VideoFormerLayer(config.width, config.heads) for _ in range(config.former_layers))
        self.layers = nn.ModuleList(layers)
        self.norm_out = nn.LayerNorm(config.width)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F, C, h, w), F at least `frames` of which the first are read, to tokens (B, n, L)."""
        features = features[:, : self.frames]
        cells = self.project(self.norm(features.flatten(3).transpose(2, 3))) + self.place
        tokens = (self.queries + self.time).expand(len(features), -1, -1, -1)
        if self.reader is not None:
            glance = self.reader(features.flatten(0, 1)).unflatten(0, features.shape[:2])
            tokens = tokens + glance[:, :, None]
        for layer in self.layers:
            tokens = layer(tokens, cells)
        aggregated: Tensor = self.norm_out(tokens.flatten(1, 2))
        return aggregated
