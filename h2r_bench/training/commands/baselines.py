"""Training commands of Diffusion Policy and XSkill. (`vpp` is trained by `vpp` and `decoder`.)"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import tyro

from h2r_bench.policies.baselines.diffusion_policy import config as diffusion_policy
from h2r_bench.policies.baselines.diffusion_policy.model import DiffusionPolicyModel
from h2r_bench.policies.baselines.xskill import config as xskill
from h2r_bench.policies.baselines.xskill.config import XSkillConfig
from h2r_bench.policies.baselines.xskill.model import XSkillModel
from h2r_bench.policies.baselines.xskill.skill_encoder import SkillConfig, SkillEncoder
from h2r_bench.policies.common.config_json import to_json
from h2r_bench.training.commands.inputs import BASIC, domain_of, first_model, open_frames, preset_of
from h2r_bench.training.engine.loop import TrainingConfig
from h2r_bench.training.engine.run_metadata import earlier_runs, finish_run, history, start_run
from h2r_bench.training.objectives.diffusion_policy_training import ToldPolicyRecipe, train_diffusion_policy
from h2r_bench.training.objectives.warm_start import start_from_told
from h2r_bench.training.objectives.xskill_training import (
    SkillRecipe,
    XSkillRecipe,
    train_skills,
    train_xskill,
)


@dataclass(frozen=True)
class TrainDiffusionPolicy:
    """Diffusion Policy, told the task in words, for one training domain."""

    data: Path
    """Folder of the paired episodes; of the human's side nothing is read but the words."""
    out: Path
    """Folder of this run."""
    tasks: tuple[str, ...] = BASIC
    """Tasks whose episodes are learnt from, all of one training domain."""
    preset: str = "compact"
    """Sizes of the model."""
    init: Path | None = None
    """Policy to go on from: a run, or the folder of a domain in an agent's weights. Its normalisation
    stays."""
    words: str | None = None
    """Local folder or hub id of the sentence encoder, if not the preset's own."""
    recipe: tyro.conf.OmitArgPrefixes[ToldPolicyRecipe] = field(default_factory=ToldPolicyRecipe)
    loop: tyro.conf.OmitArgPrefixes[TrainingConfig] = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        self.loop.check()


@dataclass(frozen=True)
class TrainXSkill:
    """XSkill. Stage 1: skills shared by human and robot. Stage 2: alignment and policy of one domain."""

    data: Path
    """Folder of the paired episodes; that they are paired is not made use of."""
    out: Path
    """Folder of this run."""
    stage: Literal[1, 2] = 1
    """Stage 1 learns from all videos of `--tasks`, stage 2 starts from `--init`."""
    init: Path | None = None
    """Stage 2: the skills, a run of stage 1. Stage 1: such a run to go on from."""
    policy: Path | None = None
    """Stage 2: alignment and policy to go on from, a run or the folder of a domain in an agent's weights."""
    told: Path | None = None
    """Stage 2: Diffusion Policy whose visual encoder and denoiser are taken over, a run or the folder of a
    domain in an agent's weights: to see the same scenes and act in them need not be learnt twice."""
    tasks: tuple[str, ...] | None = None
    """Tasks whose episodes are learnt from: by default all in stage 1, the seen basic tasks in stage 2, where
    they have to be of one training domain."""
    preset: str = "compact"
    """Sizes of the model."""
    skills: tyro.conf.OmitArgPrefixes[SkillRecipe] = field(default_factory=SkillRecipe)
    recipe: tyro.conf.OmitArgPrefixes[XSkillRecipe] = field(default_factory=XSkillRecipe)
    loop: tyro.conf.OmitArgPrefixes[TrainingConfig] = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        self.loop.check()
        if self.stage == 2 and self.init is None:
            raise ValueError("xskill --stage 2 needs --init, the folder of stage 1")
        for name in ("policy", "told"):
            if self.stage == 1 and getattr(self, name) is not None:
                raise ValueError(f"xskill --{name} is for stage 2")


def run_diffusion_policy(job: TrainDiffusionPolicy, command: list[str]) -> None:
    """Train Diffusion Policy."""
    domain_of(job.tasks)
    config = preset_of(diffusion_policy.PRESETS, job.preset)
    config = replace(config, language=replace(config.language, source=job.words or config.language.source))
    model = first_model(DiffusionPolicyModel, config, job.init, job.loop.seed)
    initial = earlier_runs(job.init, job.tasks) if job.init else []
    start_run(job.out, job, to_json(config), command, None, initial)
    frames = open_frames(job.data, config.vision.image_size, job.tasks)
    train_diffusion_policy(model, frames, job.loop, job.recipe, job.out)
    finish_run(job.out)


def run_xskill(job: TrainXSkill, command: list[str]) -> None:
    """Train one stage of XSkill."""
    sizes = preset_of(xskill.PRESETS, job.preset)
    if job.stage == 1:
        _run_skills(job, sizes.skills, command)
    else:
        assert job.init is not None
        _run_alignment(replace(job, tasks=job.tasks or BASIC), sizes.policy, job.init, command)
    finish_run(job.out)


def _run_skills(job: TrainXSkill, config: SkillConfig, command: list[str]) -> None:
    encoder = first_model(SkillEncoder, config, job.init, job.loop.seed)
    start_run(job.out, job, to_json(config), command, None, history(job.init) if job.init else [])
    frames = open_frames(job.data, config.image_size, job.tasks or ())
    train_skills(encoder, frames, job.loop, job.skills, job.out)


def _run_alignment(job: TrainXSkill, config: XSkillConfig, init: Path, command: list[str]) -> None:
    tasks = job.tasks or ()
    domain_of(tasks)
    encoder = SkillEncoder.load(init)
    config = replace(config, skill_width=encoder.config.width)
    model = first_model(XSkillModel, config, job.policy, job.loop.seed)
    if job.told is not None:
        start_from_told(model, DiffusionPolicyModel.load(job.told))
    initial = [run for folder in (job.told, job.policy) if folder for run in earlier_runs(folder, tasks)]
    start_run(job.out, job, to_json(config), command, init, initial)
    frames = open_frames(job.data, config.vision.image_size, tasks)
    train_xskill(model, encoder, frames, job.loop, job.recipe, job.out)
