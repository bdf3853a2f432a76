"""Sizes of every learned part. A preset is a value; no code asks which one it is.

Where `COMPACT` leaves the paper, whose four-level UNets start from Stable Diffusion's weights:

- Latents are 16x16 at 128x128 and the UNets have two levels, 16x16 and 8x8. Their first up-sampling layer
  works at 8x8 and puts out 16x16; with four levels it would put out 4x4.
- The behaviour extractor has the paper's four convolutions. On 128x128 images they reach 8x8, so what they
  find is added there and not after `conv_in`. No skip connection leads around the first up-sampling layer
  with it: whatever the video is to show of the human has to be in the features that the action decoder reads.
- The human's clip is moved onto the robot's view (`same_view`): the paper's camera stays where it is, here
  the human's stands a centimetre and a degree elsewhere, more than a gripper may be off.
- A scene comparison sees the human's first frame and the robot's reference frame together, pixel on pixel.
  Objects stand a centimetre apart in the two scenes, and a gripper has to be that exact. Features that were
  made of each picture by itself no longer tell.
- The ST-UNet gets the reference frame's latents beside the noise as well. Copying the background through
  attention alone is what Stable Diffusion's weights bring along, and takes long to learn from scratch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from h2r_bench.policies.common.config import CLIP_TEXT, MINILM, LanguageConfig, Prediction
from h2r_bench.ranges import Layers, Size

Start = Literal["noise", "human"]


@dataclass(frozen=True)
class VAEConfig:
    """Images to latents and back."""

    patch: Size = 4
    """Side of the square of pixels folded into channels before the first convolution [pixels]."""
    channels: tuple[Size, ...] = (32, 64)
    """Width of each level; each but the last halves the resolution."""
    layers: Layers = 1
    """Residual layers in each level."""
    latent_channels: Size = 12
    """Channels of a latent."""
    groups: Size = 16
    """Groups of the group normalisation."""
    scale: float = 1.0
    """Factor that brings latents to unit variance; measured at the end of training."""
    mid_attention: bool = False
    """Whether the middle blocks attend to all latent cells, as Stable Diffusion's do."""

    @property
    def stride(self) -> int:
        """Pixels on the side of one latent cell."""
        return int(self.patch * 2 ** (len(self.channels) - 1))


@dataclass(frozen=True)
class UNetConfig:
    """The S-UNet, and the S-layers of the ST-UNet alike."""

    channels: tuple[Size, ...] = (32, 96)
    """Width of each level; each but the last halves the resolution."""
    layers: Layers = 1
    """Blocks (residual + attention) in each level."""
    attention: tuple[bool, ...] = (False, True)
    """Which levels have attention. Stable Diffusion's lowest has none, here it is the highest."""
    heads: Size = 2
    """Attention heads."""
    groups: Size = 16
    """Groups of the group normalisation."""
    token_dim: Size = 64
    """Width of the image embedding that cross-attention sees."""

    def __post_init__(self) -> None:
        if len(self.attention) != len(self.channels):
            raise ValueError(f"attention is said for {len(self.attention)} of {len(self.channels)} levels")


@dataclass(frozen=True)
class MotionConfig:
    """The T-layers of the ST-UNet."""

    heads: Size | None = None
    """Attention heads; without a number as many as the S-layers have."""
    max_frames: Size = 32
    """Longest clip they know positions for [frames]; a longer one of the model makes it longer."""
    mid_block: bool = True
    """Whether the middle block has one, too."""


@dataclass(frozen=True)
class CLIPConfig:
    """CLIP's vision tower with its projection; the values are ViT-L/14's."""

    image_size: Size = 224
    """Side of the square it looks at [pixels]."""
    patch: Size = 14
    """Side of one of its tokens [pixels]."""
    width: Size = 1024
    """Width of its tokens."""
    mlp_width: Size = 4096
    """Width of the hidden layer of its MLPs."""
    layers: Layers = 24
    """Transformer layers."""
    heads: Size = 16
    """Attention heads."""
    token_dim: Size = 768
    """Width of the projected embedding."""
    activation: str = "quick_gelu"
    """Activation of its MLPs, by transformers' name."""


@dataclass(frozen=True)
class BehaviorConfig:
    """The behaviour extractor: 4x4 convolutions of stride 2 on the human's frames."""

    channels: tuple[Size, ...] = (16, 32, 64, 128)
    """Width of each convolution."""
    init_gain: float = 2.0
    """Variance of the Gaussian the convolutions start from, times their number of inputs."""
    groups: Size = 8
    """Groups of a normalisation after each convolution, 0 for none as in the paper. With it a model that
    starts from nothing finds the hand in half as many frames."""
    level: Size = 1
    """Level of the ST-UNet that the projection is added to; 0 is after `conv_in`, as in the paper."""
    comparison: tuple[Size, ...] = ()
    """Widths of the convolutions of the scene comparison, see `SceneComparison`; empty for none, as in the
    paper."""


@dataclass(frozen=True)
class NoiseConfig:
    """The diffusion of latents."""

    train_steps: Size = 1000
    """Timesteps of the noise schedule; the last one is pure noise."""
    beta_start: float = 0.00085
    beta_end: float = 0.012
    beta_schedule: str = "scaled_linear"
    """Stable Diffusion's schedule, brought to zero terminal SNR."""
    prediction: Prediction = "v_prediction"
    """What the ST-UNet puts out. The paper writes epsilon (equation 1), its code trains v."""


@dataclass(frozen=True)
class FeatureConfig:
    """Where the one denoising step begins that features are read from.

    The paper's text noises the human video, its code starts from pure noise and has the human video as
    condition only. At the last timestep of a schedule with zero terminal SNR nothing of the video is left, so
    the two differ at lower timesteps (or for models that predict epsilon) alone.
    """

    start: Start = "noise"
    """What is denoised: pure noise, or the latents of the human's frames with noise added."""
    timestep: Size | None = None
    """Timestep of the step, 0 (clean) up to the last (pure noise), which it is without a number."""


@dataclass(frozen=True)
class VPMConfig:
    """The video prediction model (paper, section 4.1)."""

    image_size: tuple[Size, Size] = (128, 128)
    """Width and height of both videos [pixels]."""
    frames: Size = 16
    """Frames of a clip (the paper: 30; the action decoder reads 16)."""
    vae: VAEConfig = field(default_factory=VAEConfig)
    unet: UNetConfig = field(default_factory=UNetConfig)
    behavior: BehaviorConfig = field(default_factory=BehaviorConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    clip: CLIPConfig | None = None
    """The image encoder: CLIP's vision tower, or without it a projection of pooled latents."""
    language: LanguageConfig | None = None
    """With it the model is told the task in words instead of being shown a human (the video model of Video
    Prediction Policy): cross-attention sees words and moment of each frame instead of the image embedding,
    and there is no behaviour extractor."""
    guide_added: bool = False
    """Whether what a model is told is also added to its maps, where others have what the human's frames add.
    Cross-attention alone leaves it unsure how far ahead a frame is."""
    same_view: bool = False
    """Whether the human's clip comes moved onto the robot's view, see `camera_alignment.py`."""
    residual: bool = False
    """Whether latents are generated as their difference from the reference frame's. The paper generates the
    frames themselves; a short training from scratch with this on learnt to leave the arm where it was."""
    reference_input: bool = True
    """Whether the ST-UNet gets the reference frame's latents beside the noise as well."""
    noise_offset: float = 0.05
    """Noise shared by all cells of a latent channel in training, as in the authors' code."""
    feature_pool: Size = 2
    """Side of the squares of cells that features are averaged over [cells]."""
    token_pool: Size = 4
    """Side of the grid of pooled latents that the image embedding is a projection of (without CLIP)."""

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Shape (channels, height, width) of one frame's latent."""
        width, height = self.image_size
        return self.vae.latent_channels, height // self.vae.stride, width // self.vae.stride

    @property
    def feature_shape(self) -> tuple[int, int, int]:
        """Shape (channels, height, width) of one frame's feature map after the first up-sampling layer."""
        _, height, width = self.latent_shape
        shrink = self.feature_pool * 2 ** (len(self.unet.channels) - 2)
        return self.unet.channels[-1], -(-height // shrink), -(-width // shrink)


@dataclass(frozen=True)
class DecoderConfig:
    """The action decoder: Video Former and diffusion policy (paper, section 4.2)."""

    feature_shape: tuple[Size, Size, Size] = (96, 8, 8)
    """Shape (channels, height, width) of the VPM's features of one frame."""
    frames: Size = 16
    """Frames the features come in."""
    width: Size = 128
    """Width L of tokens (the paper: 384)."""
    heads: Size = 4
    """Attention heads."""
    queries_per_frame: Size = 4
    """Learnable tokens per frame; n = frames x this (the paper: 16 x 14 = 224)."""
    former_layers: Layers = 2
    """Layers of the Video Former (the paper: 6)."""
    maps: Size = 0
    """Heat maps of the frame reader that tokens start from; 0 for none, as in the paper."""
    policy_layers: Layers = 4
    """Blocks of the diffusion transformer (the paper: 4 + 4)."""
    chunk: Size = 16
    """Actions predicted at once."""
    action_dim: Size = 10
    """Position (3), 6-D rotation (6), gripper (1), all brought to [-1, 1]."""
    state_dim: Size = 10
    """Position (3), 6-D rotation (6), opening (1), brought to [-1, 1] alike."""
    train_steps: Size = 100
    """Timesteps of the noise schedule."""
    sample_steps: Size = 10
    """DDIM steps at inference."""
    prediction: Prediction = "sample"
    """What the transformer puts out. Equation 3 has epsilon; the authors' code preconditions as EDM does,
    which is the clean sample where noise is large, and that is learnt in far fewer steps."""


@dataclass(frozen=True)
class H2RConfig:
    """A whole agent."""

    vpm: VPMConfig = field(default_factory=VPMConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    language: LanguageConfig = MINILM
    """What embeds the task's words for models that are told them."""
    execute: Size = 8
    """Actions of a chunk that are executed before the next one is predicted."""


COMPACT = H2RConfig(
    vpm=VPMConfig(same_view=True, behavior=BehaviorConfig(comparison=(48, 64, 96, 128))),
    decoder=DecoderConfig(maps=64),
)
"""Trains from scratch on a CPU; its weights ship with the package."""

PAPER = H2RConfig(
    vpm=VPMConfig(
        image_size=(424, 240),
        frames=30,
        vae=VAEConfig(
            patch=1,
            channels=(128, 256, 512, 512),
            layers=2,
            latent_channels=4,
            groups=32,
            scale=0.18215,
            mid_attention=True,
        ),
        unet=UNetConfig(
            channels=(320, 640, 1280, 1280),
            layers=2,
            attention=(True, True, True, False),
            heads=8,
            groups=32,
            token_dim=768,
        ),
        behavior=BehaviorConfig(channels=(16, 32, 96, 256), groups=0, level=0),
        clip=CLIPConfig(),
        reference_input=False,
        feature_pool=1,
    ),
    decoder=DecoderConfig(
        feature_shape=(1280, 8, 14),
        width=384,
        heads=8,
        queries_per_frame=14,
        former_layers=6,
        policy_layers=8,
    ),
    language=CLIP_TEXT,
)
"""The paper's sizes."""

PRESETS = {"compact": COMPACT, "paper": PAPER}
