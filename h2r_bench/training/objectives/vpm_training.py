"""Train the video prediction model in two stages (paper, section 4.1, training strategy)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn

from h2r_bench.policies.common.images import to_unit
from h2r_bench.policies.h2r.language_conditioning import conditioning
from h2r_bench.policies.h2r.pretrained.stable_diffusion import from_stable_diffusion, with_motion_modules
from h2r_bench.policies.h2r.unets import temporal_names
from h2r_bench.policies.h2r.vpm import VideoPredictionModel
from h2r_bench.ranges import Count, NotNegative, Positive, Share
from h2r_bench.training.data.cached_array import CachedArray
from h2r_bench.training.data.frames import CACHE, MAX_LAG
from h2r_bench.training.data.video_augmentation import augment_video
from h2r_bench.training.engine.loop import Batch, Trainer, TrainingConfig, device_for
from h2r_bench.training.engine.tensorboard import sheet
from h2r_bench.training.objectives.loss_weight_map import focus_map
from h2r_bench.training.objectives.vae_training import load_vae
from h2r_bench.types import UInt8Array

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from h2r_bench.policies.h2r.config import VPMConfig
    from h2r_bench.policies.h2r.pretrained.stable_diffusion import PretrainedSources
    from h2r_bench.policies.h2r.pretrained.weight_loading import Report
    from h2r_bench.training.data.frames import Clips, Frames

Train = Literal["temporal", "all"]


@dataclass(frozen=True)
class Objective:
    """What a batch is and how its loss is weighted."""

    clips: Count = 8
    """Clips in a batch; each runs the S-UNet once."""
    frames: Count = 6
    """Frames of each clip: future frames of one reference in stage one, consecutive ones in stage two."""
    last_share: Share = 0.8
    """Share of the clips at the last timestep, where features are read."""
    drop: Share = 0.05
    """Share of steps without reference and embedding (classifier-free dropout; the authors' code: 0.1)."""
    motion_weight: NotNegative = 2.0
    """How much more the cells count that differ from the reference frame."""
    focus_weight: NotNegative = 0.0
    """How much more the cells count that show the gripper and its shadow, see `focus_map`. For recordings of
    the simulated cameras alone: elsewhere nobody knows where these are."""
    repaint: Share = 0.0
    """Share of the clips that are shown in other colours and surroundings, the human's and the robot's each
    in a way of its own, see `augment_video`."""
    early: Share = 0.0
    """Share of the clips that begin in the first second of an episode, beside those that do so by chance."""
    min_snr: Positive | None = None
    """Gamma of min-SNR weighting (the authors' code: 5); without a number all timesteps count alike."""


class VPMLoss(nn.Module):
    """Equation 1 on batches of clips."""

    def __init__(self, model: VideoPredictionModel, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(
        self,
        conditioning: Tensor,
        robot: Tensor,
        reference: Tensor,
        target: Tensor,
        focus: Tensor | None = None,
        *,
        generator: torch.Generator,
    ) -> Tensor:
        """What the model follows, robot frame (B, H, W, 3) uint8; its latents, those wanted; and where it
        matters most (B, F, h, w). The wanted ones may come as frames (B, F, H, W, 3) uint8 to be repainted.
        """
        weights = self.objective
        if target.dtype == torch.uint8:
            conditioning, robot, reference, target = self._repainted(conditioning, robot, target, generator)
        return self.model.loss(
            conditioning,
            robot,
            reference,
            target,
            generator,
            last_share=weights.last_share,
            drop=weights.drop,
            motion_weight=weights.motion_weight,
            min_snr=weights.min_snr,
            focus=weights.focus_weight * focus if focus is not None and weights.focus_weight else None,
        )

    @torch.no_grad()
    def _repainted(
        self, conditioning: Tensor, robot: Tensor, target: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All that `forward` takes in colours of their own: the same for a robot's frame and its future."""
        share, model = self.objective.repaint, self.model
        clips = augment_video(torch.cat([robot[:, None], target], dim=1), share, generator)
        latents = model.vae.encode(to_unit(clips.flatten(0, 1))).unflatten(0, clips.shape[:2]).float()
        if model.config.language is None:
            conditioning = augment_video(conditioning, share, generator)
        return conditioning, clips[:, 0], latents[:, 0], latents[:, 1:]


def first_stage(config: VPMConfig, vae: Path, loop: TrainingConfig) -> VideoPredictionModel:
    """A new model without temporal layers around the trained VAE in folder `vae`."""
    torch.manual_seed(loop.seed)
    model = VideoPredictionModel(config)
    model.vae.load_state_dict(load_vae(vae).state_dict())
    return model


def first_stage_again(
    first: Path, loop: TrainingConfig, comparison: tuple[int, ...] = (), *, same_view: bool = False
) -> VideoPredictionModel:
    """The model in folder `first` without its temporal layers.

    One that has no scene comparison gets one of the widths `comparison`, where there are any. With
    `same_view` it is shown the human moved onto the robot's view from now on. What one that is told the task
    is told is added to its maps from now on.
    """
    torch.manual_seed(loop.seed)
    model = VideoPredictionModel.load(first)
    model = model.with_same_view() if same_view else model
    model = model.with_guide_added() if model.config.language is not None else model
    if model.temporal:
        model = model.without_temporal_layers()
    return model.with_comparison(comparison) if comparison else model


def first_stage_told(config: VPMConfig, shown: Path, loop: TrainingConfig) -> VideoPredictionModel:
    """The VAE and the UNets, without temporal layers, of the model in folder `shown`, told the task.

    The language is that of `config`, all sizes are the model's. Raises ValueError when that model is told the
    task already.
    """
    torch.manual_seed(loop.seed)
    model = VideoPredictionModel.load(shown)
    if model.config.language is not None or config.language is None:
        raise ValueError(f"the model in {shown} is told the task already: go on from it with --init")
    model = model.without_temporal_layers() if model.temporal else model
    return model.with_words(config.language)


def first_stage_pretrained(
    config: VPMConfig, sources: PretrainedSources, loop: TrainingConfig
) -> tuple[VideoPredictionModel, Report]:
    """A model without temporal layers from Stable Diffusion and CLIP, and what landed where."""
    torch.manual_seed(loop.seed)
    return from_stable_diffusion(config, sources)


def second_stage(
    first: Path,
    train: Train,
    loop: TrainingConfig,
    image_size: tuple[int, int] | None = None,
    motion: str | None = None,
    temporal: Path | None = None,
) -> tuple[VideoPredictionModel, Report | None]:
    """The model of stage one in folder `first` with temporal layers; what `train` leaves out is frozen.

    `image_size` is for clips of another size than in stage one. The temporal layers come from the motion
    modules `motion` (and the report says what landed where), from the model of an earlier stage two in folder
    `temporal`, or start as the identity. Raises ValueError for a model without such layers.
    """
    torch.manual_seed(loop.seed)
    before, told = VideoPredictionModel.load(first), None
    config = replace(before.config, image_size=image_size or before.config.image_size)
    if motion is None:
        model = before.with_temporal_layers(config)
    else:
        model, told = with_motion_modules(before, config, motion)
    if temporal is not None:
        _take_temporal_layers(model, temporal)
    if train == "temporal":
        names = set(temporal_names(model.st_unet))
        model.requires_grad_(False)
        for name, parameter in model.st_unet.named_parameters():
            parameter.requires_grad_(name in names)
    return model, told


def _take_temporal_layers(model: VideoPredictionModel, folder: Path) -> None:
    """Start the temporal layers of `model` from those of the model in `folder`."""
    earlier = VideoPredictionModel.load(folder)
    if not earlier.temporal:
        raise ValueError(f"the model in {folder} has no temporal layers")
    theirs = earlier.st_unet.state_dict()
    wanted = {name: theirs[name] for name in temporal_names(model.st_unet)}
    model.st_unet.load_state_dict(wanted, strict=False)


def train_vpm(
    model: VideoPredictionModel,
    data: Path,
    frames: Frames,
    loop: TrainingConfig,
    objective: Objective,
    out: Path,
) -> VideoPredictionModel:
    """Train `model` on clips of `frames` and write it into `out`."""
    frames.device = device_for(loop)
    latents = None if objective.repaint else cached_latents(model, data, frames)
    span = None if model.temporal else model.config.frames
    told = model.config.language is not None
    # A model that is told the task has the frame of now before it, on time, and would but copy it.
    lag, now = (0, False) if told else (MAX_LAG, True)
    cells = model.config.latent_shape[1:]

    def draw(rng: np.random.Generator) -> Batch:
        drawn = frames.clips(
            rng, objective.clips, objective.frames, span, lag, now=now, early=objective.early
        )
        robot = torch.from_numpy(frames.robot[drawn.reference])
        return (
            guide_of(model, frames, drawn),
            robot,
            robot if latents is None else torch.from_numpy(latents[drawn.reference]).float(),
            torch.from_numpy(frames.robot[drawn.robot])
            if latents is None
            else torch.from_numpy(latents[drawn.robot]).float(),
            torch.from_numpy(focus_map(frames.state[drawn.robot, :3], model.config.image_size, cells)),
        )

    def sample() -> dict[str, UInt8Array]:
        drawn = frames.clips(np.random.default_rng(loop.seed), 1, model.config.frames, max_lag=lag)
        followed, robot = guide_of(model, frames, drawn), torch.from_numpy(frames.robot[drawn.reference])
        device = next(model.parameters()).device
        noise = torch.Generator().manual_seed(0)
        made = model.generate(followed.to(device), robot.to(device), noise, steps=1)
        clips = (frames.human[drawn.human[0]], frames.robot[drawn.robot[0]], made[0].cpu().numpy())
        return {"human, robot, imagined in one step": sheet(*(clip[::4] for clip in clips))}

    title = f"vpm stage {2 if model.temporal else 1}"
    Trainer(VPMLoss(model, objective), loop, out).run(draw, title, sample)
    model.save(out)
    return model


def guide_of(model: VideoPredictionModel, frames: Frames, drawn: Clips) -> Tensor:
    """What `model` follows in the clips `drawn`: the human's frames, or the task's words."""
    language = model.config.language
    if language is None:
        return frames.human_clips(drawn.human, same_view=model.config.same_view)
    return conditioning(language, frames.instructions(drawn.reference), drawn.ahead)


def cached_latents(model: VideoPredictionModel, data: Path, frames: Frames) -> CachedArray:
    """The latents (N, c, h, w) of the robot's frames, each computed once per VAE, in the dataset's cache."""
    folder = data / CACHE
    folder.mkdir(exist_ok=True)
    path = folder / f"latents_{hash_of_vae(model)}_{len(frames)}.npy"

    @torch.no_grad()
    def encode(index: NDArray[np.int64]) -> NDArray[np.float16]:
        images = to_unit(torch.from_numpy(frames.robot[index]).to(model.vae.scale.device))
        return model.vae.encode(images).cpu().numpy().astype(np.float16)

    return CachedArray(path, (len(frames), *model.config.latent_shape), encode)


def hash_of_vae(model: VideoPredictionModel) -> str:
    """Short hash of the VAE's weights."""
    digest = hashlib.sha256()
    for value in model.vae.state_dict().values():
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()[:12]
