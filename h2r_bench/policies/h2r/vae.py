"""Images to latents and back: diffusers' AutoencoderKL behind a fold of pixels into channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from h2r_bench.policies.h2r.config import VAEConfig


AT_ONCE = 2**19
"""Pixels of all images that pass the VAE together; Stable Diffusion's holds several kilobytes for each."""


class LatentCoder(nn.Module):
    """The VAE of the VPM. It is trained first and frozen ever after.

    Full-resolution layers are the slowest part of a small VAE, so the image is folded into squares of
    `patch` pixels first (`patch=1` is the plain AutoencoderKL).
    """

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        folded = 3 * config.patch**2
        levels = len(config.channels)
        self.autoencoder = AutoencoderKL(
            in_channels=folded,
            out_channels=folded,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=config.channels,
            layers_per_block=config.layers,
            latent_channels=config.latent_channels,
            norm_num_groups=config.groups,
            mid_block_add_attention=config.mid_attention,
        )
        # A posterior that starts narrow: with unit variance the noise drowns the first latents.
        self.autoencoder.quant_conv.bias.data[config.latent_channels :] = -6.0
        self.register_buffer("scale", torch.tensor(config.scale))
        self.scale: Tensor

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance (N, c, h, w) of the unscaled latents of `images` (N, 3, H, W) in [-1, 1]."""
        latents = self.autoencoder.encode(F.pixel_unshuffle(images, self.config.patch)).latent_dist
        return latents.mean, latents.logvar

    def encode(self, images: Tensor) -> Tensor:
        """Latents of unit variance (N, c, h, w) of `images` (N, 3, H, W) in [-1, 1]; the posterior's mean."""
        parts = images.to(self.scale.dtype).split(self._at_once(images.shape[-2] * images.shape[-1]))
        return torch.cat([self.posterior(part)[0] for part in parts]) * self.scale

    def decode(self, latents: Tensor) -> Tensor:
        """Images (N, 3, H, W) of `latents` (N, c, h, w), about [-1, 1]."""
        parts = (latents / self.scale).split(
            self._at_once(latents.shape[-2] * latents.shape[-1] * self.config.stride**2)
        )
        folded = torch.cat([self.autoencoder.decode(part).sample for part in parts])
        return F.pixel_shuffle(folded, self.config.patch)

    def _at_once(self, pixels: int) -> int:
        """Images of `pixels` that pass together."""
        return max(1, AT_ONCE // pixels)


def vae_loss(coder: LatentCoder, images: Tensor, noise: Tensor, kl_weight: float = 1e-5) -> Tensor:
    """Absolute error of the reconstruction plus the weighted KL divergence from a unit Gaussian.

    `images`: (N, 3, H, W) in [-1, 1]; `noise`: (N, c, h, w), unit Gaussian.
    """
    mean, log_variance = coder.posterior(images)
    latents = mean + (0.5 * log_variance).exp() * noise
    folded = coder.autoencoder.decode(latents).sample
    reconstruction = F.l1_loss(F.pixel_shuffle(folded, coder.config.patch), images)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
    return reconstruction + kl_weight * divergence
