"""What an action decoder sees: a video encoder turns the human's clip and the robot's image into features.

`h2r` and its ablations are one decoder behind different encoders. An encoder is frozen, its features computed
once before the decoder is trained, or `trained_with_decoder`, together with each decoder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from h2r_bench.policies.h2r.vpm import VideoPredictionModel
from h2r_bench.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


@dataclass(frozen=True)
class Sight:
    """What B environments show at one moment."""

    human: Tensor
    """Shape (B, F, H, W, 3) uint8: the coming frames of the human, F as many as the encoder reads."""
    robot: Tensor
    """Shape (B, H, W, 3) uint8: the robot's image now."""
    step: Tensor
    """Shape (B,): control steps since the episode began."""
    generators: list[torch.Generator]
    """Length B: source of noise for each."""


class VideoEncoder(nn.Module, ABC):
    """From what is seen to features (B, F, C, h, w) for the action decoder."""

    trained_with_decoder: ClassVar[bool] = False
    """Whether it learns from the decoder's loss; else it is frozen."""
    reads: ClassVar[tuple[str, ...]] = ("image", "human_clip")
    """Entries of the observation that it looks at."""
    image_size: tuple[int, int]
    """Width and height of the images that it takes [pixels]."""
    frames: int
    """Frames of the human's clip that it reads."""
    feature_shape: tuple[int, int, int]
    """Shape (C, h, w) of one frame's features."""

    @abstractmethod
    def forward(self, sight: Sight) -> Tensor:
        """Features (B, F, C, h, w) of `sight`."""

    @abstractmethod
    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write everything that `load` needs, floating values as `dtype`."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """The inverse of `save`, in float32."""


ENCODERS: Registry[type[VideoEncoder]] = Registry("video encoder")
"""Encoders by the name that manifests keep."""


class VPMEncoder(VideoEncoder):
    """The video prediction model: what it imagines of the robot in one denoising step."""

    def __init__(self, vpm: VideoPredictionModel) -> None:
        super().__init__()
        self.vpm = vpm
        self.image_size = vpm.config.image_size
        self.frames = vpm.config.frames
        self.feature_shape = vpm.config.feature_shape

    def forward(self, sight: Sight) -> Tensor:
        """Features (B, F, C, h, w) of `sight`."""
        return self.vpm.features(sight.human, sight.robot, sight.generators)

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write the model."""
        self.vpm.save(folder, dtype)

    @classmethod
    def load(cls, folder: Path) -> VPMEncoder:
        """The model in `folder`."""
        return cls(VideoPredictionModel.load(folder))


ENCODERS.add("vpm", VPMEncoder)
