"""The policies of a session, as the command line names them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h2r_bench.cli import parse
from h2r_bench.evaluation.trial import weights_of
from h2r_bench.policies.catalog import AGENTS, find_agent
from h2r_bench.real.cameras.view import View
from h2r_bench.real.errors import SetupError
from h2r_bench.types import DEFAULT_IMAGE_SIZE, Agent, AgentInfo, Observation, PrivilegedAgent, options_of


@dataclass(frozen=True)
class PolicySpec:
    """What `--policy` says: [LABEL=]NAME[,OPTION=VALUE]..."""

    label: str
    """How records call it."""
    name: str
    """Name of an agent, or package.module:Class."""
    options: dict[str, str]
    """Fields of the agent's own `Options`, and `weights`."""

    @staticmethod
    def parse(text: str) -> PolicySpec:
        """Read `h2r`, `h2r,weights=my/weights` or `big=remote,url=ws://gpu:8000`. Raises SetupError."""
        head, *rest = text.split(",")
        label, _, name = head.rpartition("=")
        options = {}
        for part in rest:
            key, equals, value = part.partition("=")
            if not (key and equals):
                raise SetupError(f"--policy {text}: an option has the form name=value, got {part!r}")
            options[key] = value
        if not name:
            raise SetupError(
                f"--policy {text!r}: no name of an agent; the form is [LABEL=]NAME[,OPTION=VALUE]"
            )
        name = name if ":" in name else AGENTS.canonical(name)
        return PolicySpec(label or name, name, options)


@dataclass(frozen=True)
class PolicyUnderTest:
    """One policy, loaded."""

    label: str
    agent: Agent
    weights: str
    """Hash of its weights, or "none"."""
    image_size: tuple[int, int]
    """Width and height of the images it was made for [pixels]."""

    @property
    def privileged(self) -> bool:
        """Whether it looks into the simulator."""
        return isinstance(self.agent, PrivilegedAgent)


def load_policies(texts: Sequence[str], url: str = "") -> list[PolicyUnderTest]:
    """The agents that `--policy` names; `url` goes to those that have such an option and were given none.

    Raises:
        UnknownNameError: no such agent.
        SetupError: one cannot be loaded, or two have the same label.
    """
    specs = [PolicySpec.parse(text) for text in texts]
    labels = [spec.label for spec in specs]
    if not specs:
        raise SetupError("give at least one --policy")
    if len(set(labels)) < len(labels):
        raise SetupError(f"two policies have the same name ({', '.join(labels)}): call one LABEL=NAME")
    return [_load(spec, url) for spec in specs]


def check_policy(
    tested_policy: PolicyUnderTest, view: View, frame: tuple[int, int], *, privileged_allowed: bool
) -> None:
    """Raise SetupError when the bench cannot give what `tested_policy` needs; `frame` is (width, height)."""
    if tested_policy.privileged and not privileged_allowed:
        raise SetupError(
            f"policy {tested_policy.label} looks into the simulator, which a physical arm does not have: "
            "take another, or rehearse with --arm twin"
        )
    given = set(Observation.__annotations__)
    info = AgentInfo.of(tested_policy.agent)
    missing = set(info.reads) - given
    if missing:
        raise SetupError(
            f"policy {tested_policy.label} needs {', '.join(sorted(missing))}; one camera gives "
            f"{', '.join(sorted(given))}"
        )
    if info.needs_images and view.too_coarse(frame, tested_policy.image_size):
        width, height = tested_policy.image_size
        raise SetupError(
            f"policy {tested_policy.label} wants {width} x {height} pixels, the view has fewer: "
            "use a larger --camera-size, or move the camera nearer and aim it again"
        )


def _load(spec: PolicySpec, url: str) -> PolicyUnderTest:
    found = find_agent(spec.name)
    given = dict(spec.options)
    weights = given.pop("weights", None)
    try:
        options = _options(options_of(found.find()), spec, given, url)
        agent = found.load(Path(weights) if weights else None, options)
    except (OSError, ValueError, ImportError) as error:
        raise SetupError(f"cannot load {spec.label}: {' '.join(str(error).split())}") from None
    size = AgentInfo.of(agent).image_size or DEFAULT_IMAGE_SIZE
    return PolicyUnderTest(spec.label, agent, weights_of(agent), (int(size[0]), int(size[1])))


def _options(options_class: Any, spec: PolicySpec, given: dict[str, str], url: str) -> Any:
    """The agent's own options; exits as tyro does for one that it has not."""
    if options_class is None:
        if given:
            raise SetupError(f"policy {spec.name} has no option {', '.join(given)}")
        return None
    if url and "url" in {entry.name for entry in dataclasses.fields(options_class)}:
        given.setdefault("url", url)
    arguments = [word for key, value in given.items() for word in (f"--{key.replace('_', '-')}", value)]
    return parse(options_class, prog=f"--policy {spec.name}", args=arguments)
