"""Writing: a pen in the gripper, paper, and ink where the tip touches.

Height and orientation are fixed and the pen stays down, as the paper's authors do it; strokes are continuous.
In the `_pen_up` versions the height is free between two limits and the pen is lifted instead of retracing.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from h2r_bench.envs.demonstration.script import Style, Waypoint
from h2r_bench.envs.scene.compiled import SceneSpec
from h2r_bench.envs.scene.props import PEN_TIP
from h2r_bench.envs.scene.sampling import dress_scene
from h2r_bench.envs.scene.splits import TRAIN, SceneDistribution
from h2r_bench.envs.simulation import Snapshot
from h2r_bench.envs.tasks.base import TASKS, Cue, Goal, Milestone, Task
from h2r_bench.envs.writing.ink import Lines
from h2r_bench.envs.writing.ink_matching import InkRecord, ink_of
from h2r_bench.envs.writing.strokes import (
    SHARE,
    characters,
    play_stroke,
    without_retracing,
)
from h2r_bench.motion import ToolPose
from h2r_bench.types import DEFAULT_LIMITS, FloatArray

HEIGHT = 0.16
"""Height of a character on the paper [m]."""
WIDTH = 0.12
"""Width of a character [m]."""
WRITING_HEIGHT = PEN_TIP + 0.0015
"""Height of the tool while it writes [m]."""
PACE = 0.07
"""Average speed of the tip [m/s] at style speed 1."""

_PAPER, _MARKER = 0, 1
_CENTRE, _CENTRE_SPREAD, _YAW_SPREAD = (0.49, 0.0), 0.015, np.deg2rad(5)
_LEAST_INK = 3
_LIFT = 0.025
"""How far the pen is lifted between lines [m]."""
_MOST_PLAY_LINES = 3


def on_paper(stroke: FloatArray) -> FloatArray:
    """A stroke (N, 2) of the unit square in the paper's frame [m]: up is away from the writer."""
    return np.stack([(stroke[:, 1] - 0.5) * HEIGHT, (0.5 - stroke[:, 0]) * WIDTH], axis=1)


class Writing(Task):
    """Base of the writing tasks: they differ in what is written, and in whether the pen may be lifted."""

    domain: ClassVar[str] = "writing"
    unreal: ClassVar[str] = "ink on paper is judged to the millimetre, which nobody can do by eye"

    def __init__(self, name: str, distribution: SceneDistribution = TRAIN, *, pen_up: bool = False) -> None:
        """The height of the tool is free with `pen_up`, else fixed; its orientation is always fixed."""
        super().__init__(distribution)
        self.name = name
        self.pen_up = pen_up
        highest = WRITING_HEIGHT + 2 * _LIFT if pen_up else WRITING_HEIGHT
        self.limits = replace(
            DEFAULT_LIMITS,
            workspace_low=(*DEFAULT_LIMITS.workspace_low[:2], WRITING_HEIGHT),
            workspace_high=(*DEFAULT_LIMITS.workspace_high[:2], highest),
            max_tilt=0.0,
            max_yaw=0.0,
        )

    @abstractmethod
    def choose(self, rng: np.random.Generator) -> tuple[str, list[FloatArray]]:
        """What is written, in words and as lines (N, 2) of the unit square."""

    def sample(self, rng: np.random.Generator, cue: Cue) -> tuple[SceneSpec, Goal]:
        """A sheet in front of the robot; with the cue `scene` faint lines on it show what to write."""
        text, lines = self.choose(rng)
        place = tuple(float(v) for v in np.array(_CENTRE) + rng.uniform(-_CENTRE_SPREAD, _CENTRE_SPREAD, 2))
        yaws = [float(rng.uniform(-_YAW_SPREAD, _YAW_SPREAD)), 0.0]
        spots = [(place[0], place[1]), (place[0], place[1])]
        scene = dress_scene(rng, ("paper", "marker"), spots, yaws, self.distribution)
        strokes = _strokes(lines)
        scene = replace(scene, held=_MARKER, guide=strokes if cue == "scene" else ())
        return scene, Goal(_MARKER, _PAPER, text=text, strokes=strokes)

    def start_pose(self, scene: SceneSpec, goal: Goal, style: Style) -> ToolPose:
        """The tip on the first point of the first line."""
        paper = scene.props[_PAPER]
        first = np.array(goal.strokes[0][:1])
        return ToolPose(_to_world(first, (paper.x, paper.y), paper.yaw)[0], np.zeros(3))

    def plan(self, snapshot: Snapshot, scene: SceneSpec, goal: Goal) -> list[Waypoint]:
        """Along each line, the pen lifted in between, then rest."""
        paper = snapshot.prop_position[_PAPER]
        centre, yaw = (paper[0], paper[1]), snapshot.prop_yaw(_PAPER)
        paths = [_to_world(np.array(line), centre, yaw) for line in goal.strokes]
        waypoints = [_along(paths[0])]
        for before, after in itertools.pairwise(paths):
            over = np.stack([before[-1], before[-1] + _UP, after[0] + _UP, after[0]])
            waypoints += [replace(_along(over), name="lift", pace=2 * PACE), _along(after)]
        return [*waypoints[:-1], replace(waypoints[-1], dwell=0.4)]

    def stages(self, trace: Sequence[Snapshot], scene: SceneSpec, goal: Goal) -> list[Milestone]:
        """Ink at all, target covered, ink on target, and read as what was shown."""
        ink = ink_of(trace)
        now = ink.compared(goal.strokes)
        return [
            ("no ink", lambda: ink.laid >= _LEAST_INK),
            ("half of it not written", lambda: now.written() >= 0.5),
            ("not all of it written", lambda: now.written() >= SHARE),
            ("ink beside it", lambda: now.kept_to() >= SHARE),
            ("reads as another", lambda: self.reads_right(ink, goal)),
        ]

    def reads_right(self, ink: InkRecord, goal: Goal) -> bool:
        """Whether the ink is nearer to what was shown than to anything else it might be."""
        return True


def _strokes(lines: Sequence[FloatArray]) -> Lines:
    """Lines (N, 2) of the unit square as a goal keeps them."""
    return tuple(tuple((float(x), float(y)) for x, y in on_paper(line)) for line in lines)


_UP = np.array([0.0, 0.0, _LIFT])


def _along(path: FloatArray) -> Waypoint:
    """The way along `path` (N, 3) [m], gripper down."""
    return Waypoint("write", ToolPose(path[-1], np.zeros(3)), 0.0, pace=PACE, path=path)


def _to_world(points: FloatArray, centre: tuple[float, float], yaw: float) -> FloatArray:
    """Points (N, 2) in the paper's frame to tool positions (N, 3) at writing height [m]."""
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    flat = np.array(centre) + points @ turn.T
    return np.concatenate([flat, np.full((len(flat), 1), WRITING_HEIGHT)], axis=1)


@lru_cache(maxsize=1)
def _shapes() -> dict[str, Lines]:
    """The characters by name, each in one stroke, as they would be on paper [m]."""
    return {name: _strokes([stroke]) for name, stroke in characters().items()}


class BrandNew(Writing):
    """Characters; training never saw one."""

    has_other_goals = True

    def choose(self, rng: np.random.Generator) -> tuple[str, list[FloatArray]]:
        """A character of the set."""
        text = str(rng.choice(list(characters())))
        return text, self._lines(text)

    def other_goals(self, scene: SceneSpec, goal: Goal) -> list[Goal]:
        """Every other character."""
        others = (text for text in characters() if text != goal.text)
        return [replace(goal, text=text, strokes=_strokes(self._lines(text))) for text in others]

    def _lines(self, text: str) -> list[FloatArray]:
        stroke = characters()[text]
        return without_retracing(stroke) if self.pen_up else [stroke]

    def instruction(self, scene: SceneSpec, goal: Goal) -> str:
        """The task in words."""
        return f"Write the letter {goal.text}."

    def reads_right(self, ink: InkRecord, goal: Goal) -> bool:
        """Whether the ink is nearer to the shown character than to any other of the set."""
        return ink.nearest(_shapes(), guess=goal.text) == goal.text


class WritingPlay(Writing):
    """Random curves and figures: what writing is trained on."""

    def choose(self, rng: np.random.Generator) -> tuple[str, list[FloatArray]]:
        """A random stroke; with the pen lifted, up to three."""
        count = int(rng.integers(1, _MOST_PLAY_LINES + 1)) if self.pen_up else 1
        return "a line", [play_stroke(rng) for _ in range(count)]

    def instruction(self, scene: SceneSpec, goal: Goal) -> str:
        """The task in words."""
        return "Draw the line."


TASKS.add("brand_new", BrandNew("brand_new"), aliases=("writing",))
TASKS.add("writing_play", WritingPlay("writing_play"))
TASKS.add("brand_new_pen_up", BrandNew("brand_new_pen_up", pen_up=True), aliases=("writing_pen_up",))
TASKS.add("writing_play_pen_up", WritingPlay("writing_play_pen_up", pen_up=True))
