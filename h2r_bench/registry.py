"""Named things (tasks, agents) with errors that teach."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


class UnknownNameError(ValueError):
    """A name nobody registered; the message lists the valid ones and suggests the nearest."""

    def __init__(self, kind: str, name: str, valid: list[str]) -> None:
        super().__init__(
            f"Unknown {kind} {name!r}.{nearest(name, valid)} Valid {kind} names: {', '.join(valid)}."
        )


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint at the nearest valid name, to go behind a full stop; empty when none is near."""
    near = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


class Registry(Generic[T]):
    """Names to values, in order of registration, with aliases."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._values: dict[str, T] = {}
        self._aliases: dict[str, str] = {}

    def add(self, name: str, value: T, *, aliases: tuple[str, ...] = ()) -> T:
        """Register `value` under `name`. Raises ValueError when a name is taken."""
        for new in (name, *aliases):
            if new in self._values or new in self._aliases:
                raise ValueError(f"{self.kind} {new!r} is already registered")
        self._values[name] = value
        self._aliases.update(dict.fromkeys(aliases, name))
        return value

    def canonical(self, name: str) -> str:
        """The registered name behind `name` (an alias or itself). Raises UnknownNameError."""
        name = self._aliases.get(name, name)
        if name not in self._values:
            raise UnknownNameError(self.kind, name, self.names())
        return name

    def get(self, name: str) -> T:
        """The value of `name`. Raises UnknownNameError."""
        return self._values[self.canonical(name)]

    def names(self) -> list[str]:
        """All registered names, in order of registration."""
        return list(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
