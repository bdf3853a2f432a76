"""Actions and states as the networks see them, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from h2r_bench.geometry import rotvec_from_6d, rotvec_to_6d

if TYPE_CHECKING:
    from h2r_bench.types import Float32Array

MARGIN = 0.05
"""How far the normalised range reaches beyond the positions seen in training [m]."""


class Normalizer(nn.Module):
    """Positions [m] to [-1, 1] by the range seen in training; rotations 6-D; gripper 0..1 to [-1, 1].

    The range is a buffer, so it is stored with the weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(3))
        self.register_buffer("half_range", torch.ones(3))
        self.center: Tensor
        self.half_range: Tensor

    @property
    def fitted(self) -> bool:
        """Whether a range was taken, here or before it was stored."""
        return bool((self.half_range != 1.0).any())

    def fit(self, positions: Float32Array) -> None:
        """Take the range from `positions` (N, 3) [m]."""
        low, high = positions.min(0) - MARGIN, positions.max(0) + MARGIN
        self.center.copy_(torch.from_numpy((low + high) / 2))
        self.half_range.copy_(torch.from_numpy((high - low) / 2))

    def state(self, state: Float32Array) -> Tensor:
        """States (..., 10) as observed to the networks' form (..., 10)."""
        raw = torch.as_tensor(state, dtype=torch.float32)
        position = (raw[..., :3] - self.center.cpu()) / self.half_range.cpu()  # labels are made on the CPU
        return torch.cat([position, raw[..., 3:9], 2 * raw[..., 9:] - 1], dim=-1)

    def action(self, action: Float32Array) -> Tensor:
        """Actions (..., 7) to the networks' form (..., 10)."""
        turned = rotvec_to_6d(np.asarray(action[..., 3:6])).astype(np.float32)
        raw = torch.as_tensor(action, dtype=torch.float32)
        position = (raw[..., :3] - self.center.cpu()) / self.half_range.cpu()
        return torch.cat([position, torch.from_numpy(turned), 2 * raw[..., 6:] - 1], dim=-1)

    def to_action(self, code: Tensor) -> Float32Array:
        """The inverse of `action`, the gripper clipped to 0..1."""
        position = (code[..., :3] * self.half_range.cpu() + self.center.cpu()).numpy()
        rotvec = rotvec_from_6d(code[..., 3:9].numpy())
        gripper = (code[..., 9:].numpy() + 1) / 2
        return np.concatenate([position, rotvec, gripper.clip(0, 1)], axis=-1).astype(np.float32)
