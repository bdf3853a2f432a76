"""By what robot images are compared: an encoder turns each into one vector.

`clip_dinov2` is the paper's (section 4.3): CLIP ViT-L/14 and DINOv2 ViT-L/14, joined, by transformers' own
loaders. `latents` needs nothing but the VAE that comes with the agent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch.nn import functional as F

from h2r_bench.policies.h2r.extra import require_transformers
from h2r_bench.policies.h2r.vae import to_unit

if TYPE_CHECKING:
    from torch import Tensor, nn

    from h2r_bench.policies.h2r.vae import LatentCoder
    from h2r_bench.types import Float32Array, UInt8Array

_CLIP_COLOURS = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation of the pixels that CLIP was trained on (Radford et al., 2021)."""
_IMAGENET_COLOURS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""The same of ImageNet, for DINOv2 (Oquab et al., 2023)."""


class FrameEncoder(Protocol):
    """What retrieval sees of an image."""

    def embed(self, images: UInt8Array) -> Float32Array:
        """Images (N, H, W, 3) to vectors (N, D); likeness is nearness."""


@dataclass(frozen=True)
class Towers:
    """Where the paper's two encoders are: local folders or ids on the hub."""

    clip: str = "openai/clip-vit-large-patch14"
    """CLIP's vision tower with its projection."""
    dinov2: str = "facebook/dinov2-large"
    """DINOv2."""


class LatentFrames:
    """The VAE's latents, averaged over the cells of a grid."""

    def __init__(self, vae: LatentCoder, grid: int) -> None:
        """Average over `grid` x `grid` cells."""
        self.vae = vae
        self.grid = grid

    @torch.no_grad()
    def embed(self, images: UInt8Array) -> Float32Array:
        """Images (N, H, W, 3) to vectors (N, D)."""
        latents = self.vae.encode(to_unit(torch.from_numpy(np.ascontiguousarray(images))))
        pooled: Float32Array = F.adaptive_avg_pool2d(latents, self.grid).flatten(1).numpy()
        return pooled


class ClipDinoFrames:
    """CLIP's embedding and DINOv2's class token, each of length one, joined."""

    def __init__(self, towers: Towers) -> None:
        """Load both. Raises ModuleNotFoundError without transformers, OSError where they are not."""
        transformers = require_transformers()
        self.clip = transformers.CLIPVisionModelWithProjection.from_pretrained(towers.clip).eval()
        self.dinov2 = transformers.Dinov2Model.from_pretrained(towers.dinov2).eval()

    @torch.no_grad()
    def embed(self, images: UInt8Array) -> Float32Array:
        """Images (N, H, W, 3) to vectors (N, 768 + 1024)."""
        raw = torch.from_numpy(np.ascontiguousarray(images)).movedim(-1, 1).float() / 255
        clip = self.clip(_squared(raw, _side(self.clip), *_CLIP_COLOURS)).image_embeds
        dinov2 = self.dinov2(_squared(raw, _side(self.dinov2), *_IMAGENET_COLOURS)).pooler_output
        joined: Float32Array = torch.cat([F.normalize(clip), F.normalize(dinov2)], 1).numpy()
        return joined


def _side(tower: nn.Module) -> int:
    """Side of the images that a tower reads [pixels]. DINOv2 takes any; 224 is what CLIP ViT-L/14 takes."""
    config: Any = tower.config
    return min(224, int(config.image_size))


def _squared(images: Tensor, side: int, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    """Images (N, 3, H, W) in 0..1 as a tower wants them. The whole image is kept, if squeezed: what matters
    here may lie at its edge, which a crop of the middle would lose.
    """
    resized = F.interpolate(images, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    shift, scale = (torch.tensor(each)[:, None, None] for each in (mean, deviation))
    squared: Tensor = (resized - shift) / scale
    return squared
