"""Configs as JSON and back: frozen dataclasses of sizes."""

from __future__ import annotations

from dataclasses import asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from h2r_bench import ranges

if TYPE_CHECKING:
    from collections.abc import Mapping

C = TypeVar("C")


def to_json(config: Any) -> dict[str, Any]:
    """A config as JSON-able dictionaries."""
    record: dict[str, Any] = asdict(config)
    return record


def from_json(kind: type[C], record: Mapping[str, Any]) -> C:
    """The inverse of `to_json`. Raises ValueError for names `kind` does not have and numbers out of range."""
    unknown = set(record) - {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    if unknown:
        raise ValueError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    hints = get_type_hints(kind)
    config = kind(**{key: _value(hints[key], value) for key, value in record.items()})
    ranges.check(config)
    return config


def _value(hint: Any, value: Any) -> Any:
    kind = next((each for each in (hint, *get_args(hint)) if is_dataclass(each)), None)
    if kind is not None and value is not None:
        return from_json(kind, value)  # type: ignore[arg-type]
    return tuple(value) if isinstance(value, list) else value
