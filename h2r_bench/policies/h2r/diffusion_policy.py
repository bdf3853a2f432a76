"""The diffusion policy (paper, equation 3): a transformer that denoises a chunk of actions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

import torch
from diffusers import DDIMScheduler
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.policies.h2r.blocks import waves
from h2r_bench.policies.h2r.noise import set_timesteps, target_of

if TYPE_CHECKING:
    from h2r_bench.policies.h2r.config import DecoderConfig, Prediction


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


class DiffusionPolicy(ActionDiffusion):
    """Blocks of self-attention over the chunk, cross-attention to the context, and a feed-forward layer."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(config)
        width = config.width
        self.embed = nn.Linear(config.action_dim, width)
        self.position = nn.Parameter(waves(config.chunk, width))
        self.time_proj = Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(width, width)
        blocks = (
            BasicTransformerBlock(width, config.heads, width // config.heads, cross_attention_dim=width)
            for _ in range(config.policy_layers)
        )
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.action_dim)

    def forward(self, noisy: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """Noisy chunks (B, chunk, action_dim) at `timestep` (B,), given context (B, n, L), to the output."""
        moment = self.time_embedding(self.time_proj(timestep))[:, None]
        tokens = self.embed(noisy) + self.position + moment
        for block in self.blocks:
            tokens = block(tokens, encoder_hidden_states=context)
        out: Tensor = self.head(self.norm(tokens))
        return out
