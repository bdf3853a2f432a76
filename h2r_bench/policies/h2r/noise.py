"""What a denoiser is trained to put out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from diffusers import DDIMScheduler
    from torch import Tensor

    from h2r_bench.policies.h2r.config import Prediction


def target_of(
    prediction: Prediction, scheduler: DDIMScheduler, clean: Tensor, noise: Tensor, timestep: Tensor
) -> Tensor:
    """The noise, the clean sample, or their mixture v = a noise - s clean, for `timestep` (B,)."""
    if prediction == "epsilon":
        return noise
    if prediction == "sample":
        return clean
    velocity: Tensor = scheduler.get_velocity(clean, noise, timestep)
    return velocity


def min_snr_weight(
    prediction: Prediction, scheduler: DDIMScheduler, timestep: Tensor, gamma: float
) -> Tensor:
    """Min-SNR weights (B,) of the loss (Hang et al. 2023, equation 5) at `timestep` (B,).

    Noise: min(SNR, gamma) / SNR; clean samples: min(SNR, gamma). For v the authors' code is followed, which
    adds one to the ratio first: min(SNR + 1, gamma) / (SNR + 1). Hang et al. have min(SNR, gamma) /
    (SNR + 1), nought at the last timestep of a schedule with zero terminal SNR, where features are read.
    """
    signal = scheduler.alphas_cumprod.to(timestep.device)[timestep]
    ratio = signal / (1.0 - signal)
    if prediction == "sample":
        return ratio.clamp(max=gamma)
    ratio = ratio + 1.0 if prediction == "v_prediction" else ratio
    weight: Tensor = torch.clamp(ratio, max=gamma) / ratio
    return weight


def set_timesteps(scheduler: DDIMScheduler, steps: int, device: torch.device) -> None:
    """Prepare `scheduler` for sampling in so many steps on `device`."""
    scheduler.set_timesteps(steps, device=device)
    # Adding noise in training leaves these where the training ran.
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(device)
