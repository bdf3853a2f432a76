"""The diffusion policy (paper, equation 3): a transformer that denoises a chunk of actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers import DDIMScheduler
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.policies.h2r.noise import target_of

if TYPE_CHECKING:
    from h2r_bench.policies.h2r.config import DecoderConfig


class DiffusionPolicy(nn.Module):
    """Blocks of self-attention over the chunk, cross-attention to the context, and a feed-forward layer."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embed = nn.Linear(config.action_dim, width)
        self.position = nn.Parameter(0.02 * torch.randn(config.chunk, width))
        self.time_proj = Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(width, width)
        blocks = (
            BasicTransformerBlock(width, config.heads, width // config.heads, cross_attention_dim=width)
            for _ in range(config.policy_layers)
        )
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.action_dim)
        self.scheduler = DDIMScheduler(
            num_train_timesteps=config.train_steps,
            beta_schedule="squaredcos_cap_v2",
            prediction_type=config.prediction,
            clip_sample=True,
            clip_sample_range=1.1,
        )

    def forward(self, noisy: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """Noisy chunks (B, chunk, action_dim) at `timestep` (B,), given context (B, n, L), to the output."""
        moment = self.time_embedding(self.time_proj(timestep))[:, None]
        tokens = self.embed(noisy) + self.position + moment
        for block in self.blocks:
            tokens = block(tokens, encoder_hidden_states=context)
        out: Tensor = self.head(self.norm(tokens))
        return out

    def loss(self, actions: Tensor, context: Tensor, generator: torch.Generator) -> Tensor:
        """Equation 3 on normalised chunks (B, chunk, action_dim)."""
        noise = randn_tensor(actions.shape, generator=generator, device=actions.device)
        drawn = torch.randint(0, self.config.train_steps, (len(actions),), generator=generator)
        timestep = drawn.to(actions.device)
        noisy = self.scheduler.add_noise(actions, noise, timestep)
        wanted = target_of(self.config.prediction, self.scheduler, actions, noise, timestep)
        return F.mse_loss(self(noisy, timestep, context), wanted)

    @torch.no_grad()
    def sample(self, context: Tensor, noise: Tensor) -> Tensor:
        """Normalised chunks (B, chunk, action_dim) by DDIM from `noise` of that shape."""
        chunk = noise
        self.scheduler.set_timesteps(self.config.sample_steps)
        for timestep in self.scheduler.timesteps:
            output = self(chunk, timestep.expand(len(chunk)), context)
            chunk = self.scheduler.step(output, timestep, chunk).prev_sample
        return chunk
