"""Who sets up the scenes, shows the task and judges: a person, or the twin's simulator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from h2r_bench.real.operator.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from h2r_bench.real.scene_cards.cards import SceneCard
    from h2r_bench.types import Demonstration


class Answer(Enum):
    """What the supervisor wants next."""

    GO = "go"
    """The scene stands, the table is clear of hands."""
    UNDO = "undo"
    """Take the last verdict back and judge again."""
    QUIT = "quit"
    """Stop here; the session goes on another time."""


@dataclass(frozen=True)
class Void:
    """A run that does not count and is repeated."""

    reason: str


class Operator(Protocol):
    """Serves one session."""

    scene_handle: Any
    """What a privileged agent is bound to; None where there is no simulator to look into."""

    def check(self, cards: Sequence[SceneCard]) -> None:
        """Raise SetupError for what would stop the session later: missing or unfit demonstrations."""

    def demonstration(self, card: SceneCard) -> Demonstration:
        """The human video of `card`, at full size."""

    def set_up(self, card: SceneCard, label: str, folder: Path) -> Answer:
        """Have the robot's scene of `card` set up; the arm stands at its start. `folder` is the run's."""

    def judge(self, card: SceneCard, folder: Path, *, fresh: bool, stopped: bool) -> Verdict | Void | Answer:
        """The verdict on the run that has just ended, or, not `fresh`, on one that ended earlier.

        `stopped`: a person stopped the arm. The answer QUIT leaves the run waiting for its verdict.
        """

    def tell(self, message: str) -> None:
        """Something the operator shall know."""

    def progress(self, label: str, step: int, horizon: int, note: str) -> None:
        """How far the trial that runs has come."""
