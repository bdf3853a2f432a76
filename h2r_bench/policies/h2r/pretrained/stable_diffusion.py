"""Start from the weights of others, as the paper does: Stable Diffusion, AnimateDiff's motion modules, CLIP.

All are read by diffusers' and transformers' own loaders, from local folders or the hub, and their sizes come
from their own configs.

| source | class | lands in |
|---|---|---|
| `SD/unet` | UNet2DConditionModel | S-UNet, and the S-layers of the ST-UNet |
| `SD/vae` | AutoencoderKL | VAE |
| `SD/image_encoder`, or CLIP | CLIPVisionModelWithProjection | image encoder |
| motion modules (stage two) | MotionAdapter | T-layers of the ST-UNet |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel

from h2r_bench.extras import require_transformers
from h2r_bench.policies.h2r.config import CLIPConfig, MotionConfig, UNetConfig, VAEConfig
from h2r_bench.policies.h2r.image_encoder import clip_tower
from h2r_bench.policies.h2r.pretrained.weight_loading import (
    LoadedWeights,
    PretrainedError,
    Report,
    check_same,
    copy_weights,
    load,
    report,
)
from h2r_bench.policies.h2r.unets import build_spatial, build_temporal
from h2r_bench.policies.h2r.vae import LatentCoder
from h2r_bench.policies.h2r.vpm import VideoPredictionModel

if TYPE_CHECKING:
    from h2r_bench.policies.h2r.config import VPMConfig

_OF_DIFFUSERS = ("sample_size", "scaling_factor", "force_upcast")
"""Entries of configs that say nothing about the layers."""
_OF_CLIP = ("initializer_factor", "initializer_range", "architectures", "dtype", "transformers_version")


@dataclass(frozen=True)
class PretrainedSources:
    """Weights to start from: local folders or ids on the hub."""

    sd: str | None = None
    """Stable Diffusion in the layout of its image variations (subfolders unet, vae, image_encoder); stage 1,
    instead of `--vae`."""
    image_encoder: str | None = None
    """CLIP with its projection, instead of the image_encoder of `--sd`; stage 1."""
    motion: str | None = None
    """Motion modules (a MotionAdapter, such as AnimateDiff's) for the temporal layers; stage 2."""


def from_stable_diffusion(
    config: VPMConfig, sources: PretrainedSources
) -> tuple[VideoPredictionModel, Report]:
    """The model of stage one, sized and filled by `sources`; `config` says the rest (images, words, noise).

    Raises PretrainedError, or ModuleNotFoundError without transformers.
    """
    if sources.sd is None:
        raise PretrainedError("stage one starts from Stable Diffusion: say where it is with --sd")
    clip = None if config.language else _clip(sources.sd, sources.image_encoder)
    vae, unet = load(AutoencoderKL, sources.sd, "vae"), load(UNet2DConditionModel, sources.sd, "unet")
    seen = None if clip is None else _clip_config(clip)
    config = replace(config, vae=_vae_config(vae), unet=_unet_config(unet), clip=seen)
    _check(config, vae, unet, clip)
    model = VideoPredictionModel(config)
    places = [(unet, "s_unet."), (unet, "st_unet."), (vae, "vae.autoencoder.")]
    if clip is not None:
        places.append((clip, "image_encoder.clip."))
    return model, report(model, [copy_weights(source, model, place) for source, place in places])


def _clip(sd: str, own: str | None) -> LoadedWeights:
    tower = require_transformers().CLIPVisionModelWithProjection
    return load(tower, own) if own else load(tower, sd, "image_encoder")


def with_motion_modules(
    first: VideoPredictionModel, config: VPMConfig, source: str
) -> tuple[VideoPredictionModel, Report]:
    """The model of stage two: the weights of `first`, and T-layers sized and filled by `source`.

    `config` says the rest, see `VideoPredictionModel.with_temporal_layers`. Raises PretrainedError.
    """
    motion = load(MotionAdapter, source)
    sizes = _motion_config(motion)
    if config.frames > sizes.max_frames:
        raise PretrainedError(f"clips have {config.frames} frames, {source} knows {sizes.max_frames} at most")
    config = replace(config, motion=sizes)
    with torch.device("meta"):
        check_same(motion.name, motion.module.config, build_temporal(config).config, _OF_DIFFUSERS)
    second = first.with_temporal_layers(config)
    return second, report(second, [copy_weights(motion, second, "st_unet.")], first.state_dict())


def _check(config: VPMConfig, vae: LoadedWeights, unet: LoadedWeights, clip: LoadedWeights | None) -> None:
    """Refuse architectures that `config` cannot describe, before anything large is built."""
    with torch.device("meta"):
        ours = (
            LatentCoder(config.vae).autoencoder,
            build_spatial(config, reference_input=config.reference_input),
        )
        tower: Any = config.clip and clip_tower(config.clip)
    for loaded, built in zip((vae, unet), ours, strict=True):
        check_same(loaded.name, loaded.module.config, built.config, _OF_DIFFUSERS)
    if clip is None:
        return
    check_same(clip.name, clip.module.config.to_dict(), tower.config.to_dict(), _OF_CLIP)
    embeds, reads = clip.module.config.projection_dim, config.unet.token_dim
    if embeds != reads:
        raise PretrainedError(f"{clip.name} embeds in {embeds} dimensions, {unet.name} reads {reads}")


def _vae_config(vae: LoadedWeights) -> VAEConfig:
    theirs = vae.module.config
    return VAEConfig(
        patch=1,
        channels=tuple(theirs.block_out_channels),
        layers=_one_number(vae, "layers_per_block"),
        latent_channels=theirs.latent_channels,
        groups=theirs.norm_num_groups,
        scale=theirs.scaling_factor,
        mid_attention=theirs.mid_block_add_attention,
    )


def _unet_config(unet: LoadedWeights) -> UNetConfig:
    theirs = unet.module.config
    return UNetConfig(
        channels=tuple(theirs.block_out_channels),
        layers=_one_number(unet, "layers_per_block"),
        attention=tuple("CrossAttn" in kind for kind in theirs.down_block_types),
        heads=_one_number(unet, "attention_head_dim"),
        groups=theirs.norm_num_groups,
        token_dim=_one_number(unet, "cross_attention_dim"),
    )


def _motion_config(motion: LoadedWeights) -> MotionConfig:
    theirs = motion.module.config
    return MotionConfig(
        heads=_one_number(motion, "motion_num_attention_heads"),
        max_frames=theirs.motion_max_seq_length,
        mid_block=theirs.use_motion_mid_block,
    )


def _clip_config(clip: LoadedWeights) -> CLIPConfig:
    theirs = clip.module.config
    return CLIPConfig(
        image_size=theirs.image_size,
        patch=theirs.patch_size,
        width=theirs.hidden_size,
        mlp_width=theirs.intermediate_size,
        layers=theirs.num_hidden_layers,
        heads=theirs.num_attention_heads,
        token_dim=theirs.projection_dim,
        activation=theirs.hidden_act,
    )


def _one_number(loaded: LoadedWeights, key: str) -> int:
    """The entry `key` of a config, where one number has to hold for all blocks."""
    value = loaded.module.config[key]
    if not isinstance(value, int):
        raise PretrainedError(f"{loaded.name} is not supported: {key} differs between blocks ({value})")
    return value
