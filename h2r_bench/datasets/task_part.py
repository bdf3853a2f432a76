"""What the summary of a dataset says of one task: its episodes, their lengths and speeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from h2r_bench.types import FloatArray


@dataclass(frozen=True)
class EpisodeRow:
    """What the page says of one episode; found without decoding its videos."""

    facts: dict[str, Any]
    """Task, instruction, seed, cue and the like."""
    speeds: FloatArray
    """Shape (T - 1,): speed of the tool from each step to the next [m/s]."""
    opened: FloatArray
    """Shape (T,): 1 where the gripper is told to open, else 0."""

    def __len__(self) -> int:
        return len(self.opened)


@dataclass(frozen=True)
class TaskPart:
    """The episodes of one task."""

    name: str
    color: str
    positions: list[int]
    """Where in the dataset they are."""
    rows: list[EpisodeRow]

    @property
    def lengths(self) -> list[int]:
        """Steps of each episode."""
        return [len(row) for row in self.rows]

    @property
    def speeds(self) -> FloatArray:
        """Tool speeds of all steps of all episodes, shape (N,) [m/s]."""
        return np.concatenate([row.speeds for row in self.rows])

    @property
    def opened(self) -> float:
        """Share of steps at which the gripper is told to open."""
        return float(np.concatenate([row.opened for row in self.rows]).mean())

    @property
    def instructions(self) -> int:
        """How many different instructions there are."""
        return len({row.facts["instruction"] for row in self.rows})
