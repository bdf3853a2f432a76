"""Push or pull an object along the table onto its mat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from h2r_bench.envs.demonstration import skills
from h2r_bench.envs.demonstration.script import Waypoint
from h2r_bench.envs.scene.compiled import SceneSpec
from h2r_bench.envs.scene.sampling import dress_scene, regions_for, sample_places
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

TOLERANCE = 0.03
"""Distance to the middle of the mat that counts [m]."""
LEAST_MOVE = 0.08
"""The object must have moved this far [m]."""
_LIFTED = 0.015
_LEAST_WAY, _MOST_WAY = 0.12, 0.22
_LANE = 0.105
"""Room kept between the way of the pushed object and the other one [m]."""


class PushPull(Task):
    """Success: within 3 cm of the goal, on the table, moved at least 8 cm, never lifted."""

    name = "push_pull"
    has_other_goals = True
    objects: ClassVar[tuple[str, ...]] = ("block", "puck")

    def sample(self, rng: np.random.Generator, cue: Cue) -> tuple[SceneSpec, Goal]:
        """Draw objects, goals and where they rest."""
        pairs = 1 if cue == "scene" else 2
        goal = Goal(int(rng.integers(pairs)), pairs + int(rng.integers(pairs)))
        kinds = [str(rng.choice(self.objects)) for _ in range(pairs)] + ["mat"] * pairs
        regions = regions_for(self.distribution, len(kinds), goal.subject, goal.target)
        places = sample_places(rng, kinds, regions, lambda spots: _has_ways(spots, pairs))
        heading = np.subtract(places[goal.target], places[goal.subject])
        # A block is pushed on a face, so it roughly faces where it may go.
        facing = np.arctan2(heading[1], heading[0]) + rng.normal(0, 0.08, pairs)
        yaws = [*(facing + rng.integers(4, size=pairs) * np.pi / 2), *rng.uniform(-0.3, 0.3, pairs)]
        return dress_scene(rng, kinds, places, yaws, self.distribution), goal

    def other_goals(self, scene: SceneSpec, goal: Goal) -> list[Goal]:
        """Every other object and goal."""
        return other_pairs(scene, goal)

    def instruction(self, scene: SceneSpec, goal: Goal) -> str:
        """The task in words."""
        subject, target = scene.props[goal.subject], scene.props[goal.target]
        verb = "Pull" if target.x < subject.x - abs(target.y - subject.y) else "Push"
        return f"{verb} the {subject.name} onto the {target.name}."

    def plan(self, snapshot: Snapshot, scene: SceneSpec, goal: Goal) -> list[Waypoint]:
        """The script that solves it from `snapshot` on."""
        return skills.push(snapshot, scene, goal.subject, goal.target)

    def stages(self, trace: Sequence[Snapshot], scene: SceneSpec, goal: Goal) -> list[Milestone]:
        """Stages on the way to success, each with what failed if it was not reached."""
        end = trace[-HOLD_STEPS:]
        return [
            ("object never touched", lambda: ever_touched(trace, goal.subject)),
            ("object not moved far enough", lambda: _moved(trace, goal.subject) >= LEAST_MOVE),
            ("object not at the goal", lambda: all(_at_goal(snapshot, goal) for snapshot in end)),
            ("object was lifted", lambda: _never_lifted(trace, goal.subject)),
            ("gripper not clear", lambda: released(trace, goal.subject)),
            ("not at rest", lambda: still(trace, goal.subject)),
        ]


def _moved(trace: Sequence[Snapshot], index: int) -> float:
    """How far along the table prop `index` is from where it started [m]."""
    return math.dist(trace[-1].prop_position[index, :2], trace[0].prop_position[index, :2])


def _at_goal(snapshot: Snapshot, goal: Goal) -> bool:
    return planar_distance(snapshot, goal.subject, goal.target) <= TOLERANCE


def _never_lifted(trace: Sequence[Snapshot], index: int) -> bool:
    """Neither off the table nor over its edge."""
    return rise(trace, index) < _LIFTED and float(trace[-1].prop_position[index, 2]) > 0


def _has_ways(places: list[tuple[float, float]], pairs: int) -> bool:
    """Whether every object has a free way of a fitting length to every mat."""
    spots = np.array(places)
    for subject in range(pairs):
        for mat in range(pairs, 2 * pairs):
            way = spots[mat] - spots[subject]
            length = float(np.linalg.norm(way))
            if not _LEAST_WAY <= length <= _MOST_WAY:
                return False
            others = [spots[i] for i in range(pairs) if i != subject]
            if any(_lane_distance(spots[subject], way, other) < _LANE for other in others):
                return False
    return True


def _lane_distance(start: np.ndarray, way: np.ndarray, point: np.ndarray) -> float:
    """Distance [m] of `point` from the way, run-up included."""
    run_up = start - way / np.linalg.norm(way) * 0.08
    whole = start + way - run_up
    share = np.clip(np.dot(point - run_up, whole) / np.dot(whole, whole), 0, 1)
    return float(np.linalg.norm(point - run_up - share * whole))


TASKS.add(PushPull.name, PushPull())
