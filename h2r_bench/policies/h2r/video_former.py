"""The Video Former (paper, equation 2): learnable tokens that aggregate the VPM's features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

if TYPE_CHECKING:
    from h2r_bench.policies.h2r.config import DecoderConfig


class VideoFormerLayer(nn.Module):
    """FFN(Temp-Attn(Spat-Attn(Q, F))), each step added to what it reads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_spatial, self.norm_temporal, self.norm_ffn = (nn.LayerNorm(width) for _ in range(3))
        self.spatial = Attention(width, heads=heads, dim_head=width // heads)
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
    """Features of F frames to n = F x `queries_per_frame` tokens of width L."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        channels, height, width = config.feature_shape
        self.frames = config.frames
        self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, config.width)
        self.place = nn.Parameter(0.02 * torch.randn(height * width, config.width))
        self.queries = nn.Parameter(0.02 * torch.randn(config.queries_per_frame, config.width))
        self.time = nn.Parameter(0.02 * torch.randn(config.frames, 1, config.width))
        layers = (VideoFormerLayer(config.width, config.heads) for _ in range(config.former_layers))
        self.layers = nn.ModuleList(layers)
        self.norm_out = nn.LayerNorm(config.width)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F, C, h, w), F at least `frames` of which the first are read, to tokens (B, n, L)."""
        cells = features[:, : self.frames].flatten(3).transpose(2, 3)
        cells = self.project(self.norm(cells)) + self.place
        tokens = (self.queries + self.time).expand(len(features), -1, -1, -1)
        for layer in self.layers:
            tokens = layer(tokens, cells)
        aggregated: Tensor = self.norm_out(tokens.flatten(1, 2))
        return aggregated
