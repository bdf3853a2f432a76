"""The trivial solution: read the hand's pose from each human frame, and go there, open loop."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from h2r_bench import extras
from h2r_bench.policies.chunking import ChunkingAgent, Due
from h2r_bench.policies.h2r.blocks import PointReader
from h2r_bench.policies.h2r.config import to_json
from h2r_bench.policies.h2r.files import load_model, read_config, save_weights
from h2r_bench.policies.h2r.normalizer import Normalizer
from h2r_bench.policies.h2r.vae import to_unit
from h2r_bench.ranges import Size

with extras.explained():
    import torch
    from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from h2r_bench.types import Float32Array, UInt8Array

NAME = "hand_regressor"
LEAD_STEPS = 2
"""The hand's pose this many steps ahead is commanded, since the arm arrives about that much later."""
_CODE = 10
"""Position (3), 6-D rotation (6), gripper (1)."""


@dataclass(frozen=True)
class HandConfig:
    """Sizes of the regressor."""

    image_size: tuple[Size, Size] = (128, 128)
    """Width and height of the images [pixels]."""
    width: Size = 48
    """Channels of the maps, at a quarter of the image's size."""
    points: Size = 16
    """Places it looks for in each image."""


class HandRegressor(nn.Module):
    """One human frame to the tool pose that a gripper in the hand's place would have, and its command."""

    def __init__(self, config: HandConfig) -> None:
        super().__init__()
        self.config = config
        self.normalizer = Normalizer()
        self.reader = PointReader(config.width, config.points, _CODE)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (N, H, W, 3) uint8 to normalised actions (N, 10)."""
        code: Tensor = self.reader(to_unit(frames))
        return code

    @torch.no_grad()
    def read(self, frames: UInt8Array) -> Float32Array:
        """Frames (N, H, W, 3) to actions (N, 7)."""
        return self.normalizer.to_action(self(torch.from_numpy(np.ascontiguousarray(frames))))

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write `hand_regressor.json` and `hand_regressor.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{NAME}.json").write_text(json.dumps(to_json(self.config)) + "\n")
        save_weights(self, folder / f"{NAME}.safetensors", dtype)

    @classmethod
    def load(cls, folder: Path) -> HandRegressor:
        """The inverse of `save`, in float32."""
        sizes, weights = (folder / f"{NAME}.{ending}" for ending in ("json", "safetensors"))
        config = read_config(HandConfig, sizes)
        return load_model(sizes, lambda: cls(config), lambda model: {weights: model})


class HandTrackerAgent(ChunkingAgent):
    """Goes where the hand will be in a moment. It sees neither the robot nor the objects."""

    reads = ("human_clip",)
    shipped = "hand_tracker_compact"

    def __init__(
        self,
        regressor: HandRegressor,
        *,
        chunk: int = 8,
        execute: int = 8,
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(chunk=chunk, execute=execute, manifest=manifest)
        self.regressor = regressor.eval().requires_grad_(False)
        self.image_size = regressor.config.image_size

    @classmethod
    def load(cls, folder: Path, manifest: Mapping[str, Any], execute: int) -> HandTrackerAgent:
        """The agent in `folder`."""
        chunk = max(execute, int(manifest["execute"]))
        return cls(HandRegressor.load(folder), chunk=chunk, execute=execute, manifest=manifest)

    def predict_chunks(self, due: Due) -> Float32Array:
        """The hand's poses a little ahead, (B, chunk, 7)."""
        clips = due.rows["human_clip"]
        ahead = np.minimum(np.arange(self.chunk) + LEAD_STEPS, clips.shape[1] - 1)
        frames = clips[:, ahead]
        actions = self.regressor.read(frames.reshape(-1, *frames.shape[2:]))
        return actions.reshape(len(clips), self.chunk, -1)
