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

from h2r_bench.policies.h2r.language_conditioning import conditioning
from h2r_bench.policies.h2r.vpm import VideoPredictionModel

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from h2r_bench.policies.common.config import LanguageConfig
    from h2r_bench.policies.h2r.config import H2RConfig


@dataclass(frozen=True)
class Sources:
    """What an encoder that is to be trained behind may be made from."""

    vpm: Path | None = None
    """Run of the VPM: the encoder itself, or whose sizes and VAE an untrained one takes over."""
    imagenet: str | None = None
    """Folder or hub id of a ResNet18 to start from; without it the weights are random."""


@dataclass(frozen=True)
class EncoderInput:
    """What B environments show at one moment."""

    human: Tensor
    """Shape (B, F, H, W, 3) uint8: the coming frames of the human, F as many as the encoder reads; as the
    robot's camera would show them, for an encoder with `same_view`."""
    robot: Tensor
    """Shape (B, H, W, 3) uint8: the robot's image now."""
    instruction: Tensor
    """Shape (B, 128) uint8: the task in words, as observed."""
    step: Tensor
    """Shape (B,): control steps since the episode began."""
    generators: list[torch.Generator]
    """Length B: source of noise for each."""

    def __len__(self) -> int:
        return len(self.step)


class VideoEncoder(nn.Module, ABC):
    """From what is seen to features (B, F, C, h, w) for the action decoder."""

    trained_with_decoder: ClassVar[bool] = False
    """Whether it learns from the decoder's loss; else it is frozen."""
    own_run: ClassVar[bool] = False
    """Whether it is the result of a run of its own, so that a decoder's run need not keep it as well."""
    reads: ClassVar[tuple[str, ...]] = ("image", "human_clip")
    """Entries of the observation that it looks at."""
    lags: ClassVar[bool] = True
    """Whether actions are due on the human's clock, behind which the robot may be a little late. For one that
    sees no human they begin where the robot is."""
    same_view: bool = False
    """Whether it takes the human's clip as the robot's camera would show it, see `same_view.py`."""
    image_size: tuple[int, int]
    """Width and height of the images that it takes [pixels]."""
    frames: int
    """Frames of the human's clip that it reads; of one that sees no human, frames that it imagines."""
    feature_shape: tuple[int, int, int]
    """Shape (C, h, w) of one frame's features."""

    @classmethod
    @abstractmethod
    def create(cls, config: H2RConfig, sources: Sources, seed: int) -> Self:
        """The encoder behind which a decoder is to be trained. Raises ValueError for a source missing."""

    @abstractmethod
    def forward(self, sight: EncoderInput) -> Tensor:
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
    language_conditioned: ClassVar[bool] = False
    """Whether its model is told the task in words; else it is shown a human."""

    def __init__(self, vpm: VideoPredictionModel) -> None:
        super().__init__()
        if (vpm.config.language is not None) != self.language_conditioned:
            raise ValueError(
                "this encoder needs a model that is told the task (train vpp), not one that is shown a human"
                if self.language_conditioned
                else "this encoder needs a model that is shown a human (train vpm), not told the task"
            )
        self.vpm = vpm
        self.same_view = vpm.config.same_view and not self.language_conditioned
        self.image_size = vpm.config.image_size
        self.frames = vpm.config.frames
        self.feature_shape = vpm.config.feature_shape

    @classmethod
    def create(cls, config: H2RConfig, sources: Sources, seed: int) -> Self:
        """The model of the run `sources.vpm`. Raises ValueError when there is none."""
        return cls.load(vpm_run(sources))

    def forward(self, sight: EncoderInput) -> Tensor:
        """Features (B, F, C, h, w) of `sight`."""
        return self.vpm.features(self.followed(sight), sight.robot, sight.generators)

    def followed(self, sight: EncoderInput) -> Tensor:
        """What the model follows: the human's clips (B, F, H, W, 3) uint8."""
        return sight.human

    def imagine(self, sight: EncoderInput, steps: int) -> Tensor:
        """The robot's clips (B, F, H, W, 3) uint8 that the model imagines in `steps` denoising steps."""
        return self.vpm.generate(self.followed(sight), sight.robot, sight.generators, steps)

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write the model."""
        self.vpm.save(folder, dtype)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model in `folder`."""
        return cls(VideoPredictionModel.load(folder))


class LanguageVPMEncoder(VPMEncoder):
    """The same model told the task in words: Video Prediction Policy (Hu et al. 2024). It sees no human."""

    language_conditioned = True
    reads = ("image", "instruction")
    lags = False

    @property
    def language(self) -> LanguageConfig:
        """The encoder of the words that its model is told."""
        assert self.vpm.config.language is not None
        return self.vpm.config.language

    def followed(self, sight: EncoderInput) -> Tensor:
        """What the model follows: the words and each frame's moment (B, F, width + 1), see `conditioning`."""
        moments = torch.arange(self.frames).expand(len(sight), -1)
        return conditioning(self.language, sight.instruction, moments).to(sight.robot.device)


def vpm_run(sources: Sources) -> Path:
    """Folder of the VPM. Raises ValueError when none is named."""
    if sources.vpm is None:
        raise ValueError("this encoder needs --vpm, the folder of a trained VPM")
    return sources.vpm
