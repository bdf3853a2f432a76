"""ResNet18 features of the human video: the paper's action decoder without a video prediction model.

The network is Hugging Face transformers' (extra `paper`); it is trained together with the decoder.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from h2r_bench.extras import require_transformers
from h2r_bench.policies.common.checkpoints import load_model, read_sizes, save_weights
from h2r_bench.policies.h2r.encoders.base import EncoderInput, Sources, VideoEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.policies.h2r.config import H2RConfig

NAME = "resnet18"
SIZES = {
    "embedding_size": 64,
    "hidden_sizes": [64, 128, 256, 512],
    "depths": [2, 2, 2, 2],
    "layer_type": "basic",
}
"""ResNet18 (He et al., 2016)."""
_STRIDE = 32
"""Pixels on the side of one feature cell."""
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours."""


class ResNetEncoder(VideoEncoder):
    """Each human frame through ResNet18, without its pooling and its classes; it never sees the robot."""

    trained_with_decoder = True
    reads = ("human_clip",)

    def __init__(self, image_size: tuple[int, int], frames: int, sizes: dict[str, Any]) -> None:
        super().__init__()
        transformers = require_transformers()
        self.image_size = image_size
        self.frames = frames
        self.sizes = sizes
        width, height = image_size
        channels = sizes["hidden_sizes"][-1]
        self.feature_shape = (channels, math.ceil(height / _STRIDE), math.ceil(width / _STRIDE))
        self.network = transformers.ResNetModel(transformers.ResNetConfig(**sizes))
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None], persistent=False)
        self.mean: Tensor
        self.deviation: Tensor

    @classmethod
    def create(cls, config: H2RConfig, sources: Sources, seed: int) -> ResNetEncoder:
        """A new one, with random weights or those of `sources.imagenet`."""
        torch.manual_seed(seed)
        encoder = cls(config.vpm.image_size, config.decoder.frames, SIZES)
        if sources.imagenet:
            network = require_transformers().ResNetModel.from_pretrained(sources.imagenet)
            encoder.network.load_state_dict(network.state_dict())
        return encoder

    def forward(self, sight: EncoderInput) -> Tensor:
        """Features (B, F, 512, h, w) of the human's frames."""
        return self.maps(sight.human.flatten(0, 1)).unflatten(0, sight.human.shape[:2])

    def maps(self, pictures: Tensor) -> Tensor:
        """Features (N, 512, h, w) of pictures (N, H, W, 3), 0..255."""
        images = pictures.movedim(-1, -3).float() / 255
        maps: Tensor = self.network((images - self.mean) / self.deviation).last_hidden_state
        return maps

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write `resnet18.json` and `resnet18.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        record = {"image_size": self.image_size, "frames": self.frames, "sizes": self.sizes}
        (folder / f"{NAME}.json").write_text(json.dumps(record) + "\n")
        save_weights(self, folder / f"{NAME}.safetensors", dtype)

    @classmethod
    def load(cls, folder: Path) -> ResNetEncoder:
        """The inverse of `save`, in float32."""
        path, weights = (folder / f"{NAME}.{ending}" for ending in ("json", "safetensors"))
        record = read_sizes(path)
        size, frames, sizes = tuple(record["image_size"]), record["frames"], record["sizes"]
        return load_model(path, lambda: cls(size, frames, sizes), lambda model: {weights: model})
