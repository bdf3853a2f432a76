"""Writing: a pen in the gripper, paper, and ink where the tip touches.

Height and orientation are fixed and the pen stays down, as the paper's authors do it; strokes are continuous.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from h2r_bench.envs.control import ToolPose
from h2r_bench.envs.layout import dress_scene
from h2r_bench.envs.props import PEN_TIP
from h2r_bench.envs.scene import SceneSpec
from h2r_bench.envs.script import Style, Waypoint
from h2r_bench.envs.simulation import Snapshot
from h2r_bench.envs.strokes import SHARE, characters, coverage, difference, play_stroke
from h2r_bench.envs.tasks.base import TASKS, Cue, Goal, Task
from h2r_bench.types import DEFAULT_LIMITS, FloatArray, MotionLimits

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


def on_paper(stroke: FloatArray) -> FloatArray:
    """A stroke (N, 2) of the unit square in the paper's frame [m]: up is away from the writer."""
    return np.stack([(stroke[:, 1] - 0.5) * HEIGHT, (0.5 - stroke[:, 0]) * WIDTH], axis=1)


class Writing(Task):
    """Base of the writing tasks: they differ in what is written."""

    domain: ClassVar[str] = "writing"
    limits: ClassVar[MotionLimits] = replace(
        DEFAULT_LIMITS,
        workspace_low=(*DEFAULT_LIMITS.workspace_low[:2], WRITING_HEIGHT),
        workspace_high=(*DEFAULT_LIMITS.workspace_high[:2], WRITING_HEIGHT),
        max_tilt=0.0,
        max_yaw=0.0,
    )

    @abstractmethod
    def choose(self, rng: np.random.Generator) -> tuple[str, FloatArray]:
        """What is written, in words and as a stroke (N, 2) of the unit square."""

    def sample(self, rng: np.random.Generator, cue: Cue) -> tuple[SceneSpec, Goal]:
        """A sheet in front of the robot; with the cue `scene` a faint line on it shows what to write."""
        text, stroke = self.choose(rng)
        place = tuple(float(v) for v in np.array(_CENTRE) + rng.uniform(-_CENTRE_SPREAD, _CENTRE_SPREAD, 2))
        yaws = [float(rng.uniform(-_YAW_SPREAD, _YAW_SPREAD)), 0.0]
        spots = [(place[0], place[1]), (place[0], place[1])]
        scene = dress_scene(rng, ("paper", "marker"), spots, yaws, self.look)
        line = tuple((float(x), float(y)) for x, y in on_paper(stroke))
        scene = replace(scene, held=_MARKER, guide=line if cue == "scene" else ())
        return scene, Goal(_MARKER, _PAPER, text=text, stroke=line)

    def start_pose(self, scene: SceneSpec, goal: Goal, style: Style) -> ToolPose:
        """The tip on the first point of the stroke."""
        paper = scene.props[_PAPER]
        return ToolPose(_to_world(np.array(goal.stroke[:1]), (paper.x, paper.y), paper.yaw)[0], np.zeros(3))

    def plan(self, snapshot: Snapshot, scene: SceneSpec, goal: Goal) -> list[Waypoint]:
        """One way along the stroke, then rest."""
        paper = snapshot.prop_position[_PAPER]
        path = _to_world(np.array(goal.stroke), (paper[0], paper[1]), snapshot.prop_yaw(_PAPER))
        return [Waypoint("write", ToolPose(path[-1], np.zeros(3)), 0.0, pace=PACE, dwell=0.4, path=path)]

    def stages(self, trace: Sequence[Snapshot], scene: SceneSpec, goal: Goal) -> list[tuple[str, bool]]:
        """Ink at all, target covered, ink on target, and read as what was shown."""
        ink = np.concatenate([snapshot.ink for snapshot in trace])
        covered, on_target = coverage(np.array(goal.stroke), ink)
        written = covered >= SHARE and on_target >= SHARE
        return [
            ("no ink", len(ink) >= _LEAST_INK),
            ("half of it not written", covered >= 0.5),
            ("not all of it written", covered >= SHARE),
            ("ink beside it", on_target >= SHARE),
            # Comparing with every character is slow, and moot before it is written.
            ("reads as another", written and self.reads_right(ink, goal)),
        ]

    def reads_right(self, ink: FloatArray, goal: Goal) -> bool:
        """Whether the ink is nearer to what was shown than to anything else it might be."""
        return True


def _to_world(points: FloatArray, centre: tuple[float, float], yaw: float) -> FloatArray:
    """Points (N, 2) in the paper's frame to tool positions (N, 3) at writing height [m]."""
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    flat = np.array(centre) + points @ turn.T
    return np.concatenate([flat, np.full((len(flat), 1), WRITING_HEIGHT)], axis=1)


class BrandNew(Writing):
    """Characters; training never saw one."""

    name: ClassVar[str] = "brand_new"

    def choose(self, rng: np.random.Generator) -> tuple[str, FloatArray]:
        """A character of the set."""
        text = str(rng.choice(list(characters())))
        return text, characters()[text]

    def instruction(self, scene: SceneSpec, goal: Goal) -> str:
        """The task in words."""
        return f"Write the letter {goal.text}."

    def reads_right(self, ink: FloatArray, goal: Goal) -> bool:
        """Whether the ink is nearer to the shown character than to any other of the set."""
        unlike = {name: difference(on_paper(stroke), ink) for name, stroke in characters().items()}
        return min(unlike, key=lambda name: unlike[name]) == goal.text


class WritingPlay(Writing):
    """Random curves and figures: what writing is trained on."""

    name: ClassVar[str] = "writing_play"

    def choose(self, rng: np.random.Generator) -> tuple[str, FloatArray]:
        """A random stroke."""
        return "a line", play_stroke(rng)

    def instruction(self, scene: SceneSpec, goal: Goal) -> str:
        """The task in words."""
        return "Draw the line."


TASKS.add(BrandNew.name, BrandNew(), aliases=("writing",))
TASKS.add(WritingPlay.name, WritingPlay())
