"""The regressor: from one human frame to the tool pose of a gripper in the hand's place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from h2r_bench import extras
from h2r_bench.policies.baselines.hand_tracker.config import HandConfig
from h2r_bench.policies.common.checkpoints import load_model, read_config, save_weights
from h2r_bench.policies.common.config_json import to_json
from h2r_bench.policies.common.images import to_unit
from h2r_bench.policies.common.layers import KeypointRegressor
from h2r_bench.policies.common.normalizer import Normalizer

with extras.explained():
    import torch
    from torch import Tensor, nn

if TYPE_CHECKING:
    from h2r_bench.types import Float32Array, UInt8Array

NAME = "hand_regressor"
_CODE = 10
"""Position (3), 6-D rotation (6), gripper (1)."""


class HandRegressor(nn.Module):
    """One human frame to the tool pose that a gripper in the hand's place would have, and its command."""

    def __init__(self, config: HandConfig) -> None:
        super().__init__()
        self.config = config
        self.normalizer = Normalizer()
        self.reader = KeypointRegressor(config.width, config.points, _CODE)

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
