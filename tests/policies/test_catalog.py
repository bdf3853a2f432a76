from __future__ import annotations

import dataclasses
import importlib.metadata
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from h2r_bench.policies import catalog
from h2r_bench.policies.catalog import AGENTS, AgentLoadError, AgentSpec, find_agent
from h2r_bench.policies.random_agent import RandomAgent
from h2r_bench.registry import UnknownNameError
from h2r_bench.types import Agent


class WithWeights(RandomAgent):
    path: Path | None = Path("unset")
    options: Any = None

    @classmethod
    def from_pretrained(cls, path: Path | None) -> WithWeights:
        agent = cls()
        agent.path = path
        return agent


def test_the_first_agents_are_there() -> None:
    assert {"h2r", "expert", "random"} <= set(AGENTS)


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_can_be_found_and_says_what_it_is(name: str) -> None:
    spec = AGENTS.get(name)
    agent_class = spec.find()
    assert callable(agent_class.reset)
    assert callable(agent_class.predict)
    assert spec.summary


def test_a_class_can_be_named_directly() -> None:
    agent = find_agent("h2r_bench.policies.random_agent:RandomAgent").load()
    assert isinstance(agent, RandomAgent)
    assert isinstance(agent, Agent)


@pytest.mark.parametrize("path", [None, Path("some/where")])
def test_weights_reach_the_agent(path: Path | None) -> None:
    agent = AgentSpec("test_catalog:WithWeights").load(path)
    assert isinstance(agent, WithWeights)
    assert agent.path == path


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:Agent", "cannot import 'no_such_module'"),
        ("test_catalog:Nobody", "has no 'Nobody'"),
        ("test_catalog:", "has no ''"),
        ("pathlib:Path", "needs the methods reset and predict"),
    ],
)
def test_what_is_no_agent_is_named(target: str, message: str) -> None:
    with pytest.raises(AgentLoadError, match=message):
        AgentSpec(target).load()


@dataclass(frozen=True)
class Settings:
    url: str
    tries: int = 3


class WithOptions(RandomAgent):
    Options = Settings

    def __init__(self, options: Settings) -> None:
        super().__init__()
        self.options = options


class WithDefaults(WithWeights):
    Options = dataclasses.make_dataclass("Options", [("tries", int, 3)], frozen=True)

    @classmethod
    def from_pretrained(cls, path: Path | None, options: Any = None) -> WithDefaults:
        agent = cls()
        agent.path, agent.options = path, options
        return agent


def test_options_reach_the_agent() -> None:
    agent = AgentSpec("test_catalog:WithOptions").load(options=Settings("x"))
    assert isinstance(agent, WithOptions)
    assert agent.options == Settings("x")


def test_options_that_must_be_given() -> None:
    assert AgentSpec("test_catalog:WithOptions").required_options() == ["url"]
    assert AgentSpec("test_catalog:WithDefaults").required_options() == []
    assert AGENTS.get("random").required_options() == []
    with pytest.raises(AgentLoadError, match="needs the options url"):
        AgentSpec("test_catalog:WithOptions").load()


def test_an_agent_may_have_weights_and_options() -> None:
    agent = AgentSpec("test_catalog:WithDefaults").load(Path("x"))
    assert isinstance(agent, WithDefaults)
    assert agent.path == Path("x")
    assert agent.options == WithDefaults.Options()


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "h2r_bench.remote.client", raising=False)
    monkeypatch.setitem(sys.modules, "websockets.exceptions", None)
    with pytest.raises(AgentLoadError, match=r"pip install 'h2r-bench\[remote\]'"):
        AGENTS.get("remote").find()


def test_needless_weights_are_refused() -> None:
    with pytest.raises(AgentLoadError, match="no weights to load"):
        AGENTS.get("random").load(Path("x"))


def test_unknown_name_teaches() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'expert'\?"):
        find_agent("expart")


def test_other_distributions_add_agents_but_do_not_replace_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        importlib.metadata.EntryPoint("theirs", "their.module:Agent", catalog.ENTRY_POINT_GROUP),
        importlib.metadata.EntryPoint("random", "their.module:Agent", catalog.ENTRY_POINT_GROUP),
    ]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    agents = catalog.registered()
    assert agents.get("theirs").target == "their.module:Agent"
    assert agents.get("random").target == "h2r_bench.policies.random_agent:RandomAgent"


def test_listing_agents_loads_none() -> None:
    code = "import sys, h2r_bench.policies.catalog; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
