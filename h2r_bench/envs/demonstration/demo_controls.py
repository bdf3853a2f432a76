"""Controls: trials in which the demonstration is not the one that belongs to the scene.

Whoever reads the video fails where it tells something else or nothing, and does what it shows where another
goal of the same scene is shown. Only the video changes: scene, instruction and length of a trial, and the
domain an agent is told, are those of the trial with the true demonstration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from h2r_bench.envs.demonstration.demonstrator import play
from h2r_bench.envs.demonstration.paired_scenes import NoSceneError, ScenePair, satisfied_at_rest
from h2r_bench.envs.demonstration.script import BRISK, Style
from h2r_bench.envs.tasks import TASKS, TaskSource
from h2r_bench.registry import Registry
from h2r_bench.types import Demonstration, GroundTruth

if TYPE_CHECKING:
    from h2r_bench.envs.tasks.base import Cue, Goal, Task

SHOWABLE = ("push_pull", "pick_place", "rotation")
"""Tasks whose videos are shown as wrong ones."""
_PLAYS = 5
"""Plays of another goal before the next one is tried."""


def same(demonstration: Demonstration) -> Demonstration:
    """As it is."""
    return demonstration


def blank(demonstration: Demonstration) -> Demonstration:
    """Black frames; there is no hand, so there is no truth about one."""
    return replace(demonstration, frames=np.zeros_like(demonstration.frames), truth=None)


def backwards(demonstration: Demonstration) -> Demonstration:
    """The last frame first."""
    return _in_order(demonstration, np.arange(len(demonstration))[::-1])


def frozen(demonstration: Demonstration) -> Demonstration:
    """The first frame all the time."""
    return _in_order(demonstration, np.zeros(len(demonstration), int))


def _in_order(demonstration: Demonstration, index: np.ndarray) -> Demonstration:
    """The frames `index`, and the truth about them."""
    truth = demonstration.truth
    if truth is not None:
        truth = GroundTruth(
            truth.tool_pose[index], truth.opening[index], truth.object_pose[index], truth.gripper[index]
        )
    return replace(demonstration, frames=demonstration.frames[index], truth=truth)


@dataclass(frozen=True)
class DemoControl:
    """How what is shown differs from the demonstration that belongs to the scene."""

    summary: str
    alter: Callable[[Demonstration], Demonstration] = same
    """What is done to the demonstration."""
    other_task: bool = False
    """The demonstration is one of another task, in a scene of its own."""
    keeps_truth: bool = True
    """Whether there is still a hand whose true pose can be known."""
    other_goal: bool = False
    """Another goal of the same scene is demonstrated. The trial is scored for it, and for the original."""

    def check(self, source: TaskSource, cue: Cue) -> None:
        """Raise ValueError, with the reason, where the control makes no sense."""
        if not self.other_goal:
            return
        if cue != "video":
            raise ValueError("demo counterfactual needs cue video: with cue scene there is one goal to show")
        if not source.has_other_goals:
            raise ValueError(f"demo counterfactual: scenes of {source.name} have one goal, no other to show")


CONTROLS: Registry[DemoControl] = Registry("demo")
"""Controls by the name that records keep, see `h2r_bench.types.Demo`."""
CONTROLS.add("matched", DemoControl("the demonstration of the scene"))
CONTROLS.add("wrong", DemoControl("a demonstration of another task", other_task=True))
CONTROLS.add("blank", DemoControl("black frames", blank, keeps_truth=False))
CONTROLS.add("reversed", DemoControl("the demonstration backwards", backwards))
CONTROLS.add("frozen", DemoControl("the first frame only", frozen))
CONTROLS.add("counterfactual", DemoControl("another goal of the same scene", other_goal=True))


def wrong_task(rng: np.random.Generator, task: Task) -> str:
    """Name of a task, another skill than `task` asks for, whose demonstration is shown instead."""
    others = [name for name in SHOWABLE if not isinstance(task, type(TASKS.get(name)))]
    return str(rng.choice(others))


def with_other_goal(rng: np.random.Generator, task: Task, pair: ScenePair) -> ScenePair:
    """`pair` with another goal of its scene, demonstrated there. Its simulation is moved.

    Raises:
        NoSceneError: the demonstrator fails at all of them.
    """
    goals = task.other_goals(pair.human_scene, pair.goal)
    for index in rng.permutation(len(goals)):
        goal = goals[int(index)]
        for _ in range(_PLAYS):
            style = Style.sample(rng)
            if played := _played(task, pair, goal, style):
                return played
    raise NoSceneError(f"no other goal of this scene of {task.name} could be demonstrated")


def _played(task: Task, pair: ScenePair, goal: Goal, style: Style) -> ScenePair | None:
    """`pair` with a demonstration of `goal`; None where it cannot be done, or nothing is left to do.

    Scenes are drawn for the original goal, and not every other one can be reached as well from there. So the
    robot's scene is tried, too.
    """
    simulation = pair.human_simulation
    scenes = (pair.robot_scene, pair.human_scene)
    if any(satisfied_at_rest(simulation, task, scene, goal, style) for scene in scenes):
        return None
    if not play(simulation, task, pair.robot_scene, goal, BRISK).judgement.success:
        return None
    rollout = play(simulation, task, pair.human_scene, goal, style)
    return replace(pair, goal=goal, style=style, rollout=rollout) if rollout.judgement.success else None
