"""The video prediction model that is told the task in words, and the agent on it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from h2r_bench.policies.common.config_json import from_json, to_json
from h2r_bench.policies.h2r.config import PAPER, VPMConfig
from h2r_bench.policies.h2r.encoders.base import LanguageVPMEncoder, VPMEncoder
from h2r_bench.policies.h2r.language_conditioning import conditioning
from h2r_bench.policies.h2r.vpm import VideoPredictionModel
from h2r_bench.types import encode_instruction

from tiny import TINY

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = replace(TINY.vpm, language=TINY.language)
FRAMES = CONFIG.frames


def model(*, temporal: bool = True) -> VideoPredictionModel:
    torch.manual_seed(0)
    return VideoPredictionModel(CONFIG, temporal=temporal).eval().requires_grad_(False)


def told(*sentences: str, moments: tuple[int, ...] = tuple(range(FRAMES))) -> torch.Tensor:
    codes = np.stack([encode_instruction(text) for text in sentences])
    return conditioning(TINY.language, codes, torch.tensor(moments).expand(len(sentences), -1))


def robot(batch: int = 1, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, 32, 32, 3), dtype=torch.uint8, generator=generator)


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("temporal", [False, True])
def test_features_follow_the_words_and_the_robots_frame(temporal: bool) -> None:
    vpm = model(temporal=temporal)
    push = vpm.features(told("Push the cup."), robot(), noise())
    assert push.shape == (1, FRAMES, *CONFIG.feature_shape)
    assert torch.equal(push, vpm.features(told("Push the cup."), robot(), noise()))
    assert not torch.allclose(push, vpm.features(told("Turn the pen left."), robot(), noise()))
    assert not torch.allclose(push, vpm.features(told("Push the cup."), robot(seed=2), noise()))


def test_a_single_frame_knows_its_moment() -> None:
    vpm = model(temporal=False)
    soon, late = (vpm.features(told("Push.", moments=(at,)), robot(), noise()) for at in (1, 9))
    assert not torch.allclose(soon, late)


def test_what_is_told_is_added_to_the_maps_and_says_nothing_at_first() -> None:
    before = model(temporal=False)
    vpm = before.with_guide_added().eval().requires_grad_(False)
    near, far = (told("Push.", moments=(at,)) for at in (1, 9))
    assert torch.equal(vpm.features(near, robot(), noise()), before.features(near, robot(), noise()))
    assert vpm.with_guide_added() is vpm
    torch.nn.init.normal_(vpm.words.added[-1].weight)
    assert not torch.allclose(vpm.features(near, robot(), noise()), before.features(near, robot(), noise()))
    tokens = (vpm.words(each[0]) for each in (near, far))
    assert not torch.allclose(*(vpm.words.maps(each) for each in tokens))
    latents = torch.randn(1, 1, *CONFIG.latent_shape)
    dropped = (each.loss(far, robot(), latents[:, 0], latents, noise(), drop=1.0) for each in (vpm, before))
    torch.testing.assert_close(*dropped)  # without words nothing is added
    kept = vpm.with_temporal_layers().without_temporal_layers().eval()
    assert torch.equal(kept.features(far, robot(), noise()), vpm.features(far, robot(), noise()))


def test_a_batch_gives_what_each_gives_alone() -> None:
    vpm, sentences = model(), ("Push the cup.", "Turn the pen left.")
    together = vpm.features(told(*sentences), robot(2), [noise(0), noise(1)])
    for row, sentence in enumerate(sentences):
        alone = vpm.features(told(sentence), robot(2)[row : row + 1], noise(row))
        torch.testing.assert_close(together[row], alone[0], rtol=1e-4, atol=1e-5)


def test_it_trains_and_has_no_part_for_a_human(tmp_path: Path) -> None:
    vpm = model(temporal=False).requires_grad_(True)
    latents = torch.randn(2, FRAMES, *CONFIG.latent_shape)
    vpm.loss(told("a", "b"), robot(2), latents[:, 0], latents, noise(), drop=0.0).backward()
    assert vpm.words.words.weight.grad is not None
    assert not hasattr(vpm, "behavior")
    vpm.save(tmp_path)
    again = VideoPredictionModel.load(tmp_path)
    one, other = (each.eval().features(told("Push."), robot(), noise()) for each in (vpm, again))
    assert torch.equal(one, other)
    assert again.with_temporal_layers().eval().features(told("Push."), robot(), noise()).isfinite().all()


def test_models_of_the_other_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="told the task"):
        VPMEncoder(model())
    with pytest.raises(ValueError, match="shown a human"):
        LanguageVPMEncoder(VideoPredictionModel(TINY.vpm))
    with pytest.raises(ValueError, match="no human frames"):
        model().features(told("a"), robot(), noise(), replace(CONFIG.features, start="human"))


def test_the_words_are_kept_in_json_and_weights_before_them_still_load() -> None:
    for config in (CONFIG, replace(PAPER.vpm, clip=None, language=PAPER.language)):
        assert from_json(VPMConfig, to_json(config)) == config
    assert from_json(VPMConfig, {k: v for k, v in to_json(TINY.vpm).items() if k != "language"}) == TINY.vpm
