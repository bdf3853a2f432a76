"""What Diffusion Policy and XSkill are made of: the visual encoder and the denoiser."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from h2r_bench.policies.baselines.diffusion_policy import config as diffusion_policy
from h2r_bench.policies.baselines.xskill import config as xskill
from h2r_bench.policies.common import visual_encoder as vision
from h2r_bench.policies.common.chunk_unet import ChunkUNet, ChunkUNetConfig
from h2r_bench.policies.common.layers import centres
from h2r_bench.policies.common.visual_encoder import (
    PAPER,
    VisionConfig,
    VisualEncoder,
    corners_of,
    cropped,
    middle_of,
)

from tiny import TINY_RESNET, TINY_UNET, TINY_VISION


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_spatial_softmax_says_where_a_map_is_hot() -> None:
    share = torch.zeros(1, 2, 5, 9)
    share[0, 0, 0, 8] = share[0, 1, 4, 4] = 1.0
    torch.testing.assert_close(centres(share.flatten(2), 5, 9), torch.tensor([[[1.0, -1.0], [0.0, 1.0]]]))


def test_crops_are_the_middle_or_anywhere() -> None:
    images = torch.arange(6).repeat(3, 6, 1)[..., None].expand(-1, -1, -1, 3)
    assert torch.equal(cropped(images, (4, 6))[0, 0, :, 0], torch.tensor([1, 2, 3, 4]))
    drawn = [corners_of(images, (4, 6), noise(seed)) for seed in range(20)]
    assert {(left, top) for corners in drawn for left, top in corners.tolist()} == {(0, 0), (1, 0), (2, 0)}
    for corners in drawn:
        assert torch.equal(cropped(images, (4, 6), corners)[:, 0, 0, 0], corners[:, 0])
    assert torch.equal(corners_of(images, (4, 6), noise(1)), drawn[1])


@pytest.mark.parametrize("config", [replace(TINY_VISION, out=None), TINY_RESNET])
def test_places_do_not_follow_the_crop(config: VisionConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the image that lies a cell further right has all its places a cell further right."""
    encoder = VisualEncoder(config)
    images = torch.zeros(3, 64, 96, 3, dtype=torch.uint8)
    config = replace(config, image_size=(96, 64), crop=(64, 32))
    encoder.config = config
    left, top = middle_of(images, config.crop)
    corners = torch.tensor([[left, top], [left + config.stride, top], [left, top - config.stride]])
    monkeypatch.setattr(vision, "corners_of", lambda *_: corners)
    places = encoder(images, noise()).unflatten(1, (-1, 2))
    down, across = encoder.trunk(torch.zeros(1, 3, 32, 64)).shape[-2:]
    cell = torch.tensor([2 / max(across - 1, 1), 2 / max(down - 1, 1)])
    for moved, direction in zip(places[1:] - places[0], ([1.0, 0.0], [0.0, -1.0]), strict=True):
        torch.testing.assert_close(moved, (torch.tensor(direction) * cell).expand_as(moved))
    torch.testing.assert_close(places[0], encoder(images)[0].unflatten(0, (-1, 2)))


@pytest.mark.parametrize("config", [TINY_VISION, TINY_RESNET])
def test_the_encoder_has_no_batch_statistics(config: VisionConfig) -> None:
    encoder = VisualEncoder(config).train()
    images = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    seen = encoder(images)
    assert seen.shape == (3, encoder.width)
    torch.testing.assert_close(encoder(images[1:2])[0], seen[1])
    assert config.out or seen.abs().max() <= 1


def test_the_small_encoder_says_what_is_at_the_places_it_finds() -> None:
    torch.manual_seed(0)
    encoder = VisualEncoder(TINY_VISION)
    with torch.no_grad():
        encoder.heat.weight.zero_()
    dark, light = (torch.full((1, 32, 32, 3), value, dtype=torch.uint8) for value in (0, 255))
    assert not torch.allclose(encoder(dark), encoder(light))


def test_the_small_trunk_has_two_widths() -> None:
    with pytest.raises(ValueError, match="two widths in `channels`, not 4"):
        VisionConfig(channels=(64, 128, 256, 512))


def test_a_full_resnet18_is_of_the_known_size() -> None:
    encoder = VisualEncoder(PAPER)
    assert sum(p.numel() for p in encoder.trunk.parameters()) == pytest.approx(11.17e6, rel=0.01)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_the_denoiser_trains_and_samples(prediction: str) -> None:
    torch.manual_seed(0)
    guess = TINY_UNET.guess if prediction == "sample" else None
    unet = ChunkUNet(replace(TINY_UNET, prediction=prediction, guess=guess), 5)
    loss = unet.loss(torch.rand(3, 4, 10), torch.rand(3, 5), noise())
    loss.backward()
    assert all(parameter.grad is not None for parameter in unet.parameters())
    start = torch.randn(2, 4, 10)
    chunk = unet.sample(torch.rand(2, 5), start)
    assert chunk.shape == start.shape
    assert chunk.isfinite().all()


def test_the_denoiser_sees_context_and_timestep() -> None:
    torch.manual_seed(0)
    unet, noisy = ChunkUNet(TINY_UNET, 5), torch.randn(1, 4, 10)
    out = unet(noisy, torch.tensor([3]), torch.ones(1, 5))
    assert not torch.allclose(out, unet(noisy, torch.tensor([3]), torch.zeros(1, 5)))
    assert not torch.allclose(out, unet(noisy, torch.tensor([90]), torch.ones(1, 5)))


def test_chunks_that_no_level_halves_evenly_are_refused() -> None:
    with pytest.raises(ValueError, match="a chunk that 4 divides, not 10"):
        ChunkUNetConfig(chunk=10)
    with pytest.raises(ValueError, match="no help to predict epsilon"):
        ChunkUNetConfig(prediction="epsilon")


@pytest.mark.parametrize("presets", [diffusion_policy.PRESETS, xskill.PRESETS])
def test_presets_are_the_originals_horizon(presets: dict[str, object]) -> None:
    for preset in presets.values():
        unet = getattr(preset, "policy", preset).unet  # type: ignore[attr-defined]
        assert (unet.chunk, unet.train_steps, unet.sample_steps) == (16, 100, 8)
