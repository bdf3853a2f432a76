"""What the command lines share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeVar, get_args, get_type_hints

import tyro

from h2r_bench import ranges
from h2r_bench.types import one_line

Config = TypeVar("Config")

BAD_INPUT, NOT_FINISHED, INTERRUPTED = 2, 3, 130
"""Exit statuses: refused as given; stopped before the end, by a fault or on request; Ctrl-C."""


def refused(error: BaseException) -> int:
    """Say in one line why a command is refused; returns the exit status."""
    print(f"error: {one_line(error)}", file=sys.stderr)
    return BAD_INPUT


def parse(
    kind: type[Config], *, prog: str, description: str | None = None, args: Sequence[str] | None = None
) -> Config:
    """The configuration that `args` describe, by default the program's own arguments.

    Exits with status 2, as tyro does, for options there are not and values that are none.

    Raises:
        RangeError: a number is not finite or out of its range; the message is one line.
    """
    words = None if args is None else list(args)
    config: Config = tyro.cli(kind, prog=prog, description=description, args=words)
    if problem := number_problem(config):
        raise ranges.RangeError(problem)
    return config


def number_problem(config: Any) -> str:
    """The first number of a configuration that is not finite or out of its range, in one line; else empty."""
    for path, what in ranges.problems(config):
        return f"--{_option(type(config), path)} {what}"
    return ""


def _option(kind: Any, path: Sequence[str]) -> str:
    """How tyro calls the field at `path`: some configurations lend their options no prefix."""
    hint = get_type_hints(kind, include_extras=True)[path[0]]
    name = path[0].replace("_", "-")
    if len(path) == 1:
        return name
    annotations = getattr(hint, "__metadata__", ())
    inner = get_args(hint)[0] if annotations else hint
    return ("" if tyro.conf.OmitArgPrefixes in annotations else f"{name}.") + _option(inner, path[1:])
