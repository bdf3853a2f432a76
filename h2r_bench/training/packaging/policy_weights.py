"""Bring policies of Diffusion Policy or XSkill together as weights, one for each training domain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from h2r_bench.policies.baselines.diffusion_policy.model import DiffusionPolicyModel
from h2r_bench.policies.baselines.xskill.model import XSkillModel
from h2r_bench.policies.baselines.xskill.skill_encoder import SkillEncoder
from h2r_bench.training.commands.inputs import domain_of
from h2r_bench.training.engine.run_metadata import finished
from h2r_bench.training.packaging.agent_weights import check_execute, clear, facts_of, merged, seal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from h2r_bench.policies.common.stored_module import Stored


@dataclass(frozen=True)
class Kind:
    """What a policy's run holds."""

    policy: type[Stored]
    """The part of each domain."""
    shared: type[Stored] | None
    """The part that all domains share."""
    title: str
    """What the agent is, for its README."""


KINDS = (
    Kind(DiffusionPolicyModel, None, "an agent that is told the task: Diffusion Policy"),
    Kind(XSkillModel, SkillEncoder, "an agent that follows skills: XSkill"),
)


@dataclass(frozen=True)
class PolicyRun:
    """The run of a policy that is to be packed."""

    folder: Path
    runs: list[dict[str, Any]]
    """It and those before it, oldest first."""

    @classmethod
    def open(cls, folder: Path) -> PolicyRun:
        """Read its record. Raises DatasetError for a run that did not finish."""
        return cls(folder, finished(folder))

    @property
    def kind(self) -> Kind:
        """What it holds. Raises ValueError for the run of something else."""
        found = [kind for kind in KINDS if (self.folder / f"{kind.policy.name}.json").is_file()]
        if len(found) != 1:
            raise ValueError(
                f"{self.folder} is the run of no policy: train diffusion_policy or xskill --stage 2"
            )
        return found[0]

    @property
    def domain(self) -> str:
        """Training domain of its tasks."""
        return domain_of(self.runs[-1]["config"]["tasks"])


def pack_policies(folders: Sequence[Path], execute: int, out: Path) -> list[str]:
    """Write float16 weights, `manifest.json` and `README.md` into `out`; returns the names of the files.

    Args:
        folders: runs of policies of one kind, each of another training domain.
        execute: actions of a chunk that are executed before the next one is predicted.
        out: folder of the weights; what an older manifest lists there is replaced.
    """
    opened = [PolicyRun.open(folder) for folder in folders]
    kind = _one_kind(opened)
    loaded: list[Any] = [kind.policy.load(run.folder) for run in opened]
    check_execute(execute, min(model.config.unet.chunk for model in loaded))
    clear(out)
    domains = {run.domain: "." if run is opened[0] else run.domain for run in opened}
    for run, model in zip(opened, loaded, strict=True):
        model.save(out / domains[run.domain], torch.float16)
    if kind.shared is not None:
        kind.shared.load(opened[0].folder).save(out, torch.float16)
    runs = merged([run.runs for run in opened])
    names = " ".join(str(folder) for folder in folders)
    command = f"python -m h2r_bench.train pack --policy {names} --execute {execute} --out {out}"
    return seal(out, {"domains": domains, **facts_of(runs, execute)}, runs, kind.title, command)


def _one_kind(opened: Sequence[PolicyRun]) -> Kind:
    """What all of `opened` are. Raises ValueError for policies that do not belong together."""
    kinds = [run.kind for run in opened]
    domains = [run.domain for run in opened]
    if any(kind is not kinds[0] for kind in kinds):
        raise ValueError("the policies of one agent are of one kind")
    if len(set(domains)) != len(domains):
        raise ValueError(f"one policy for each training domain: these are of {', '.join(domains)}")
    if any(run.runs[:-1] != opened[0].runs[:-1] for run in opened):
        raise ValueError("the policies of one agent build on one and the same run of stage 1")
    return kinds[0]
