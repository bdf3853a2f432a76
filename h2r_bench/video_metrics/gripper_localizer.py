"""The ruler: a small network that finds the tool centre in pictures of the robot.

Trained on true frames (`python -m h2r_bench.train ruler`), where the simulator knows the answer, it measures
where a *predicted* frame shows the gripper, in pixels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import h2r_bench
from h2r_bench import extras
from h2r_bench.envs.scene.arena import project
from h2r_bench.policies.common.checkpoints import load_model, read_sizes, save_weights
from h2r_bench.policies.common.images import to_unit
from h2r_bench.policies.common.layers import quarter

with extras.explained():
    import torch
    from torch import Tensor, nn

if TYPE_CHECKING:
    from h2r_bench.types import Float32Array, FloatArray, UInt8Array

NAME = "ruler"
SHIPPED = Path(h2r_bench.__file__).parent / "assets" / NAME
"""The ruler of the simulated camera at 128x128."""
_STRIDE = 4
"""Pixels on the side of a cell of the heat map."""


class GripperLocalizer(nn.Module):
    """Pictures to the pixel of the tool centre: a heat map at a quarter of the size and its mean place."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.Sequential(*quarter(width), nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1] to (N, 2): x and y of the tool centre [pixels]."""
        maps = self.layers(pictures)
        height, width = maps.shape[-2:]
        share = maps.flatten(1).softmax(1).unflatten(1, (height, width))
        across, down = (
            torch.arange(size, device=maps.device) * _STRIDE + (_STRIDE - 1) / 2 for size in (width, height)
        )
        return torch.stack([(share.sum(1) * across).sum(1), (share.sum(2) * down).sum(1)], 1)

    @torch.no_grad()
    def find(self, pictures: UInt8Array) -> FloatArray:
        """Pictures (N, H, W, 3) to x and y (N, 2) of the tool centre [pixels]."""
        parts = [
            self(to_unit(torch.from_numpy(some))) for some in np.array_split(pictures, _pieces(pictures))
        ]
        found: FloatArray = torch.cat(parts).double().numpy()
        return found


def tool_pixels(state: Float32Array, image_size: tuple[int, int]) -> FloatArray:
    """Where the robot's camera sees the tool centre of states (N, 10): (N, 2) [pixels]."""
    return project(state[:, :3].astype(float), image_size)


def save_localizer(ruler: GripperLocalizer, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write `ruler.json` and `ruler.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.json").write_text(json.dumps({"width": ruler.width}) + "\n")
    save_weights(ruler, folder / f"{NAME}.safetensors", dtype)


def load_localizer(folder: Path = SHIPPED) -> GripperLocalizer:
    """The inverse of `save_localizer`. Raises WeightsMissingError or WeightsDamagedError."""
    path = folder / f"{NAME}.json"
    width = read_sizes(path)["width"] if path.is_file() else 48
    ruler = load_model(
        path, lambda: GripperLocalizer(width), lambda model: {folder / f"{NAME}.safetensors": model}
    )
    return ruler.requires_grad_(False)


def off_by(ruler: GripperLocalizer, pictures: UInt8Array, state: Float32Array) -> FloatArray:
    """How far (N,) from the tool, at `state`, `ruler` sees it in `pictures` (N, H, W, 3) [pixels]."""
    height, width = pictures.shape[1:3]
    distance: FloatArray = np.linalg.norm(ruler.find(pictures) - tool_pixels(state, (width, height)), axis=1)
    return distance


def _pieces(pictures: UInt8Array) -> int:
    return max(1, len(pictures) // 64)
