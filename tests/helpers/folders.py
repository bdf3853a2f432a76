"""Folders of the layout of Stable Diffusion's image variations, AnimateDiff and CLIP, small and random."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = 12
"""Width of the image embedding."""
SIZES: dict[str, Any] = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
TOWER: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}


def unet(**changes: Any) -> UNet2DConditionModel:
    torch.manual_seed(1)
    sizes = {
        **SIZES,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": TOKEN,
        "attention_head_dim": 2,
        "sample_size": 64,
    }
    return UNet2DConditionModel(**{**sizes, **changes})


def vae(**changes: Any) -> AutoencoderKL:
    torch.manual_seed(2)
    sizes = {
        **SIZES,
        "block_out_channels": (8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "scaling_factor": 0.5,
    }
    return AutoencoderKL(**{**sizes, **changes})


def motion(**changes: Any) -> MotionAdapter:
    torch.manual_seed(3)
    sizes = {
        "block_out_channels": (8, 16),
        "motion_layers_per_block": 1,
        "motion_num_attention_heads": 4,
        "motion_norm_num_groups": 4,
        "motion_max_seq_length": 24,
        "use_motion_mid_block": False,
    }
    return MotionAdapter(**{**sizes, **changes})


def tower(**changes: Any) -> CLIPVisionModelWithProjection:
    torch.manual_seed(4)
    return CLIPVisionModelWithProjection(CLIPVisionConfig(**{**TOWER, "projection_dim": TOKEN, **changes}))


def whole_clip() -> CLIPModel:
    torch.manual_seed(5)
    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    return CLIPModel(
        CLIPConfig(text_config=text, vision_config={**TOWER, "projection_dim": TOKEN}, projection_dim=TOKEN)
    )


def stable_diffusion(folder: Path, **parts: Any) -> Path:
    """Write unet, vae and image_encoder into `folder`; `parts` replaces some of them."""
    made = {"unet": unet, "vae": vae, "image_encoder": tower}
    for name, make in made.items():
        module = parts[name] if name in parts else make()
        module.save_pretrained(folder / name)
    return folder


def sentence_folder(folder: Path, kind: str) -> None:
    """A sentence encoder of 12 dimensions in `folder`, as `minilm` or `clip`, and a tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        BertConfig,
        BertModel,
        CLIPTextConfig,
        CLIPTextModelWithProjection,
        PreTrainedTokenizerFast,
    )

    words = {
        word: number for number, word in enumerate(("[PAD]", "[UNK]", "<s>", "</s>", "push", "pull", "it"))
    }
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        eos_token="</s>",
        model_max_length=16,
    ).save_pretrained(folder)
    torch.manual_seed(3)
    sizes = {
        "vocab_size": len(words),
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    if kind == "minilm":
        BertModel(BertConfig(hidden_size=12, **sizes)).save_pretrained(folder)
    else:
        config = CLIPTextConfig(hidden_size=8, projection_dim=12, eos_token_id=3, bos_token_id=2, **sizes)
        CLIPTextModelWithProjection(config).save_pretrained(folder)
