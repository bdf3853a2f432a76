"""Numbers from a command line or a file: each is finite and in the range its field says, or refused.

A range is written once, where the number is: `speed: Annotated[float, Range(0.0)]`, or by one of the names
below. A number of a dataclass without one must be finite.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_type_hints


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    """Whether `low` itself is outside."""

    def __contains__(self, value: object) -> bool:
        """NaN and the infinities are in no range."""
        if not isinstance(value, int | float) or not math.isfinite(value):
            return False
        return self.low <= value <= self.high and not (self.above and value == self.low)

    def __str__(self) -> str:
        """As in "must be ..."."""
        low, high = f"{self.low:g}", f"{self.high:g}"
        if math.isinf(self.low) and math.isinf(self.high):
            return "a finite number"
        if math.isinf(self.high):
            return f"above {low}" if self.above else f"{low} or more" if self.low == 0 else f"at least {low}"
        if math.isinf(self.low):
            return f"at most {high}"
        return f"above {low}, at most {high}" if self.above else f"between {low} and {high}"


ANY = Range()
Positive = Annotated[float, Range(0.0, above=True)]
NotNegative = Annotated[float, Range(0.0)]
Share = Annotated[float, Range(0.0, 1.0)]
Count = Annotated[int, Range(1)]
"""How many of something that there must be."""
Index = Annotated[int, Range(0)]
"""A number counted from 0, a seed among them."""
Port = Annotated[int, Range(0, 65535)]
Size = Annotated[int, Range(0, 65536)]
"""One side of what a model is made of: channels, tokens, frames."""
Layers = Annotated[int, Range(0, 256)]
"""How often a part of a model is repeated."""
Pixels = Annotated[int, Range(16, 8192)]
"""Side of an image [pixels]."""


class RangeError(ValueError):
    """A number that is not finite or out of its range."""


def problems(config: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with the numbers of a dataclass and of those in it: a field's names, what it must be."""
    kind: Any = type(config)
    ranges = _ranges(kind)
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from (((entry.name, *path), what) for path, what in problems(value))
        elif bad := [each for each in _numbers(value) if each not in ranges[entry.name]]:
            yield (entry.name,), f"must be {ranges[entry.name]}, got {bad[0]}"


def check(config: Any, what: str = "") -> None:
    """Raise RangeError naming the first number of a dataclass that is not finite or out of its range.

    `what` comes before the name of its field.
    """
    for path, problem in problems(config):
        raise RangeError(f"{what}{'.'.join(path)} {problem}")


def _numbers(value: Any) -> Iterator[float]:
    """The numbers in a field's value; booleans are none."""
    if isinstance(value, tuple | list):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


@cache
def _ranges(kind: Any) -> dict[str, Range]:
    hints = get_type_hints(kind, include_extras=True)
    return {entry.name: _range_in(hints[entry.name]) or ANY for entry in dataclasses.fields(kind)}


def _range_in(hint: Any) -> Range | None:
    """The range that a type hint carries, at whatever depth."""
    if isinstance(hint, Range):
        return hint
    found = (_range_in(each) for each in (*getattr(hint, "__metadata__", ()), *get_args(hint)))
    return next(filter(None, found), None)
