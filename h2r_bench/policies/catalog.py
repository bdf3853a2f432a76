"""The agents by name. Nothing heavy is imported until an agent is loaded."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from h2r_bench import extras
from h2r_bench.registry import Registry
from h2r_bench.types import Agent, AgentError, has_weights, options_of

if TYPE_CHECKING:
    from pathlib import Path

ENTRY_POINT_GROUP = "h2r_bench.policies"
"""Other distributions add agents under this entry-point group, as "module:Class"."""


PRIVILEGED = ("expert", "replay")
"""Of this package's agents, those with a `bind`: see `h2r_bench.types.PrivilegedAgent`."""


class AgentLoadError(ValueError):
    """An agent could not be loaded; the message says why."""


@dataclass(frozen=True)
class _NoOptions:
    """What an agent without options takes."""


@dataclass(frozen=True)
class AgentSpec:
    """Where an agent is found."""

    target: str
    """The class, as "package.module:Class"."""
    summary: str = ""
    """One line for `--help` and tables."""
    privileged: bool = False
    """Whether it looks into the simulator: such agents are ceilings, not competitors."""

    def load(self, weights: Path | None = None, options: Any = None) -> Agent:
        """Import the class and make the agent, from `weights` or, without, from those it ships with.

        A class with a `from_pretrained(path or None)` has weights; any other is called without arguments. One
        with `Options` (see `h2r_bench.policies.options`) is handed `options`, or its defaults, as well.

        Raises:
            AgentLoadError: there is no such class, or it is no agent, or takes no weights, or needs options,
                or cannot start.
        """
        agent_class = self.find()
        options_class = options_of(agent_class)
        if options is None and options_class is not None:
            if missing := self.required_options():
                raise AgentLoadError(f"{self.target} needs the options {', '.join(missing)}")
            options = options_class()
        arguments = () if options is None else (options,)
        try:
            if has_weights(agent_class):
                agent = agent_class.from_pretrained(weights, *arguments)
            elif weights is not None:
                raise AgentLoadError(f"{self.target} has no weights to load, so --weights makes no sense")
            else:
                agent = agent_class(*arguments)
        except AgentError as error:
            raise AgentLoadError(str(error)) from error
        if not isinstance(agent, Agent):
            raise AgentLoadError(f"{self.target} is no agent: it needs the methods reset and predict")
        return agent

    def required_options(self) -> list[str]:
        """Names of the agent's options that have no default. Raises AgentLoadError."""
        fields = dataclasses.fields(options_of(self.find()) or _NoOptions)
        unset = dataclasses.MISSING
        return [field.name for field in fields if field.default is unset and field.default_factory is unset]

    def find(self) -> Any:
        """The class itself. Raises AgentLoadError."""
        module_name, _, class_name = self.target.partition(":")
        try:
            with extras.explained():
                module = importlib.import_module(module_name)
        except ImportError as error:
            raise AgentLoadError(f"cannot import {module_name!r} for {self.target!r}: {error}") from error
        if not hasattr(module, class_name):
            raise AgentLoadError(f"module {module_name!r} has no {class_name!r}")
        return getattr(module, class_name)


def registered() -> Registry[AgentSpec]:
    """This package's agents, then those that other distributions declare; ours keep their names."""
    agents: Registry[AgentSpec] = Registry("policy")
    ours = {
        "h2r": ("h2r_bench.policies.h2r.agent:H2RAgent", "Human2Robot, compact preset"),
        "h2r_knn": (
            "h2r_bench.policies.knn.agent:KNNAgent",
            "h2r that follows the video of the most similar training scene, not the one shown",
        ),
        "h2r_no_pretrain": (
            "h2r_bench.policies.h2r.agent:NoPretrainAgent",
            "h2r behind a VPM at its initial parameters, which does not see the human",
        ),
        "h2r_no_pretrain_seeing": (
            "h2r_bench.policies.h2r.agent:NoPretrainSeeingAgent",
            "the same, the human let through by a Gaussian projection",
        ),
        "human_decoder": (
            "h2r_bench.policies.h2r.agent:HumanDecoderAgent",
            "h2r's decoder on ResNet18 features of the human video",
        ),
        "diffusion_policy": (
            "h2r_bench.policies.baselines.diffusion_policy.agent:DiffusionPolicyAgent",
            "Diffusion Policy: robot image, state and the task in words; no video",
        ),
        "xskill": (
            "h2r_bench.policies.baselines.xskill.agent:XSkillAgent",
            "XSkill: skills that human and robot share, from videos that are not paired",
        ),
        "vpp": (
            "h2r_bench.policies.h2r.agent:VPPAgent",
            "Video Prediction Policy: h2r's parts told the task in words; no human video",
        ),
        "blind": ("h2r_bench.policies.h2r.agent:BlindAgent", "h2r's decoder without any video"),
        "hand_tracker": (
            "h2r_bench.policies.baselines.hand_tracker.agent:HandTrackerAgent",
            "reads the hand's pose from each frame and goes there, open loop",
        ),
        "expert": ("h2r_bench.policies.expert:ExpertAgent", "scripted, privileged: the ceiling"),
        "replay": ("h2r_bench.policies.replay:ReplayAgent", "tracks the true hand open loop, privileged"),
        "random": ("h2r_bench.policies.random_agent:RandomAgent", "looks at nothing: the floor"),
    }
    for name, (target, summary) in ours.items():
        agents.add(name, AgentSpec(target, summary, privileged=name in PRIVILEGED))
    agents.add(
        "remote", AgentSpec("h2r_bench.remote.client:RemoteAgent", "a policy server, by openpi's protocol")
    )
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        if point.name not in agents.names():
            agents.add(point.name, AgentSpec(point.value, f"from {point.dist.name if point.dist else '?'}"))
    return agents


AGENTS = registered()


def find_agent(name: str) -> AgentSpec:
    """The agent called `name`, or the class "package.module:Class". Raises UnknownNameError."""
    if ":" in name:
        return AgentSpec(name, "given on the command line")
    return AGENTS.get(name)
