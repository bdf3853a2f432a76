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

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from h2r_bench.policies.h2r.config import H2RConfig


@dataclass(frozen=True)
class Sources:
    """What an encoder that is to be trained behind may be made from."""

    vpm: Path | None = None
    """Run of the VPM: the encoder itself, or whose sizes and VAE an untrained one takes over."""
    imagenet: str | None = None
    """Folder or hub id of a ResNet18 to start from; without it the weights are random."""


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
    own_run: ClassVar[bool] = False
    """Whether it is the result of a run of its own, so that a decoder's run need not keep it as well."""
    reads: ClassVar[tuple[str, ...]] = ("image", "human_clip")
    """Entries of the observation that it looks at."""
    image_size: tuple[int, int]
    """Width and height of the images that it takes [pixels]."""
    frames: int
    """Frames of the human's clip that it reads."""
    feature_shape: tuple[int, int, int]
    """Shape (C, h, w) of one frame's features."""

    @classmethod
    @abstractmethod
    def create(cls, config: H2RConfig, sources: Sources, seed: int) -> Self:
        """The encoder behind which a decoder is to be trained. Raises ValueError for a source missing."""

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


class VPMEncoder(VideoEncoder):
    """The video prediction model: what it imagines of the robot in one denoising step."""

    own_run = True

    def __init__(self, vpm: VideoPredictionModel) -> None:
        super().__init__()
        self.vpm = vpm
        self.image_size = vpm.config.image_size
        self.frames = vpm.config.frames
        self.feature_shape = vpm.config.feature_shape

    @classmethod
    def create(cls, config: H2RConfig, sources: Sources, seed: int) -> VPMEncoder:
        """The model of the run `sources.vpm`. Raises ValueError when there is none."""
        return cls.load(vpm_run(sources))

    def forward(self, sight: Sight) -> Tensor:
        """Features (B, F, C, h, w) of `sight`."""
        return self.vpm.features(sight.human, sight.robot, sight.generators)

    def imagine(self, sight: Sight, steps: int) -> Tensor:
        """The robot's clips (B, F, H, W, 3) uint8 that the model imagines in `steps` denoising steps."""
        return self.vpm.generate(sight.human, sight.robot, sight.generators, steps)

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write the model."""
        self.vpm.save(folder, dtype)

    @classmethod
    def load(cls, folder: Path) -> VPMEncoder:
        """The model in `folder`."""
        return cls(VideoPredictionModel.load(folder))


def vpm_run(sources: Sources) -> Path:
    """Folder of the VPM. Raises ValueError when none is named."""
    if sources.vpm is None:
        raise ValueError("this encoder needs --vpm, the folder of a trained VPM")
    return sources.vpm
