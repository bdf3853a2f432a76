"""What a video prediction model sees of the task's words, in place of a human."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.models.embeddings import Timesteps
from torch import Tensor, nn

from h2r_bench.policies.common.language import sentence_encoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from h2r_bench.policies.common.config import LanguageConfig
    from h2r_bench.types import UInt8Array

_WAVES = 32
"""Sines and cosines of a frame's moment."""


def conditioning(
    language: LanguageConfig, instructions: UInt8Array | Tensor, moments: NDArray[np.int64] | Tensor
) -> Tensor:
    """What the model follows when it is told the task.

    `instructions`: (B, 128) as observed. `moments`: (B, F), how many control steps each frame lies ahead of
    the robot's. Returns (B, F, width + 1): the sentence's embedding and the moment, for every frame.
    """
    ahead = torch.as_tensor(moments, dtype=torch.float32)
    words = sentence_encoder(language).embed_codes(instructions)[:, None].expand(-1, ahead.shape[1], -1)
    return torch.cat([words, ahead[..., None]], dim=-1)


class WordTokens(nn.Module):
    """Two tokens of cross-attention for each frame: the words, and the frame's moment.

    Without the moment a model of single frames (stage one) could not tell the next frame from the last.
    """

    def __init__(self, width: int, token_dim: int, added: int | None = None) -> None:
        """For embeddings of `width` values; with `added` also for maps of so many channels."""
        super().__init__()
        self.waves = Timesteps(_WAVES, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.words = nn.Linear(width, token_dim)
        self.moment = nn.Sequential(nn.Linear(_WAVES, token_dim), nn.SiLU(), nn.Linear(token_dim, token_dim))
        if added is not None:
            last = nn.Linear(token_dim, added)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.added = nn.Sequential(nn.Linear(2 * token_dim, token_dim), nn.SiLU(), last)

    def forward(self, conditioning: Tensor) -> Tensor:
        """Rows (N, width + 1) of a guide to tokens (N, 2, token_dim)."""
        waves = self.waves(conditioning[:, -1]).to(conditioning.dtype)
        # An embedding is a unit vector: its values are of the order of one over the root of its width.
        words = self.words(conditioning[:, :-1] * self.words.in_features**0.5)
        return torch.stack([words, self.moment(waves)], dim=1)

    def maps(self, tokens: Tensor) -> Tensor:
        """What tokens (N, 2, token_dim) add to a frame's maps, (N, added, 1, 1); zero at first."""
        added: Tensor = self.added(tokens.flatten(1))
        return added[..., None, None]

    def of_reference(self, conditioning: Tensor) -> Tensor:
        """The tokens (N, 2, token_dim) of the reference frame, whose moment is now."""
        tokens: Tensor = self(
            torch.cat([conditioning[:, :-1], torch.zeros_like(conditioning[:, -1:])], dim=-1)
        )
        return tokens
