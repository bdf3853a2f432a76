"""What a denoiser is trained to put out."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
