"""The image encoder (paper, section 4.1): the robot's reference frame as one token of cross-attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.extras import require_transformers

if TYPE_CHECKING:
    from h2r_bench.policies.h2r.config import CLIPConfig, VPMConfig

MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Mean of the pixels that CLIP was trained on, per colour (Radford et al. 2021)."""
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Their standard deviation."""


class PooledLatents(nn.Module):
    """The embedding for a model that starts from nothing: pooled latents, projected."""

    def __init__(self, config: VPMConfig) -> None:
        super().__init__()
        self.pool = config.token_pool
        self.projection = nn.Linear(config.vae.latent_channels * self.pool**2, config.unet.token_dim)

    def forward(self, robot: Tensor, latents: Tensor) -> Tensor:
        """Images `robot` (B, H, W, 3) uint8 and their latents (B, c, h, w) to (B, 1, token_dim)."""
        pooled = F.adaptive_avg_pool2d(latents, self.pool).flatten(1)
        token: Tensor = self.projection(pooled)[:, None]
        return token


class CLIPEmbedding(nn.Module):
    """The paper's embedding: what CLIP's vision tower makes of the image, projected. Frozen."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.side = config.image_size
        self.clip = clip_tower(config).requires_grad_(False)

    @torch.no_grad()
    def forward(self, robot: Tensor, latents: Tensor) -> Tensor:
        """Images `robot` (B, H, W, 3) uint8 and their latents (B, c, h, w) to (B, 1, token_dim)."""
        pixels = clip_pixels(robot, self.side).to(latents.dtype)
        token: Tensor = self.clip(pixels).image_embeds[:, None]
        return token


def build_image_encoder(config: VPMConfig) -> PooledLatents | CLIPEmbedding:
    """The image encoder that `config` describes. Raises ValueError for tokens of another width."""
    if config.clip is None:
        return PooledLatents(config)
    if config.clip.token_dim != config.unet.token_dim:
        raise ValueError(
            f"CLIP embeds in {config.clip.token_dim} dimensions, the UNets read {config.unet.token_dim}"
        )
    return CLIPEmbedding(config.clip)


def clip_tower(config: CLIPConfig) -> nn.Module:
    """A CLIPVisionModelWithProjection of transformers, with random weights. Raises ModuleNotFoundError."""
    transformers = require_transformers()
    sizes = transformers.CLIPVisionConfig(
        hidden_size=config.width,
        intermediate_size=config.mlp_width,
        projection_dim=config.token_dim,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        image_size=config.image_size,
        patch_size=config.patch,
        hidden_act=config.activation,
    )
    tower: nn.Module = transformers.CLIPVisionModelWithProjection(sizes)
    return tower


def clip_pixels(images: Tensor, side: int) -> Tensor:
    """CLIP's preprocessing of `images` (B, H, W, 3) uint8: shape (B, 3, side, side), normalised.

    The shorter side becomes `side` pixels (bicubic), the middle of the longer one is kept.
    """
    height, width = images.shape[1:3]
    scale = side / min(height, width)
    size = (max(side, int(height * scale)), max(side, int(width * scale)))
    unit = images.movedim(-1, 1).float() / 255.0
    resized = F.interpolate(unit, size=size, mode="bicubic", antialias=True).clamp(0.0, 1.0)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    cropped = resized[:, :, top : top + side, left : left + side]
    mean, deviation = (cropped.new_tensor(each)[:, None, None] for each in (MEAN, DEVIATION))
    return (cropped - mean) / deviation
