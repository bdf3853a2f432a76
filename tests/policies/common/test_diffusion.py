from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from h2r_bench.policies.common.config import Prediction
from h2r_bench.policies.common.diffusion import min_snr_weight
from h2r_bench.policies.h2r.config import FeatureConfig, NoiseConfig
from h2r_bench.policies.h2r.vpm import VideoPredictionModel

from tiny import TINY

LAST = TINY.vpm.noise.train_steps - 1


def model(prediction: Prediction = "v_prediction", *, residual: bool = False) -> VideoPredictionModel:
    torch.manual_seed(0)
    config = replace(TINY.vpm, noise=NoiseConfig(prediction=prediction), residual=residual)
    return VideoPredictionModel(config, temporal=True).eval().requires_grad_(False)


def features(vpm: VideoPredictionModel, read: FeatureConfig | None = None, human: int = 1) -> torch.Tensor:
    draw = torch.Generator().manual_seed(human)
    clip = torch.randint(0, 256, (2, 4, 32, 32, 3), dtype=torch.uint8, generator=draw)
    robot = torch.full((2, 32, 32, 3), 90, dtype=torch.uint8)
    return vpm.features(clip, robot, torch.Generator().manual_seed(0), read)


def test_the_last_timestep_is_pure_noise_wherever_the_step_starts() -> None:
    """With zero terminal SNR nothing is left of the human video, so text and code of the paper agree."""
    vpm = model()
    assert vpm.scheduler.alphas_cumprod[-1] == 0
    assert torch.equal(features(vpm), features(vpm, FeatureConfig("human")))
    assert torch.equal(features(vpm), features(vpm, FeatureConfig("human", LAST)))


@pytest.mark.parametrize("residual", [False, True])
def test_at_a_lower_timestep_the_human_video_shows(residual: bool) -> None:
    vpm = model(residual=residual)  # The behaviour extractor adds nothing yet.
    noise, human = FeatureConfig("noise", 600), FeatureConfig("human", 600)
    assert not torch.allclose(features(vpm, noise), features(vpm, human))
    assert torch.equal(features(vpm, noise), features(vpm, noise, human=2))
    assert not torch.allclose(features(vpm, human), features(vpm, human, human=2))


def test_without_zero_terminal_snr_the_last_timestep_keeps_a_trace() -> None:
    vpm = model("epsilon")
    assert not torch.equal(features(vpm), features(vpm, FeatureConfig("human")))


def test_the_config_says_where_features_are_read() -> None:
    vpm = model()
    wanted = features(vpm, FeatureConfig("human", 300))
    vpm.config = replace(vpm.config, features=FeatureConfig("human", 300))
    assert torch.equal(features(vpm), wanted)


@pytest.mark.parametrize("timestep", [-1, LAST + 1])
def test_timesteps_that_are_none_are_refused(timestep: int) -> None:
    with pytest.raises(ValueError, match=f"0 to {LAST}"):
        features(model(), FeatureConfig("human", timestep))


def test_human_latents_are_noised_by_the_schedule() -> None:
    """At timestep 0 almost nothing but the human video is denoised: features hardly depend on the noise."""
    vpm = model()
    draws = torch.Generator().manual_seed(5)
    clip = torch.randint(0, 256, (1, 4, 32, 32, 3), dtype=torch.uint8, generator=draws)
    robot = clip[:, 0]
    spread = {}
    for timestep in (0, 900):
        read = FeatureConfig("human", timestep)
        one, other = (vpm.features(clip, robot, torch.Generator().manual_seed(seed), read) for seed in (1, 2))
        spread[timestep] = float((one - other).abs().mean() / one.abs().mean())
    assert spread[0] < 0.25 * spread[900]


def test_min_snr_weights() -> None:
    """Against the ratio of signal to noise as the schedule defines it."""
    steps = torch.tensor([0, 200, 500, LAST])
    for prediction in ("epsilon", "v_prediction", "sample"):
        scheduler = model(prediction).scheduler  # type: ignore[arg-type]
        share = scheduler.alphas_cumprod[steps].double()
        ratio = share / (1 - share)
        wanted = {
            "epsilon": torch.minimum(ratio, torch.tensor(5.0)) / ratio,
            "v_prediction": torch.minimum(ratio + 1, torch.tensor(5.0)) / (ratio + 1),
            "sample": torch.minimum(ratio, torch.tensor(5.0)),
        }[prediction]
        weight = min_snr_weight(prediction, scheduler, steps, 5.0)  # type: ignore[arg-type]
        torch.testing.assert_close(weight.double(), wanted, rtol=1e-4, atol=1e-6)
        assert weight[0] < 0.1 or prediction == "sample"
    assert min_snr_weight("v_prediction", model().scheduler, steps, 5.0)[-1] == 1.0


def test_min_snr_weighs_the_loss() -> None:
    """A loss at a single timestep is the plain one times its weight."""
    vpm = model()
    latents = torch.randn(2, 4, *TINY.vpm.latent_shape)
    human = torch.randint(0, 256, (2, 4, 32, 32, 3), dtype=torch.uint8)

    def loss(gamma: float | None) -> torch.Tensor:
        draws = torch.Generator().manual_seed(0)
        return vpm.loss(human, human[:, 0], latents[:, 0], latents, draws, last_share=0.0, min_snr=gamma)

    vpm._timesteps = lambda count, *_: torch.full((count,), 10)  # type: ignore[method-assign]
    weight = min_snr_weight("v_prediction", vpm.scheduler, torch.tensor([10]), 5.0)[0]
    torch.testing.assert_close(loss(5.0), loss(None) * weight)
    assert weight < 0.5
