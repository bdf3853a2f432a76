from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

from h2r_bench.evaluation.runner import RunConfig
from h2r_bench.policies.catalog import AgentLoadError
from h2r_bench.policies.options import parse_command
from h2r_bench.policies.random_agent import RandomAgent
from h2r_bench.registry import UnknownNameError


@dataclass(frozen=True)
class Settings:
    """How it plays."""

    strength: float
    """How hard [N]."""
    gentle: bool = False
    """Whether it minds."""

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise ValueError(f"--strength must not be negative, got {self.strength}")


class Adjustable(RandomAgent):
    Options = Settings


class Colliding(RandomAgent):
    Options = dataclasses.make_dataclass("Theirs", [("seed", int, 0)], frozen=True)


def parse(*argv: str, policy: str = "test_options:Adjustable") -> tuple[RunConfig, Any]:
    return parse_command(
        RunConfig, ["--task", "rotation", "--policy", policy, *argv], prog="prog", description=None
    )


def test_an_agents_options_are_options_of_the_program() -> None:
    config, options = parse("--trials", "3", "--strength", "2.5")
    assert config == RunConfig("rotation", "test_options:Adjustable", trials=3)
    assert options == Settings(2.5)


def test_an_equals_sign_will_do() -> None:
    argv = ["--policy=test_options:Adjustable", "--task=rotation", "--strength=1"]
    assert parse_command(RunConfig, argv, prog="prog", description=None)[1] == Settings(1.0)


def test_agents_without_options() -> None:
    config, options = parse("--seed", "4", policy="random")
    assert (config.seed, options) == (4, None)


def test_help_has_both(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "How hard [N]" in shown
    assert "--trials" in shown
    assert "prog --policy test_options:Adjustable" in shown


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ((), "--strength"),
        (("--strength", "x"), "--strength"),
        (("--strength", "-1"), "must not be negative"),
        (("--strength", "1", "--strenght", "1"), "--strenght"),
    ],
    ids=str,
)
def test_bad_options_exit_with_2(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], text: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(*argv)
    assert caught.value.code == 2
    assert text in capsys.readouterr().err


def test_options_of_another_agent_are_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--strength", "1", policy="random")
    assert "--strength" in capsys.readouterr().err


def test_policy_without_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_command(RunConfig, ["--task", "rotation", "--policy"], prog="prog", description=None)
    assert caught.value.code == 2


def test_names_that_are_taken() -> None:
    with pytest.raises(AgentLoadError, match="the options seed are the program's own"):
        parse(policy="test_options:Colliding")


def test_unknown_agents_teach() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'expert'"):
        parse(policy="exprt")
