"""Options of an agent on the command line of whoever runs it.

An agent that has settings names a frozen dataclass of them as its class attribute `Options`. A program that
takes `--policy` then takes the fields of that dataclass as well, with their docstrings in `--help`, and knows
nothing of any of them.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import tyro

from h2r_bench.cli import parse
from h2r_bench.policies.catalog import AgentLoadError, find_agent
from h2r_bench.types import options_of

Config = TypeVar("Config")


def parse_command(
    config_class: type[Config], argv: Sequence[str], *, prog: str, description: str | None
) -> tuple[Config, Any]:
    """The program's configuration and the options of the agent that `--policy` names (None if it has none).

    Exits with status 2, as tyro does, for options that neither has.

    Raises:
        UnknownNameError: there is no such agent.
        AgentLoadError: it cannot be imported, or one of its options has the name of one of the program's.
        ValueError: a value that the configuration or the options refuse.
    """
    policy = _policy_in(argv)
    options_class = None if policy is None else options_of(find_agent(policy).find())
    if options_class is None:
        return parse(config_class, prog=prog, description=description, args=argv), None
    _check_names(config_class, options_class)
    fields = [
        ("program", Annotated[config_class, tyro.conf.OmitArgPrefixes]),
        ("agent", Annotated[options_class, tyro.conf.OmitArgPrefixes]),
    ]
    both: Any = dataclasses.make_dataclass("Command", fields, frozen=True)
    # The policy belongs to the name of the program, since `--help` without it lists fewer options.
    command = parse(both, prog=f"{prog} --policy {policy}", description=description, args=argv)
    return command.program, command.agent


def _policy_in(argv: Sequence[str]) -> str | None:
    """The value of `--policy`, if it is there."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    finder.add_argument("--policy")
    try:
        policy: str | None = finder.parse_known_args(list(argv))[0].policy
    except argparse.ArgumentError:  # without its value: the real parser says so
        return None
    return policy


def _check_names(config_class: Any, options_class: Any) -> None:
    names = [{field.name for field in dataclasses.fields(each)} for each in (config_class, options_class)]
    if common := sorted(names[0] & names[1]):
        raise AgentLoadError(
            f"{options_class.__qualname__}: the options {', '.join(common)} are the program's own"
        )
