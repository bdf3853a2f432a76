"""The verdict on a trial, by the stages of the task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

UNSAFE = "stopped: unsafe"
"""Recorded as the failure of a trial that the operator stopped because of what the policy did."""


@dataclass(frozen=True)
class Verdict:
    """How a trial ended: the fields of a trial record, and a note."""

    success: bool
    progress: float
    """Stages reached, 0..1."""
    failure: str
    """Why it failed; empty after a success."""
    note: str = ""
    """Whatever the judge wants to add."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.progress <= 1.0 or self.success == bool(self.failure):
            raise ValueError(f"a verdict is a success, or has a failure and its progress 0..1: {self}")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def judged(rubric: Sequence[str], reached: int, note: str = "") -> Verdict:
    """The verdict when `reached` stages were reached in order; all of them is success.

    The failure is what the rubric says of the first stage that was not, as the simulator's judge has it.
    """
    if not 0 <= reached <= len(rubric):
        raise ValueError(f"there are 0..{len(rubric)} stages, got {reached}")
    if reached == len(rubric):
        return Verdict(True, 1.0, "", note)
    return Verdict(False, reached / len(rubric), rubric[reached], note)


def stopped_as_unsafe(rubric: Sequence[str], reached: int, note: str = "") -> Verdict:
    """The verdict on a trial that had to be stopped after `reached` stages: a failure."""
    if not 0 <= reached <= len(rubric):
        raise ValueError(f"there are 0..{len(rubric)} stages, got {reached}")
    return Verdict(False, reached / len(rubric), UNSAFE, note)
