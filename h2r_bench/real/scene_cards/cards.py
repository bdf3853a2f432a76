"""Scene cards: what to put where, for a person to repeat on a table what the simulator draws from a seed."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from h2r_bench.envs.scene.compiled import PropSpec, SceneSpec
from h2r_bench.envs.tasks import TASKS, Cue
from h2r_bench.evaluation.trial import trial_seed
from h2r_bench.motion import ToolPose
from h2r_bench.real.errors import SetupError
from h2r_bench.real.scene_cards.outline import Outline, outlines
from h2r_bench.types import MotionLimits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from h2r_bench.envs.env import TabletopEnv


@dataclass(frozen=True)
class SceneCard:
    """One trial's scene, as the simulator draws it for the same task, cue, shift and seed."""

    task: str
    """Id of the task."""
    cue: str
    shift_cm: float
    trial: int
    """Index from 0."""
    seed: int
    """The trial's own."""
    instruction: str
    human_scene: SceneSpec
    """Where the human shows it."""
    robot_scene: SceneSpec
    """Where the robot does it: put back as a person would, and shifted where the run says so."""
    outlines: tuple[Outline, ...]
    """The shape of each prop, in the scenes' order."""
    start: ToolPose
    """Where the tool starts."""
    rubric: tuple[str, ...]
    """What is said of a trial that did not reach stage 1, 2, ...; reaching all of them is success."""
    limits: MotionLimits
    """The task's motion limits."""

    def describe(self) -> dict[str, Any]:
        """JSON-able description, for the log of a trial."""
        names = ("task", "cue", "shift_cm", "trial", "seed", "instruction")
        scenes = {"human": self.human_scene.describe(), "robot": self.robot_scene.describe()}
        return {**{name: getattr(self, name) for name in names}, "scene": scenes}


@dataclass(frozen=True)
class Placement:
    """Where one thing goes, in a lab's words."""

    name: str
    size_cm: str
    """Length, width and height."""
    forward_cm: float
    """From the robot's base, along the table."""
    left_cm: float
    """To the robot's left."""
    turn_deg: float
    """Of its long axis, from straight ahead of the robot, counter-clockwise seen from above."""
    movable: bool


def placements(scene: SceneSpec, shapes: Sequence[Outline]) -> list[Placement]:
    """Where each thing of `scene` goes."""
    return [_placement(prop, shape) for prop, shape in zip(scene.props, shapes, strict=True)]


def _placement(prop: PropSpec, outline: Outline) -> Placement:
    finish = "" if prop.finish == "plain" else f"{prop.finish} "
    size = " x ".join(f"{100 * side:.1f}" for side in outline.extent)
    turn = math.remainder(prop.yaw, prop.shape.symmetry) if prop.shape.symmetry else 0.0
    place = (round(100 * prop.x, 1), round(100 * prop.y, 1), round(math.degrees(turn), 0) + 0.0)
    return Placement(finish + prop.name, size, *place, prop.shape.free)


def draw_cards(task: str, *, cue: Cue, shift_cm: float, seed: int, trials: int) -> list[SceneCard]:
    """The cards of a run: trial for trial what `python -m h2r_bench.run` plays with the same arguments.

    Raises:
        UnknownNameError: there is no such task.
        SetupError: the task has no protocol for a physical arm; the message says why and what to do.
    """
    refuse_unreal(task)
    return list(_draw(TASKS.canonical(task), cue, shift_cm, seed, trials))


def refuse_unreal(task: str) -> None:
    """Raise SetupError when `task` has no protocol for an arm, UnknownNameError when it does not exist."""
    reason = TASKS.get(task).unreal
    if reason:
        real = [name for name in TASKS if not TASKS.get(name).unreal]
        raise SetupError(
            f"{task} has no protocol on an arm: {reason}. Tasks that have one: {', '.join(real)}"
        )


def _draw(task: str, cue: Cue, shift_cm: float, seed: int, trials: int) -> Iterator[SceneCard]:
    from h2r_bench.envs.env import TabletopEnv

    env = TabletopEnv(task, cue=cue, shift_cm=shift_cm, obs="state")  # the environment itself draws
    for trial in range(trials):
        env.reset(seed=trial_seed(seed, trial), options={"trial": trial})
        yield _card(env, task, seed, trial)


def _card(env: TabletopEnv, task: str, seed: int, trial: int) -> SceneCard:
    pair = env.pair
    stages = env.task.stages(env.trace, pair.robot_scene, pair.goal)
    return SceneCard(
        task=task,
        cue=env.cue,
        shift_cm=env.shift_cm,
        trial=trial,
        seed=trial_seed(seed, trial),
        instruction=env.instruction,
        human_scene=pair.human_scene,
        robot_scene=pair.robot_scene,
        outlines=outlines(pair.stage, pair.robot_scene.props),
        start=env.simulation.target,
        rubric=tuple(failure for failure, _ in stages),
        limits=env.task.limits,
    )


def shopping_list(cards: Sequence[SceneCard]) -> list[tuple[str, str, int]]:
    """Everything a session needs: name, size [cm], and how many of it in one scene at most."""
    most: Counter[tuple[str, str]] = Counter()
    for card in cards:
        here = Counter((each.name, each.size_cm) for each in placements(card.robot_scene, card.outlines))
        most |= here
    return [(name, size, count) for (name, size), count in sorted(most.items())]
