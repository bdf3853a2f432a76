"""Denoising diffusion as all models here use it: what a denoiser puts out, its loss, and sampling from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

import torch
from diffusers import DDIMScheduler
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from h2r_bench.policies.common.config import Prediction


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


class Denoising(Protocol):
    """How a chunk of actions is noised and denoised."""

    @property
    def train_steps(self) -> int:
        """Timesteps of the noise schedule."""

    @property
    def sample_steps(self) -> int:
        """DDIM steps at inference."""

    @property
    def prediction(self) -> Prediction:
        """What the network puts out."""


class ActionDiffusion(nn.Module, ABC):
    """A network that denoises chunks of actions: its loss, and how it is sampled from."""

    def __init__(self, denoising: Denoising) -> None:
        super().__init__()
        self.denoising = denoising
        self.scheduler = DDIMScheduler(
            num_train_timesteps=denoising.train_steps,
            beta_schedule="squaredcos_cap_v2",
            prediction_type=denoising.prediction,
            clip_sample=True,
            clip_sample_range=1.1,
        )

    @abstractmethod
    def forward(self, noisy: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """Noisy chunks (B, chunk, action_dim) at `timestep` (B,), given `context` (B, ...), to the output."""

    def loss(self, actions: Tensor, context: Tensor, generator: torch.Generator) -> Tensor:
        """Equation 3 on normalised chunks (B, chunk, action_dim)."""
        noise = randn_tensor(actions.shape, generator=generator, device=actions.device)
        drawn = torch.randint(0, self.denoising.train_steps, (len(actions),), generator=generator)
        timestep = drawn.to(actions.device)
        noisy = self.scheduler.add_noise(actions, noise, timestep)
        wanted = target_of(self.denoising.prediction, self.scheduler, actions, noise, timestep)
        return F.mse_loss(self(noisy, timestep, context), wanted)

    @torch.no_grad()
    def sample(self, context: Tensor, noise: Tensor) -> Tensor:
        """Normalised chunks (B, chunk, action_dim) by DDIM from `noise` of that shape."""
        chunk = noise
        set_timesteps(self.scheduler, self.denoising.sample_steps, noise.device)
        for timestep in self.scheduler.timesteps:
            output = self(chunk, timestep.expand(len(chunk)), context)
            chunk = self.scheduler.step(output, timestep, chunk).prev_sample
        return chunk
