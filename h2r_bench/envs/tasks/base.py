"""What a task is: a scene to draw, a script to solve it, a judge."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from h2r_bench.envs.demonstration.script import Style, Waypoint
from h2r_bench.envs.scene.compiled import SceneSpec
from h2r_bench.envs.scene.splits import TRAIN, SceneDistribution
from h2r_bench.envs.simulation import Snapshot
from h2r_bench.envs.writing.ink import Lines
from h2r_bench.motion import ToolPose
from h2r_bench.registry import Registry
from h2r_bench.types import CONTROL_HZ, DEFAULT_LIMITS, MotionLimits

Cue = Literal["scene", "video"]
CUES: tuple[Cue, ...] = ("scene", "video")
"""`scene`: the scene itself says what to do. `video`: only the demonstration, or the words, say which."""

HOLD_STEPS = round(0.5 * CONTROL_HZ)
"""Success must hold for this long at the end [control steps]."""

Milestone = tuple[str, Callable[[], bool]]
"""A stage of a task: what failed if it is not reached, and whether it is. Asked only when its turn comes."""

_STILL = 0.004
"""An object at rest moves less than this per control step [m]."""


@dataclass(frozen=True)
class Goal:
    """What is to be done with which prop."""

    subject: int
    """Index of the prop that is moved."""
    target: int
    """Index of the prop that marks where to."""
    angle: float = 0.0
    """Rotation tasks: signed turn from where the subject starts [rad]."""
    text: str = ""
    """Writing: what is written."""
    strokes: Lines = ()
    """Writing: the lines to be written, in the paper's frame [m]."""

    def describe(self) -> dict[str, Any]:
        """JSON-able description."""
        return asdict(self)


@dataclass(frozen=True)
class Judgement:
    """How a trial stands."""

    success: bool
    progress: float
    """Stages reached in order, 0..1."""
    failure: str
    """Why not, empty on success."""


class TaskSource(Protocol):
    """What a task's name stands for: a task, or several that take turns."""

    @property
    def name(self) -> str:
        """Id of the task."""

    @property
    def domain(self) -> str:
        """Training domain: `basic` or `writing`."""

    @property
    def unreal(self) -> str:
        """Why it has no protocol on a physical arm; empty where a person can set it up and judge it."""

    @property
    def has_other_goals(self) -> bool:
        """Whether its scenes with the cue `video` hold more than one goal."""

    def variant(self, rng: np.random.Generator, trial: int | None) -> Task:
        """The task that trial number `trial` plays; without a number one is drawn."""


class Task(ABC):
    """One task, drawn from one look. Nothing of a trial is kept in it: that is scene, goal and trace."""

    name: str
    """Id of the task."""
    domain: ClassVar[str] = "basic"
    """Which training domain it belongs to: `basic` or `writing`."""
    unreal: ClassVar[str] = ""
    """Why it has no protocol on a physical arm; empty where a person can set it up and judge it."""

    has_other_goals: bool = False
    """Whether its scenes with the cue `video` hold more than one goal, see `other_goals`."""

    def __init__(self, distribution: SceneDistribution = TRAIN) -> None:
        self.distribution = distribution

    limits: MotionLimits = DEFAULT_LIMITS
    """Motion limits of the tool in this task."""

    def start_pose(self, scene: SceneSpec, goal: Goal, style: Style) -> ToolPose:
        """Where the tool starts."""
        return style.start_pose

    def variant(self, rng: np.random.Generator, trial: int | None) -> Task:
        """This task, whatever the trial."""
        return self

    @abstractmethod
    def sample(self, rng: np.random.Generator, cue: Cue) -> tuple[SceneSpec, Goal]:
        """Draw a scene and what to do in it."""

    def other_goals(self, scene: SceneSpec, goal: Goal) -> list[Goal]:
        """What else could be done in `scene`, that shows no more of it than `goal`."""
        return []

    @abstractmethod
    def instruction(self, scene: SceneSpec, goal: Goal) -> str:
        """The task in words."""

    @abstractmethod
    def plan(self, snapshot: Snapshot, scene: SceneSpec, goal: Goal) -> list[Waypoint]:
        """The script that solves it from `snapshot` on."""

    @abstractmethod
    def stages(self, trace: Sequence[Snapshot], scene: SceneSpec, goal: Goal) -> list[Milestone]:
        """The stages on the way, in order, each with what failed if it was not reached."""

    def potential(self, snapshot: Snapshot, scene: SceneSpec, goal: Goal) -> float:
        """How near to success the world is [m], higher is nearer: what the dense reward rewards gaining."""
        reach = np.linalg.norm(snapshot.tool_position - snapshot.prop_position[goal.subject])
        return -float(0.5 * reach + planar_distance(snapshot, goal.subject, goal.target))

    def judge(self, trace: Sequence[Snapshot], scene: SceneSpec, goal: Goal) -> Judgement:
        """Judge a trial by all its snapshots, the end being the last `HOLD_STEPS` of them."""
        stages = self.stages(trace, scene, goal)
        # Stages come in order: what holds after a missed one (say, at rest) was not reached by doing.
        for number, (failure, reached) in enumerate(stages):
            if not reached():
                return Judgement(False, number / len(stages), failure)
        return Judgement(True, 1.0, "")


@dataclass(frozen=True)
class Mixture:
    """Several tasks under one name, mixed evenly by trial index."""

    name: str
    variants: tuple[Task, ...]
    domain: str = "basic"
    unreal: str = ""
    """Why it has no protocol on a physical arm; empty where a person can set it up and judge it."""

    @property
    def has_other_goals(self) -> bool:
        """Whether the scenes of all of them do."""
        return all(variant.has_other_goals for variant in self.variants)

    def variant(self, rng: np.random.Generator, trial: int | None) -> Task:
        """Trial 0 plays the first variant, trial 1 the second, and so on round."""
        index = int(rng.integers(len(self.variants))) if trial is None else trial % len(self.variants)
        return self.variants[index]


def other_pairs(scene: SceneSpec, goal: Goal) -> list[Goal]:
    """Every other pair of subject and target in a scene of as many subjects as targets, subjects first."""
    half = len(scene.props) // 2
    every = (Goal(subject, target) for subject in range(half) for target in range(half, 2 * half))
    return [other for other in every if (other.subject, other.target) != (goal.subject, goal.target)]


TASKS: Registry[TaskSource] = Registry("task")


def released(trace: Sequence[Snapshot], index: int) -> bool:
    """Whether the gripper was clear of prop `index` for the whole end of the trace."""
    return not any(snapshot.touched[index] for snapshot in trace[-HOLD_STEPS:])


def still(trace: Sequence[Snapshot], index: int) -> bool:
    """Whether prop `index` rested for the whole end of the trace."""
    end = [snapshot.prop_position[index] for snapshot in trace[-HOLD_STEPS:]]
    return all(math.dist(before, after) < _STILL for before, after in itertools.pairwise(end))


def ever_touched(trace: Sequence[Snapshot], index: int) -> bool:
    """Whether the gripper ever touched prop `index`."""
    return any(snapshot.touched[index] for snapshot in trace)


def planar_distance(snapshot: Snapshot, first: int, second: int) -> float:
    """Distance between two props along the table [m]."""
    place = snapshot.prop_position
    return math.dist(place[first, :2], place[second, :2])


def rise(trace: Sequence[Snapshot], index: int) -> float:
    """How far prop `index` ever was above where it started [m]."""
    heights = [snapshot.prop_position[index, 2] for snapshot in trace]
    return float(max(heights) - heights[0])
