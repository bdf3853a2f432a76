"""Pictures as bytes, and as the numbers that networks see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    pass


def to_unit(images: Tensor) -> Tensor:
    """uint8 images (..., H, W, 3) to float32 (..., 3, H, W) in [-1, 1]."""
    return images.movedim(-1, -3).float() / 127.5 - 1.0


def to_uint8(images: Tensor) -> Tensor:
    """The inverse of `to_unit`, clipped and rounded."""
    return ((images.movedim(-3, -1) + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
