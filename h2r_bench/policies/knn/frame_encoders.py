"""By what robot images are compared: an encoder turns each into one vector.

`clip_dinov2` is the paper's (section 4.3): CLIP ViT-L/14 and DINOv2 ViT-L/14, joined, by transformers' own
loaders. `scene` is a small network that is trained on the dataset. (The VAE's pooled latents do not serve:
tables and walls outweigh the objects in them.)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from h2r_bench import extras
from h2r_bench.envs.scene.arena import project
from h2r_bench.extras import require_transformers
from h2r_bench.policies.common.checkpoints import load_model, read_config, save_weights
from h2r_bench.policies.common.config_json import to_json
from h2r_bench.policies.common.images import to_unit
from h2r_bench.policies.common.layers import KeypointRegressor
from h2r_bench.policies.h2r.image_encoder import DEVIATION, MEAN
from h2r_bench.ranges import Size

with extras.explained():
    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.types import Float32Array, FloatArray, UInt8Array

_IMAGENET_COLOURS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of the pixels of ImageNet, for DINOv2 (Oquab et al., 2023)."""


NAME = "scene_reader"


class SceneEncoder(Protocol):
    """What retrieval sees of an image."""

    def embed(self, images: UInt8Array) -> Float32Array:
        """Images (N, H, W, 3) to vectors (N, D); likeness is nearness."""


@dataclass(frozen=True)
class Towers:
    """Where the paper's two encoders are: local folders or ids on the hub."""

    clip: str = "openai/clip-vit-large-patch14"
    """CLIP's vision tower with its projection."""
    dinov2: str = "facebook/dinov2-large"
    """DINOv2."""


@dataclass(frozen=True)
class SceneReaderConfig:
    """Sizes of the scene reader."""

    image_size: tuple[Size, Size] = (128, 128)
    """Width and height of the images [pixels]."""
    width: Size = 32
    """Channels of the maps, at a quarter of the image's size."""
    points: Size = 16
    """Places it looks for in each image."""
    moments: Size = 8
    """Moments of the path that it foresees."""


PER_MOMENT = 5
"""Numbers of a moment of a path: right, down, cosine and sine of the yaw, gripper command."""


class SceneReader(nn.Module):
    """What would be done here: the path of the tool, foreseen from the first frame.

    Scenes that call for the same path are near each other, whatever the table looks like, and the video of
    another scene can be moved to serve here. The vector is what `path_vector` would give for the path to
    come.
    """

    def __init__(self, config: SceneReaderConfig) -> None:
        super().__init__()
        self.config = config
        self.reader = KeypointRegressor(config.width, config.points, PER_MOMENT * config.moments)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (N, H, W, 3) uint8 to paths (N, D)."""
        path: Tensor = self.reader(to_unit(frames))
        return path

    @torch.no_grad()
    def embed(self, images: UInt8Array) -> Float32Array:
        """Images (N, H, W, 3) to vectors (N, D)."""
        path: Float32Array = self(torch.from_numpy(np.ascontiguousarray(images))).numpy()
        return path

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write `scene_reader.json` and `scene_reader.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{NAME}.json").write_text(json.dumps(to_json(self.config)) + "\n")
        save_weights(self, folder / f"{NAME}.safetensors", dtype)

    @classmethod
    def load(cls, folder: Path) -> SceneReader:
        """The inverse of `save`, in float32."""
        sizes, weights = (folder / f"{NAME}.{ending}" for ending in ("json", "safetensors"))
        config = read_config(SceneReaderConfig, sizes)
        return load_model(sizes, lambda: cls(config), lambda model: {weights: model})


def path_vector(
    state: Float32Array, command: Float32Array, config: SceneReaderConfig, image_size: tuple[int, int]
) -> Float32Array:
    """The path of the tool in a whole episode as one vector (5 moments,), moments evenly spaced.

    Args:
        state: (T, 10) as observed.
        command: (T,) gripper commands 0..1.
        config: how many moments.
        image_size: width and height of the robot's pictures [pixels].

    Returns:
        For each moment where the tool is in the robot's picture, right and down from its middle [half
        heights], cosine and sine of its yaw, and the command as -1..1.
    """
    rows = np.linspace(0, len(state) - 1, config.moments).round().astype(int)
    places = in_half_heights(project(state[rows, :3].astype(float), image_size), image_size)
    yaw = state[rows, 3:5]  # the first column of the rotation: the tool points down
    columns = np.concatenate([places, yaw, 2 * command[rows, None] - 1], 1)
    return columns.flatten().astype(np.float32)


def in_half_heights(pixels: FloatArray, image_size: tuple[int, int]) -> FloatArray:
    """Places (N, 2) [pixels] as right and down from the picture's middle [half heights]."""
    places: FloatArray = (pixels - (np.array(image_size) - 1) / 2) / (image_size[1] / 2)
    return places


def places_of(vector: Float32Array) -> FloatArray:
    """Where the tool is at the moments of path vector (5 moments,): (moments, 2) [half heights]."""
    places: FloatArray = vector.reshape(-1, PER_MOMENT)[:, :2].astype(float)
    return places


class ClipDinoFrames:
    """CLIP's embedding and DINOv2's class token, each of length one, joined."""

    def __init__(self, towers: Towers) -> None:
        """Load both. Raises ModuleNotFoundError without transformers, OSError where they are not."""
        transformers = require_transformers()
        self.clip = transformers.CLIPVisionModelWithProjection.from_pretrained(towers.clip).eval()
        self.dinov2 = transformers.Dinov2Model.from_pretrained(towers.dinov2).eval()

    @torch.no_grad()
    def embed(self, images: UInt8Array) -> Float32Array:
        """Images (N, H, W, 3) to vectors (N, 768 + 1024)."""
        raw = torch.from_numpy(np.ascontiguousarray(images)).movedim(-1, 1).float() / 255
        clip = self.clip(_squared(raw, _side(self.clip), MEAN, DEVIATION)).image_embeds
        dinov2 = self.dinov2(_squared(raw, _side(self.dinov2), *_IMAGENET_COLOURS)).pooler_output
        joined: Float32Array = torch.cat([F.normalize(clip), F.normalize(dinov2)], 1).numpy()
        return joined


def _side(tower: nn.Module) -> int:
    """Side of the images that a tower reads [pixels]. DINOv2 takes any; 224 is what CLIP ViT-L/14 takes."""
    config: Any = tower.config
    return min(224, int(config.image_size))


def _squared(images: Tensor, side: int, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    """Images (N, 3, H, W) in 0..1 as a tower wants them. The whole image is kept, if squeezed: what matters
    here may lie at its edge, which a crop of the middle would lose.
    """
    resized = F.interpolate(images, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    shift, scale = (torch.tensor(each)[:, None, None] for each in (mean, deviation))
    squared: Tensor = (resized - shift) / scale
    return squared
