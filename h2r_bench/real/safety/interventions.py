"""What the safety layer did, as it is told and logged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Intervention:
    """One thing the safety layer did."""

    time_s: float
    """When, on the session's clock [s]."""
    kind: str
    """What: the name of a limit, or `not_finite`, `rate`, `lead`, `no_command`, `no_frame`, `fault`,
    `emergency_stop`, `stopped`, `holding`, `outside_workspace`, `unreachable`, `loosened`."""
    wanted: tuple[float, ...] | None = None
    """The action as the agent gave it, where there was one."""
    commanded: tuple[float, ...] | None = None
    """Tool position [m] and rotation [rad] that went to the arm instead; None where nothing did."""
    detail: str = ""
    """More, for people."""

    def describe(self) -> dict[str, Any]:
        """JSON-able description; numbers that are not finite become words."""
        record = dataclasses.asdict(self)
        for key in ("wanted", "commanded"):
            if record[key] is not None:
                record[key] = [value if np.isfinite(value) else str(value) for value in record[key]]
        return record


Log = Callable[[Intervention], None]


def numbers_of(action: ArrayLike) -> tuple[float, ...]:
    """What an agent gave, as far as it is numbers."""
    try:
        return tuple(np.asarray(action, np.float64).reshape(-1).tolist())
    except (TypeError, ValueError):
        return ()
