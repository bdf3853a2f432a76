from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

from h2r_bench.policies.common.config_json import from_json, to_json
from h2r_bench.policies.h2r.config import CLIPConfig, VPMConfig
from h2r_bench.policies.h2r.image_encoder import CLIPEmbedding, build_image_encoder, clip_pixels

import folders

SMALL = CLIPConfig(image_size=28, width=16, mlp_width=32, layers=2, heads=2, token_dim=12)


@pytest.mark.parametrize("size", [(240, 424), (256, 256), (128, 128), (424, 240)])
def test_pixels_are_those_of_clips_own_preprocessing(size: tuple[int, int]) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    image = np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BILINEAR))
    theirs = CLIPImageProcessorPil()(images=Image.fromarray(image), return_tensors="pt").pixel_values
    ours = clip_pixels(torch.from_numpy(image.copy())[None], 224)
    assert ours.shape == theirs.shape
    # Theirs is rounded to 8 bits after each axis; one such step is 0.015.
    assert (ours - theirs).abs().max() < 0.03
    assert (ours - theirs).abs().mean() < 0.006


def test_the_token_is_clips_projected_embedding() -> None:
    encoder = CLIPEmbedding(SMALL)
    encoder.clip.load_state_dict(folders.tower().state_dict())
    robot = torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8)
    token = encoder(robot, torch.zeros(2, 4, 4, 6))
    with torch.no_grad():
        wanted = folders.tower()(pixel_values=clip_pixels(robot, 28)).image_embeds
    assert token.shape == (2, 1, 12)
    torch.testing.assert_close(token[:, 0], wanted)
    assert not token.requires_grad
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_a_token_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="CLIP embeds in 12 dimensions, the UNets read 64"):
        build_image_encoder(VPMConfig(clip=SMALL))


def test_the_kind_of_encoder_is_kept_in_json() -> None:
    for config in (VPMConfig(), VPMConfig(clip=SMALL)):
        assert from_json(VPMConfig, to_json(config)) == config
    old = {
        key: value for key, value in to_json(VPMConfig()).items() if key not in ("clip", "motion", "features")
    }
    assert from_json(VPMConfig, old) == VPMConfig()
