"""Pick a cube or a pen and place it on or in a goal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from h2r_bench.envs.demonstration import skills
from h2r_bench.envs.demonstration.script import Waypoint
from h2r_bench.envs.scene.compiled import SceneSpec
from h2r_bench.envs.scene.sampling import dress_scene, regions_for, sample_places
from h2r_bench.envs.scene.splits import TRAIN_GRASP_KINDS
from h2r_bench.envs.simulation import Snapshot
from h2r_bench.envs.tasks.base import (
    HOLD_STEPS,
    TASKS,
    Cue,
    Goal,
    Milestone,
    Task,
    ever_touched,
    other_pairs,
    planar_distance,
    released,
    rise,
    still,
)

_LIFTED = 0.02
_NEAR = 0.08
_ABOVE_SURFACE = 0.02
"""How much higher than lying flat an object may rest, leaning on a rim [m]."""


class PickPlace(Task):
    """Success: resting on or in the goal (mat: within 3 cm of its middle), released."""

    name = "pick_place"
    has_other_goals = True
    objects: ClassVar[tuple[str, ...]] = TRAIN_GRASP_KINDS
    goals: ClassVar[dict[str, tuple[str, ...]]] = {
        "cube": ("plate", "tray", "cup", "mat"),
        "pen": ("plate", "tray", "mat"),
    }
    """Where each kind may go."""

    def sample(self, rng: np.random.Generator, cue: Cue) -> tuple[SceneSpec, Goal]:
        """Draw objects, goals and where they rest."""
        pairs = 1 if cue == "scene" else 2
        objects = [str(rng.choice(self.objects)) for _ in range(pairs)]
        # Any object may go to any goal of the scene, so that only the demonstration says which.
        common = [
            goal for goal in self.goals[objects[0]] if all(goal in self.goals[kind] for kind in objects)
        ]
        goals = [str(rng.choice(common)) for _ in range(pairs)]
        kinds = [*objects, *goals]
        goal = Goal(int(rng.integers(pairs)), pairs + int(rng.integers(pairs)))
        places = sample_places(
            rng, kinds, regions_for(self.distribution, len(kinds), goal.subject, goal.target)
        )
        yaws = rng.uniform(-np.pi, np.pi, len(kinds))
        return dress_scene(rng, kinds, places, yaws, self.distribution), goal

    def other_goals(self, scene: SceneSpec, goal: Goal) -> list[Goal]:
        """Every other object and goal."""
        return other_pairs(scene, goal)

    def instruction(self, scene: SceneSpec, goal: Goal) -> str:
        """The task in words."""
        subject, target = scene.props[goal.subject], scene.props[goal.target]
        return f"Put the {subject.name} {target.shape.preposition} the {target.name}."

    def plan(self, snapshot: Snapshot, scene: SceneSpec, goal: Goal) -> list[Waypoint]:
        """The script that solves it from `snapshot` on."""
        return [
            *skills.pick(snapshot, scene, goal.subject),
            *skills.place(snapshot, scene, goal.subject, goal.target),
        ]

    def stages(self, trace: Sequence[Snapshot], scene: SceneSpec, goal: Goal) -> list[Milestone]:
        """Stages on the way to success, each with what failed if it was not reached."""
        end = trace[-HOLD_STEPS:]
        return [
            ("object never touched", lambda: ever_touched(trace, goal.subject)),
            ("object never lifted", lambda: rise(trace, goal.subject) > _LIFTED),
            ("not brought to the goal", lambda: planar_distance(end[-1], goal.subject, goal.target) < _NEAR),
            ("not on or in the goal", lambda: all(rests_on(snapshot, scene, goal) for snapshot in end)),
            ("not released", lambda: released(trace, goal.subject)),
            ("not at rest", lambda: still(trace, goal.subject)),
        ]


def rests_on(snapshot: Snapshot, scene: SceneSpec, goal: Goal) -> bool:
    """Whether the subject lies on or in the target, carried by it."""
    shape, target = scene.props[goal.subject].shape, scene.props[goal.target].shape
    offset = snapshot.prop_position[goal.subject] - snapshot.prop_position[goal.target]
    local = snapshot.prop_matrix[goal.target].T @ offset
    half_x, half_y = target.inner
    inside = np.hypot(local[0], local[1]) <= half_x if half_x == half_y else (
        abs(local[0]) <= half_x and abs(local[1]) <= half_y
    )  # fmt: skip
    height = offset[2] - target.surface
    carried = not target.free or _in_contact(snapshot, goal)
    return bool(
        inside and carried and -0.005 < height < _tallest(shape.half_height, shape.radius) + _ABOVE_SURFACE
    )


def _tallest(half_height: float, radius: float) -> float:
    """Height of the centre above the surface when an object stands on its end [m], at most 3.5 cm more."""
    return min(max(half_height, radius), half_height + 0.035)


def _in_contact(snapshot: Snapshot, goal: Goal) -> bool:
    pair = (min(goal.subject, goal.target), max(goal.subject, goal.target))
    return pair in snapshot.contacts


TASKS.add(PickPlace.name, PickPlace())
