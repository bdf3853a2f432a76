"""Predicted videos beside the true ones: pictures, films, PSNR, SSIM, and how far the gripper is off."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.progress import track

from h2r_bench import extras
from h2r_bench.ranges import Count, Index, Share

with extras.explained():
    import torch

from h2r_bench.datasets.h264 import write_video
from h2r_bench.policies.h2r.camera_alignment import in_robot_view
from h2r_bench.policies.h2r.encoders.base import EncoderInput, LanguageVPMEncoder, VPMEncoder
from h2r_bench.policies.h2r.vpm import VideoPredictionModel
from h2r_bench.types import (
    CONTROL_HZ,
    DEFAULT_IMAGE_SIZE,
    Episode,
    Float32Array,
    FloatArray,
    UInt8Array,
    encode_instruction,
)
from h2r_bench.video_metrics.gripper_localizer import GripperLocalizer, load_localizer, off_by
from h2r_bench.video_metrics.similarity import Likeness, likeness

STAYS = "first frame stays"
TRUTH = "true video"
COLUMNS = 6
"""Moments of the picture."""
_MARGIN = 92
"""Room for the names of the rows [pixels]."""


@dataclass(frozen=True)
class PredictConfig:
    """Imagine robot videos from human ones, and compare them with the true ones."""

    task: str = "pick_place"
    """Name of a task."""
    seed: Index = 0
    """Of the episode; the same seed, the same pictures."""
    episodes: Count = 1
    """How many, with seeds from `--seed` on; the figures are means over all."""
    steps: tuple[int, ...] = (1, 30)
    """Numbers of denoising steps to show."""
    start: Share = 0.15
    """Where the clip begins, as a share of the episode."""
    policy: str = "h2r"
    """Whose model: `h2r` sees a human, `vpp` is told the task in words."""
    weights: Path | None = None
    """Folder of a VPM or an agent of either kind, instead of the shipped one of `--policy`."""
    ruler: Path | None = None
    """Run of a ruler (`train ruler`) that measures where the predictions show the gripper. One for 128x128
    ships with the package; images of another size need their own."""
    out: Path = Path("runs/predict")
    """Folder of picture, film and figures."""

    def __post_init__(self) -> None:
        if self.seed < 0 or self.episodes < 1:
            raise ValueError("--seed is at least 0, --episodes at least 1")
        if not self.steps or min(self.steps) < 1:
            raise ValueError("--steps names numbers of denoising steps, each at least 1")
        if not 0.0 <= self.start < 1.0:
            raise ValueError(f"--start is a share of the episode, 0 to below 1, got {self.start}")


@dataclass(frozen=True)
class Imagined:
    """One clip: what was shown, what was true, what was imagined."""

    human: UInt8Array | None
    """Shape (T, H, W, 3); None for a model that sees no human."""
    robot: UInt8Array
    """Shape (T, H, W, 3): the truth."""
    state: Float32Array
    """Shape (T, 10): the robot's true states."""
    predicted: dict[int, UInt8Array]
    """Number of denoising steps to a clip (T, H, W, 3)."""

    @property
    def rows(self) -> dict[str, UInt8Array]:
        """All clips by name, in the order of the picture."""
        steps = {f"{count} step" + "s" * (count > 1): clip for count, clip in self.predicted.items()}
        seen = {} if self.human is None else {"human": self.human}
        return {**seen, "robot": self.robot, **steps}


def imagine(encoder: VPMEncoder, episode: Episode, config: PredictConfig) -> Imagined:
    """Predict one clip of `episode`; the noise follows from the seed."""
    length = encoder.frames
    first = min(round(config.start * len(episode)), max(0, len(episode) - length))
    steps = np.minimum(np.arange(first, first + length), len(episode) - 1)
    predicted = {
        count: encoder.imagine(_sight(encoder, episode, steps, config.seed), count)[0].numpy()
        for count in config.steps
    }
    human = None if encoder.language_conditioned else episode.human[steps]
    return Imagined(human, episode.robot[steps], episode.state[steps], predicted)


def _sight(encoder: VPMEncoder, episode: Episode, steps: NDArray[np.int64], seed: int) -> EncoderInput:
    """What the model is shown at the first of `steps`."""
    human = torch.from_numpy(episode.human[steps])
    if encoder.same_view:
        human = in_robot_view(human, torch.from_numpy(episode.human[0]), torch.from_numpy(episode.robot[0]))
    robot = torch.from_numpy(episode.robot[steps[:1]])
    words = torch.from_numpy(encode_instruction(episode.instruction)[None])
    return EncoderInput(
        human[None], robot, words, torch.from_numpy(steps[:1]), [torch.Generator().manual_seed(seed)]
    )


@dataclass(frozen=True)
class PredictionQuality:
    """A predicted clip beside the true one."""

    likeness: Likeness
    off_px: FloatArray
    """Shape (T,): how far from its place the gripper is seen [pixels]; empty without a ruler."""


@dataclass(frozen=True)
class Figures:
    """A way of predicting, over all clips."""

    psnr: float
    """Mean peak signal-to-noise ratio [dB]."""
    ssim: float
    """Mean structural similarity."""
    off_px: float | None
    """Median distance between where the gripper is seen and where it is [pixels]; None without a ruler."""


def measure(imagined: Imagined, ruler: GripperLocalizer | None = None) -> dict[str, PredictionQuality]:
    """Each prediction, and the one that nothing moves, against the truth; with a ruler also the truth."""
    stays = np.repeat(imagined.robot[:1], len(imagined.robot), axis=0)
    clips = {name: clip for name, clip in imagined.rows.items() if name not in ("human", "robot")}
    clips[STAYS] = stays
    if ruler is not None:
        clips[TRUTH] = imagined.robot
    return {name: _measured(clip, imagined, ruler) for name, clip in clips.items()}


def _measured(clip: UInt8Array, imagined: Imagined, ruler: GripperLocalizer | None) -> PredictionQuality:
    off = np.zeros(0) if ruler is None else off_by(ruler, clip, imagined.state)
    return PredictionQuality(likeness(clip, imagined.robot), off)


def summary(found: Sequence[PredictionQuality]) -> Figures:
    """The figures of one way of predicting over several clips."""
    off = np.concatenate([each.off_px for each in found])
    return Figures(
        float(np.mean([each.likeness.psnr for each in found])),
        float(np.mean([each.likeness.ssim for each in found])),
        float(np.median(off)) if len(off) else None,
    )


def picture(imagined: Imagined) -> UInt8Array:
    """Rows of moments with their names, shape (H, W, 3)."""
    moments = np.linspace(0, len(imagined.robot) - 1, COLUMNS).astype(int)
    strips = []
    for name, clip in imagined.rows.items():
        strip = np.concatenate(list(clip[moments]), axis=1)
        label = Image.new("RGB", (_MARGIN, strip.shape[0]), (255, 255, 255))
        ImageDraw.Draw(label).text(
            (6, strip.shape[0] // 2 - 8), name, (20, 20, 20), ImageFont.load_default(14)
        )
        strips.append(np.concatenate([np.asarray(label), strip], axis=1))
    return np.concatenate(strips)


def film(imagined: Imagined) -> UInt8Array:
    """All rows side by side, shape (T, H, W, 3)."""
    return np.concatenate(list(imagined.rows.values()), axis=2)


def predict(config: PredictConfig) -> dict[str, Figures]:
    """Imagine, write picture and film of the first episode and the figures of all, and return these."""
    from h2r_bench.envs.demonstration.recording import record_episode

    encoder = load(config.weights, config.policy)
    ruler = _ruler(config, encoder.image_size)
    found: list[dict[str, PredictionQuality]] = []
    seeds = range(config.seed, config.seed + config.episodes)
    for seed in track(seeds, "imagining", console=Console(stderr=True)):
        episode = record_episode(config.task, seed, image_size=encoder.image_size)
        imagined = imagine(encoder, episode, config)
        found.append(measure(imagined, ruler))
        if seed == config.seed:
            write(config.out / f"{config.task}_{seed}", imagined)
    figures = {name: summary([each[name] for each in found]) for name in found[0]}
    record = {"task": config.task, "seed": config.seed, "episodes": config.episodes}
    record |= {name: asdict(value) for name, value in figures.items()}
    (config.out / f"{config.task}_{config.seed}.json").write_text(json.dumps(record, indent=1) + "\n")
    return figures


def _ruler(config: PredictConfig, image_size: tuple[int, int]) -> GripperLocalizer | None:
    if config.ruler is not None:
        return load_localizer(config.ruler)
    return load_localizer() if image_size == DEFAULT_IMAGE_SIZE else None


def load(weights: Path | None = None, policy: str = "h2r") -> VPMEncoder:
    """The VPM in folder `weights`; without, that of the shipped weights of `policy`.

    Raises ValueError for an agent without one.
    """
    if weights is None:
        weights = _shipped(policy)
    model = VideoPredictionModel.load(weights)
    return (VPMEncoder if model.config.language is None else LanguageVPMEncoder)(model)


def _shipped(policy: str) -> Path:
    from h2r_bench.policies.catalog import find_agent
    from h2r_bench.policies.h2r.agent import ImaginingDecoderAgent

    agent = find_agent(policy).find()
    if not (isinstance(agent, type) and issubclass(agent, ImaginingDecoderAgent)):
        raise ValueError(f"{policy} has no video prediction model to look at; h2r and vpp do")
    return agent.folder()


def write(stem: Path, imagined: Imagined) -> None:
    """Write `stem`.png and `stem`.mp4."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(stem.with_suffix(".png"), picture(imagined))
    write_video(stem.with_suffix(".mp4"), film(imagined), CONTROL_HZ)
