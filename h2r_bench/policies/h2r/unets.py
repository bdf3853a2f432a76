"""The S-UNet and the ST-UNet (paper, section 4.1) from diffusers' blocks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel
from diffusers.utils import logging
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from h2r_bench.policies.h2r.config import VPMConfig


def build_spatial(config: VPMConfig, *, reference_input: bool = False) -> UNet2DConditionModel:
    """The S-UNet; also the ST-UNet of stage one, which has no temporal layers.

    With `reference_input` it takes the reference frame's latents after the noisy ones, as further channels.
    """
    channels, height, width = config.latent_shape
    attention = config.unet.attention
    return UNet2DConditionModel(
        sample_size=(height, width),
        in_channels=channels * (1 + reference_input),
        out_channels=channels,
        down_block_types=tuple("CrossAttnDownBlock2D" if has else "DownBlock2D" for has in attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(attention)),
        block_out_channels=config.unet.channels,
        layers_per_block=config.unet.layers,
        cross_attention_dim=config.unet.token_dim,
        attention_head_dim=config.unet.heads,
        norm_num_groups=config.unet.groups,
    )


def build_spatial_temporal(config: VPMConfig, spatial: UNet2DConditionModel) -> UNetMotionModel:
    """The ST-UNet of stage two: the S-layers of `spatial`, each followed by a new T-layer.

    T-layers start as the identity (their output projection is zero), so nothing learnt in stage one is lost.
    """
    with _quiet():
        model = UNetMotionModel.from_unet2d(spatial, build_temporal(config))
    for name, module in model.named_modules():
        if "motion_modules" in name and name.endswith("proj_out") and isinstance(module, nn.Linear):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return model


def build_temporal(config: VPMConfig) -> MotionAdapter:
    """New T-layers alone, as diffusers' container for them."""
    return MotionAdapter(
        block_out_channels=config.unet.channels,
        motion_layers_per_block=config.unet.layers,
        motion_num_attention_heads=config.motion.heads or config.unet.heads,
        motion_norm_num_groups=config.unet.groups,
        motion_max_seq_length=max(config.motion.max_frames, config.frames),
        use_motion_mid_block=config.motion.mid_block,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without diffusers' warning about a cast that changes nothing here (all is float32)."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def temporal_names(unet: nn.Module) -> list[str]:
    """Names of the parameters of the T-layers."""
    return [name for name, _ in unet.named_parameters() if "motion_modules" in name]
