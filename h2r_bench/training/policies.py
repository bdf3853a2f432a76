"""Training commands of the rivals: Diffusion Policy and XSkill. (`vpp` is trained by `vpp` and `decoder`.)"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import tyro

from h2r_bench.policies.h2r.config import to_json
from h2r_bench.policies.rivals import diffusion_policy, xskill
from h2r_bench.policies.rivals.skill_encoder import SkillConfig, SkillEncoder
from h2r_bench.policies.rivals.xskill import XSkillConfig
from h2r_bench.training.diffusion_policy import PolicyRecipe, train_diffusion_policy
from h2r_bench.training.inputs import BASIC, domain_of, open_frames, preset_of
from h2r_bench.training.loop import Loop
from h2r_bench.training.record import finish_run, start_run
from h2r_bench.training.xskill import SkillRecipe, train_skills, train_xskill


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
    words: str | None = None
    """Local folder or hub id of the sentence encoder, if not the preset's own."""
    recipe: tyro.conf.OmitArgPrefixes[PolicyRecipe] = field(default_factory=PolicyRecipe)
    loop: tyro.conf.OmitArgPrefixes[Loop] = field(default_factory=Loop)

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
    """Run of stage 1 (stage 2)."""
    tasks: tuple[str, ...] | None = None
    """Tasks whose episodes are learnt from: by default all in stage 1, the seen basic tasks in stage 2, where
    they have to be of one training domain."""
    preset: str = "compact"
    """Sizes of the model."""
    skills: tyro.conf.OmitArgPrefixes[SkillRecipe] = field(default_factory=SkillRecipe)
    recipe: tyro.conf.OmitArgPrefixes[PolicyRecipe] = field(default_factory=PolicyRecipe)
    loop: tyro.conf.OmitArgPrefixes[Loop] = field(default_factory=Loop)

    def __post_init__(self) -> None:
        self.loop.check()
        if (self.stage == 2) != (self.init is not None):
            raise ValueError("xskill --stage 2 needs --init, the folder of stage 1; stage 1 takes none")


def run_diffusion_policy(job: TrainDiffusionPolicy, command: list[str]) -> None:
    """Train Diffusion Policy."""
    domain_of(job.tasks)
    config = preset_of(diffusion_policy.PRESETS, job.preset)
    config = replace(config, language=replace(config.language, source=job.words or config.language.source))
    start_run(job.out, job, to_json(config), command, None)
    frames = open_frames(job.data, config.vision.image_size, job.tasks)
    train_diffusion_policy(config, frames, job.loop, job.recipe, job.out)
    finish_run(job.out)


def run_xskill(job: TrainXSkill, command: list[str]) -> None:
    """Train one stage of XSkill."""
    sizes = preset_of(xskill.PRESETS, job.preset)
    if job.init is None:
        _run_skills(job, sizes.skills, command)
    else:
        _run_alignment(replace(job, tasks=job.tasks or BASIC), sizes.policy, job.init, command)
    finish_run(job.out)


def _run_skills(job: TrainXSkill, config: SkillConfig, command: list[str]) -> None:
    start_run(job.out, job, to_json(config), command, None)
    frames = open_frames(job.data, config.image_size, job.tasks or ())
    train_skills(config, frames, job.loop, job.skills, job.out)


def _run_alignment(job: TrainXSkill, config: XSkillConfig, init: Path, command: list[str]) -> None:
    domain_of(job.tasks or ())
    encoder = SkillEncoder.load(init)
    config = replace(config, skill_width=encoder.config.width)
    start_run(job.out, job, to_json(config), command, init)
    frames = open_frames(job.data, config.vision.image_size, job.tasks or ())
    train_xskill(config, encoder, frames, job.loop, job.recipe, job.out)
