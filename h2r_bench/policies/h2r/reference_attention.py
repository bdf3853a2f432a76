"""Reference concatenation: the ST-UNet's self-attention also looks at the S-UNet's tokens.

The S-UNet's normalised hidden states of every spatial transformer block are kept in a bank and concatenated
on the token axis to the keys and values of the matching self-attention of the ST-UNet; queries are unchanged.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn import functional as F

Bank = dict[str, Tensor]
"""Name of a spatial self-attention to its normalised hidden states, shape (B, tokens, channels)."""


class _Processor:
    """Plain scaled dot-product attention with `key_value` as what is attended to."""

    def attend(self, attn: Attention, hidden: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention of `hidden` (N, tokens, channels) to `key`, `value` (N, more tokens, channels)."""
        query, key, value = (_heads(attn, each) for each in (attn.to_q(hidden), key, value))
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = attn.to_out[0](mixed.transpose(1, 2).flatten(2))
        return out


class ReferenceWriter(_Processor):
    """Self-attention of the S-UNet: keeps its input in the bank."""

    def __init__(self, bank: Bank, name: str) -> None:
        self.bank = bank
        self.name = name

    def __call__(self, attn: Attention, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """Hidden states (B, tokens, channels) to the same shape."""
        self.bank[self.name] = hidden_states
        return self.attend(attn, hidden_states, attn.to_k(hidden_states), attn.to_v(hidden_states))


class ReferenceReader(_Processor):
    """Self-attention of the ST-UNet: sees its own tokens and those in the bank (if any)."""

    def __init__(self, bank: Bank, name: str) -> None:
        self.bank = bank
        self.name = name

    def __call__(self, attn: Attention, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """Hidden states (B * frames, tokens, channels) to the same shape."""
        reference = self.bank.get(self.name)
        key, value = attn.to_k(hidden_states), attn.to_v(hidden_states)
        if reference is not None:
            frames = hidden_states.shape[0] // reference.shape[0]
            key = torch.cat([key, attn.to_k(reference).repeat_interleave(frames, 0)], dim=1)
            value = torch.cat([value, attn.to_v(reference).repeat_interleave(frames, 0)], dim=1)
        return self.attend(attn, hidden_states, key, value)


def install(unet: nn.Module, processor: type[ReferenceWriter] | type[ReferenceReader], bank: Bank) -> None:
    """Let every spatial self-attention of `unet` write to or read from `bank`."""
    own = dict(unet.attn_processors)  # type: ignore[arg-type]
    for name in own:
        if name.endswith("attn1.processor") and "motion_modules" not in name:
            own[name] = processor(bank, name)
    unet.set_attn_processor(own)  # type: ignore[operator]


def _heads(attn: Attention, tokens: Tensor) -> Tensor:
    """(N, tokens, channels) to (N, heads, tokens, channels / heads)."""
    split: Tensor = tokens.unflatten(2, (attn.heads, -1)).transpose(1, 2)
    return split
