"""An arm that brings a simulated world of its own (the twin): the world sets up, shows and judges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rich.console import Console

from h2r_bench.real.cameras.base import Frame
from h2r_bench.real.operator.base import Answer, Void
from h2r_bench.real.operator.verdict import Verdict
from h2r_bench.real.scene_cards.cards import SceneCard
from h2r_bench.types import Demonstration


class Shown(Protocol):
    """A scene that was put up."""

    @property
    def demonstration(self) -> Demonstration:
        """The human video of it."""


class SimulatedWorld(Protocol):
    """The simulated world behind an arm.

    It is also what privileged agents are bound to, with what they ask of an environment.
    """

    def set_scene(self, task: str, seed: int, trial: int, *, cue: str, shift_cm: float) -> Shown:
        """Put up the scene of one trial; `seed` is the trial's. The arm stays where it is."""

    def frame(self) -> Frame:
        """What the simulated camera sees now."""

    def newest_frame_s(self) -> float:
        """When that picture was taken [s], without drawing it; answers at once."""

    def verdict(self) -> dict[str, Any]:
        """`is_success`, `progress` and `failure`, judged by everything since the scene was put up."""


@runtime_checkable
class SimulatedArm(Protocol):
    """An arm with a world of its own."""

    twin: SimulatedWorld


class SimulatedOperator:
    """A `Supervisor` that needs nobody: the simulator shows the task and gives the verdict."""

    def __init__(self, world: SimulatedWorld, console: Console) -> None:
        """Serve a session in `world`; faults are told on `console`."""
        self.scene_handle: Any = world
        self._world, self._console = world, console
        self._demonstration: Demonstration | None = None

    def check(self, cards: Sequence[SceneCard]) -> None:
        """Nothing can be missing."""

    def set_up(self, card: SceneCard, label: str, folder: Path) -> Answer:
        """Have the world put up the scene of `card`."""
        scene = self._world.set_scene(card.task, card.seed, card.trial, cue=card.cue, shift_cm=card.shift_cm)
        self._demonstration = scene.demonstration
        return Answer.GO

    def demonstration(self, card: SceneCard) -> Demonstration:
        """What the simulated hand shows in the scene that stands."""
        assert self._demonstration is not None, "set_up comes first"
        return self._demonstration

    def judge(self, card: SceneCard, folder: Path, *, fresh: bool, stopped: bool) -> Verdict | Void | Answer:
        """The simulator's verdict; the world of a run that ended in another process is gone."""
        if not fresh:
            return Void("the program ended before the verdict, and the simulated scene with it")
        if stopped:
            return Void("stopped")
        found = self._world.verdict()
        success = bool(found["is_success"])
        return Verdict(success, float(found["progress"]), "" if success else str(found["failure"]))

    def tell(self, message: str) -> None:
        """Print it."""
        self._console.print(message, highlight=False, soft_wrap=True)

    def progress(self, label: str, step: int, horizon: int, note: str) -> None:
        """One line that is written over, in a terminal only."""
        if self._console.is_terminal:
            self._console.print(f"{label}: step {step} of {horizon}  {note}   ", end="\r", highlight=False)
