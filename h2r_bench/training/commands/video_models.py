"""Training commands of what sees: the VAE, the video models, the probe of their features, the ruler."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import tyro
from torch import Tensor

from h2r_bench.datasets import EpisodeStore
from h2r_bench.policies.common.config_json import to_json
from h2r_bench.policies.h2r.config import FeatureConfig, Start, VPMConfig
from h2r_bench.policies.h2r.encoders.base import Sources
from h2r_bench.policies.h2r.encoders.untrained import untrained
from h2r_bench.policies.h2r.pretrained.stable_diffusion import PretrainedSources
from h2r_bench.policies.h2r.pretrained.weight_loading import Report
from h2r_bench.policies.h2r.vpm import VideoPredictionModel
from h2r_bench.ranges import Count, Index
from h2r_bench.training.commands.inputs import open_frames, preset
from h2r_bench.training.diagnostics.feature_probe import probe_features
from h2r_bench.training.diagnostics.held_out import held_out
from h2r_bench.training.diagnostics.picture_probe import probe_pictures
from h2r_bench.training.engine.loop import TrainingConfig
from h2r_bench.training.engine.run_metadata import finish_run, start_run
from h2r_bench.training.objectives.localizer_training import train_ruler
from h2r_bench.training.objectives.vae_training import train_vae
from h2r_bench.training.objectives.vpm_training import (
    Objective,
    first_stage,
    first_stage_again,
    first_stage_pretrained,
    first_stage_told,
    second_stage,
    train_vpm,
)
from h2r_bench.video_metrics.gripper_localizer import off_by


@dataclass(frozen=True)
class TrainVAE:
    """The VAE, on the robot's frames. Trained first, frozen ever after."""

    data: Path
    """Folder of the paired episodes."""
    out: Path
    """Folder of this run."""
    preset: str = "compact"
    """Sizes of the model."""
    batch: Count = 8
    """Images in a batch."""
    loop: tyro.conf.OmitArgPrefixes[TrainingConfig] = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        self.loop.check()


@dataclass(frozen=True)
class TrainVPM:
    """The video prediction model: stage 1 on single frames, stage 2 on clips with temporal layers."""

    data: Path
    """Folder of the paired episodes."""
    out: Path
    """Folder of this run."""
    stage: Literal[1, 2] = 1
    """Stage 1 starts from `--vae` or `--sd`, or goes on from `--init`; stage 2 starts from `--init`."""
    vae: Path | None = None
    """Run of the VAE (stage 1)."""
    init: Path | None = None
    """Run of stage 1; another stage 1 goes on from its weights with a learning rate of its own (or from those
    of a stage 2, whose temporal layers it leaves out)."""
    same_view: bool = False
    """Stage 1 from `--init`: from now on move the human's clip onto the robot's view, as new models of the
    preset `compact` do."""
    compare: bool = False
    """Stage 1 from `--init`: give its model the preset's scene comparison, if it has none."""
    temporal: Path | None = None
    """Run of an earlier stage 2 whose temporal layers this one goes on from."""
    train: Literal["temporal", "all"] = "temporal"
    """What stage 2 trains: the temporal layers alone, as the paper, or everything but the VAE."""
    preset: str = "compact"
    """Sizes of the model (stage 1; stage 2 takes them from `--init`, and `--sd` brings its own)."""
    image_size: tuple[int, int] | None = None
    """Width and height of the videos, if not those of the preset or of `--init` [pixels]."""
    sources: tyro.conf.OmitArgPrefixes[PretrainedSources] = field(default_factory=PretrainedSources)
    objective: tyro.conf.OmitArgPrefixes[Objective] = field(default_factory=Objective)
    loop: tyro.conf.OmitArgPrefixes[TrainingConfig] = field(default_factory=TrainingConfig)

    language_conditioned: ClassVar[bool] = False
    """Whether the model is told the task in words; else it is shown a human."""

    @property
    def before(self) -> Path | None:
        """What was trained before, and is built on."""
        return self.init or self.vae

    def starts(self) -> dict[str, Any]:
        """What a stage 1 may start from, by option; one of them is to be given."""
        return {
            "--vae (a trained VAE)": self.vae,
            "--sd (Stable Diffusion)": self.sources.sd,
            "--init (an earlier stage 1)": self.init,
        }

    def sizes(self) -> VPMConfig:
        """The model of stage 1. Raises UnknownNameError for a preset that is not there."""
        config = preset(self.preset).vpm
        return replace(config, image_size=self.image_size or config.image_size)

    def __post_init__(self) -> None:
        self.loop.check()
        starts = self.starts()
        if self.stage == 1 and sum(each is not None for each in starts.values()) != 1:
            *most, last = starts
            kind = "vpp" if self.language_conditioned else "vpm"
            raise ValueError(f"{kind} --stage 1 needs {', '.join(most)} or {last}, one of them")
        if self.stage == 2 and self.init is None:
            raise ValueError("vpm --stage 2 needs --init, the folder of stage 1")
        if self.sources.image_encoder and not self.sources.sd:
            raise ValueError("--image-encoder goes with --sd; other models embed their own latents")
        if (self.sources.motion and self.stage == 1) or (self.sources.sd and self.stage == 2):
            raise ValueError("--sd is for stage 1, --motion for stage 2")
        if self.same_view and (self.language_conditioned or self.stage == 2 or self.init is None):
            raise ValueError("--same-view is for stage 1 from --init, of a model that is shown a human")
        if self.compare and (self.stage == 2 or self.init is None or not self.sizes().behavior.comparison):
            raise ValueError(
                "--compare is for stage 1 from --init, with a preset that has a scene comparison"
            )
        if self.temporal and (self.stage == 1 or self.sources.motion):
            raise ValueError("--temporal is for stage 2, instead of --motion")


@dataclass(frozen=True)
class TrainVPP(TrainVPM):
    """The video model of Video Prediction Policy: as `vpm`, but told the task in words and shown no human.

    Its decoder is trained by `decoder --encoder vpp`.
    """

    words: str | None = None
    """Local folder or hub id of the sentence encoder, if not the preset's own (stage 1)."""
    unets: Path | None = None
    """Run of a `vpm`, which is shown a human, from whose VAE and UNets stage 1 starts: a video model that
    knows the robot and its surroundings already, and has to learn to follow words."""

    language_conditioned: ClassVar[bool] = True

    @property
    def before(self) -> Path | None:
        """What was trained before, and is built on."""
        return super().before or self.unets

    def starts(self) -> dict[str, Any]:
        """What a stage 1 may start from, by option; one of them is to be given."""
        return {**super().starts(), "--unets (a vpm)": self.unets}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unets and self.stage == 2:
            raise ValueError("--unets is for stage 1")
        if self.sources.image_encoder:
            raise ValueError("vpp has no image encoder: cross-attention sees the words")

    def sizes(self) -> VPMConfig:
        """The model of stage 1."""
        language = preset(self.preset).language
        language = replace(language, source=self.words or language.source)
        return replace(super().sizes(), clip=None, language=language, guide_added=True)


@dataclass(frozen=True)
class ProbeVPM:
    """Measure what the VPM's features hold: where the gripper is, and whether it is open."""

    data: Path
    """Folder of the paired episodes that the probe learns from."""
    vpm: Path
    """Run of the VPM."""
    out: Path
    """Folder of this run."""
    tasks: tuple[str, ...] = ("push_pull", "pick_place", "rotation")
    """Tasks on whose held-out episodes it is measured, each by itself."""
    held: Path | None = None
    """Measure on the dataset in this folder instead."""
    episodes: Count = 20
    """Held-out episodes of each task, recorded at once."""
    features: Literal["trained", "untrained", "untrained_seeing", "resnet18"] = "trained"
    """Of the VPM as it was trained, or at its initial parameters; seeing: with a projection of the behaviour
    extractor that is drawn from a Gaussian, for at zero an untrained model does not see the human at all.
    resnet18: not of a VPM; the human's pictures through a ResNet18 that learns together with the probe."""
    clips: Count = 400
    """Clips to learn from; a quarter as many, at most 160, are measured of each task."""
    steps: Count = 1500
    """Steps of the probe's training."""
    imagenet: str | None = None
    """`resnet18` starts from these weights: a local folder or an id on the hub. Without, from random ones."""
    seed: Index = 0
    """Of the clips, the noise and the probe."""
    start: Start = "noise"
    """What the denoising step begins from, see `FeatureConfig`: noise, or the human's frames with noise."""
    timestep: Index | None = None
    """Timestep of that step, if not the last."""
    cpu: bool = False
    """Compute on the CPU even where there is a GPU."""


@dataclass(frozen=True)
class TrainRuler:
    """The ruler: finds the tool centre in pictures of the robot, to measure predicted ones."""

    data: Path
    """Folder of the paired episodes."""
    out: Path
    """Folder of this run."""
    batch: Count = 32
    """Images in a batch."""
    loop: tyro.conf.OmitArgPrefixes[TrainingConfig] = field(default_factory=lambda: TrainingConfig(lr=0.01))

    def __post_init__(self) -> None:
        self.loop.check()


def run_vae(job: TrainVAE, command: list[str]) -> None:
    """Train the VAE."""
    config = preset(job.preset).vpm
    start_run(job.out, job, to_json(config.vae), command, None)
    train_vae(config, open_frames(job.data, config.image_size), job.loop, job.batch, job.out)
    finish_run(job.out)


def run_vpm(job: TrainVPM, command: list[str]) -> None:
    """Train one stage of the VPM."""
    model, copied = _start_of(job)
    start_run(job.out, job, to_json(model.config), command, job.before)
    if copied:
        (job.out / "pretrained.json").write_text(json.dumps(copied.to_json(), indent=1) + "\n")
        print(copied, file=sys.stderr)
    frames = open_frames(job.data, model.config.image_size)
    train_vpm(model, job.data, frames, job.loop, job.objective, job.out)
    finish_run(job.out)


def _start_of(job: TrainVPM) -> tuple[VideoPredictionModel, Report | None]:
    """The model that `job` trains, and what landed in it from elsewhere."""
    if job.init is not None:
        model, copied = _going_on(job, job.init)
        if (model.config.language is not None) != job.language_conditioned:
            raise ValueError(
                f"{job.init} is a model of the other kind: vpm is shown a human, vpp is told the task"
            )
        return model, copied
    config = job.sizes()
    if isinstance(job, TrainVPP) and job.unets is not None:
        return first_stage_told(config, job.unets, job.loop), None
    if job.vae is not None:
        return first_stage(config, job.vae, job.loop), None
    return first_stage_pretrained(config, job.sources, job.loop)


def _going_on(job: TrainVPM, init: Path) -> tuple[VideoPredictionModel, Report | None]:
    """The model of the run `init`, as it is or as the beginning of stage 2."""
    if job.stage == 2:
        return second_stage(init, job.train, job.loop, job.image_size, job.sources.motion, job.temporal)
    comparison = job.sizes().behavior.comparison if job.compare else ()
    return first_stage_again(init, job.loop, comparison, same_view=job.same_view), None


def run_probe(job: ProbeVPM, command: list[str]) -> None:
    """Print what a probe reads from held-out features, and write it to `out`/probe.json."""
    vpm = VideoPredictionModel.load(job.vpm)
    if vpm.config.language is not None:
        raise ValueError(
            f"{job.vpm} is told the task in words; the probe reads models that are shown a human"
        )
    size = vpm.config.image_size
    if job.features.startswith("untrained"):
        vpm, _ = untrained(vpm, seeing=job.features == "untrained_seeing", seed=job.seed)
    vpm.config = replace(vpm.config, features=FeatureConfig(job.start, job.timestep))
    device = torch.device("cuda" if torch.cuda.is_available() and not job.cpu else "cpu")
    held = {"held": open_frames(job.held, size)} if job.held else {}
    held |= {name: held_out(name, job.episodes, size) for name in job.tasks if not job.held}
    frames = open_frames(job.data, size)
    for each in (frames, *held.values()):
        each.device = device
    budget: Any = {"clips": job.clips, "steps": job.steps, "seed": job.seed, "device": device}
    if job.features == "resnet18":
        config = replace(preset("compact"), vpm=vpm.config)
        readings = probe_pictures(config, Sources(imagenet=job.imagenet), frames, held, **budget)
    else:
        shape: Any = {"length": vpm.config.frames, "same_view": vpm.config.same_view}
        vpm.to(device)

        def features(human: Tensor, robot: Tensor, noise: list[torch.Generator]) -> Tensor:
            return vpm.features(human.to(device), robot.to(device), noise)

        readings = probe_features(features, frames, held, **shape, **budget)
    job.out.mkdir(parents=True, exist_ok=True)
    record = {"command": shlex.join(command), **{name: asdict(each) for name, each in readings.items()}}
    (job.out / "probe.json").write_text(json.dumps(record, indent=1) + "\n")
    for name, reading in readings.items():
        x, y, z = reading.axes_mm
        position = f"position {reading.position_mm:.1f} mm (x {x:.1f}, y {y:.1f}, z {z:.1f})"
        print(f"{name:16} {position}, gripper {reading.gripper:.1%}, its command {reading.command:.1%}")


def run_ruler(job: TrainRuler, command: list[str]) -> None:
    """Train the ruler and say how well it finds the tool in held-out true frames."""
    size = EpisodeStore.open(job.data).meta.image_size
    start_run(job.out, job, {}, command, None)
    ruler = train_ruler(open_frames(job.data, size), size, job.loop, job.batch, job.out)
    finish_run(job.out)
    held = held_out("pick_place", 10, size)
    off = off_by(ruler, np.asarray(held.robot), held.state)
    print(f"held-out true frames of pick_place: median {np.median(off):.2f} pixels")
