"""Several skills in a row, the first often changing the second; the sequences themselves are data."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from h2r_bench.envs.demonstration import skills
from h2r_bench.envs.demonstration.script import Waypoint
from h2r_bench.envs.scene.compiled import SceneSpec
from h2r_bench.envs.scene.props import KINDS
from h2r_bench.envs.scene.sampling import dress_scene, regions_for, sample_places
from h2r_bench.envs.scene.splits import TRAIN, SceneDistribution
from h2r_bench.envs.simulation import Snapshot
from h2r_bench.envs.tasks.base import HOLD_STEPS, Cue, Goal, Milestone, Task, planar_distance, released, still
from h2r_bench.envs.tasks.pick_place import rests_on
from h2r_bench.envs.tasks.push_pull import TOLERANCE as PUSH_TOLERANCE

Skill = Literal["push", "place"]
_SHORTEST_PUSH, _LONGEST_PUSH = 0.11, 0.22
_PUSH_ROOM = 0.012
"""Free room beside what is pushed [m]."""
_SWAY = 0.08
"""Standard deviation of a pushed thing's heading about the way [rad]."""


@dataclass(frozen=True)
class Step:
    """One skill: `push` slides `subject` to `target`, `place` picks it and puts it on or in `target`."""

    skill: Skill
    subject: int
    """Index of a slot."""
    target: int
    """Index of a slot."""
    offset: tuple[float, float] = (0.0, 0.0)
    """`place`: where on the target, from its middle, in the target's frame [m]."""


@dataclass(frozen=True)
class SequenceRecipe:
    """A sequence as data."""

    name: str
    """Id."""
    slots: tuple[str, ...]
    """Kinds of props."""
    steps: tuple[Step, ...]
    words: str
    """The instruction, with {0}, {1} ... for what the slots are called."""
    decoys: tuple[str, ...] = ()
    """Kinds that are added where only the video says which is meant."""

    @property
    def pairs(self) -> set[tuple[tuple[Skill, str], tuple[Skill, str]]]:
        """Ordered pairs of (skill, kind) in a row."""
        parts = [(step.skill, self.slots[step.subject]) for step in self.steps]
        return set(itertools.pairwise(parts))


class SkillSequence(Task):
    """Success: every step done in order, and what no later step undoes still so at the end, released."""

    def __init__(
        self, recipe: SequenceRecipe, distribution: SceneDistribution = TRAIN, name: str | None = None
    ) -> None:
        super().__init__(distribution)
        self.recipe = recipe
        self.name = name or recipe.name

    def sample(self, rng: np.random.Generator, cue: Cue) -> tuple[SceneSpec, Goal]:
        """Draw the recipe's props, and decoys where only the video says which is meant."""
        recipe = self.recipe
        kinds = [*recipe.slots, *(recipe.decoys if cue == "video" else ())]
        regions = regions_for(self.distribution, len(kinds), *range(len(recipe.slots)))
        places = sample_places(rng, kinds, regions, self._has_ways)
        yaws = rng.uniform(-np.pi, np.pi, len(kinds))
        for step in recipe.steps:
            if step.skill == "push":
                way = np.subtract(places[step.target], places[step.subject])
                facing = KINDS.get(recipe.slots[step.subject]).push_yaw
                yaws[step.subject] = np.arctan2(way[1], way[0]) + facing + rng.normal(0, _SWAY)
        last = recipe.steps[-1]
        return dress_scene(rng, kinds, places, yaws, self.distribution), Goal(last.subject, last.target)

    def _has_ways(self, places: list[tuple[float, float]]) -> bool:
        """Whether each push is of a fitting length, and free of all else along its way and at its end."""
        pushes = [step for step in self.recipe.steps if step.skill == "push"]
        return all(
            _SHORTEST_PUSH
            <= np.linalg.norm(np.subtract(places[s.target], places[s.subject]))
            <= _LONGEST_PUSH
            and self._is_free(places, s)
            for s in pushes
        )

    def _is_free(self, places: list[tuple[float, float]], push: Step) -> bool:
        spots = np.array(places)
        start, way = spots[push.subject], spots[push.target] - spots[push.subject]
        pushed = KINDS.get(self.recipe.slots[push.subject]).radius
        kinds = [*self.recipe.slots, *self.recipe.decoys][: len(places)]
        for index, kind in enumerate(kinds):
            if index not in (push.subject, push.target) and KINDS.get(kind).free:
                share = np.clip(np.dot(spots[index] - start, way) / np.dot(way, way), 0, 1)
                room = pushed + KINDS.get(kind).radius + _PUSH_ROOM
                if np.linalg.norm(spots[index] - start - share * way) < room:
                    return False
        return True

    def instruction(self, scene: SceneSpec, goal: Goal) -> str:
        """The task in words."""
        return self.recipe.words.format(*(prop.name for prop in scene.props))

    def plan(self, snapshot: Snapshot, scene: SceneSpec, goal: Goal) -> list[Waypoint]:
        """The skills one after the other, each planned for what the ones before will have done."""
        waypoints: list[Waypoint] = []
        for step in self.recipe.steps:
            if step.skill == "push":
                waypoints += skills.push(snapshot, scene, step.subject, step.target)
            else:
                waypoints += skills.pick(snapshot, scene, step.subject)
                waypoints += skills.place(snapshot, scene, step.subject, step.target, step.offset)
            snapshot = _after(snapshot, scene, step)
        return waypoints

    def stages(self, trace: Sequence[Snapshot], scene: SceneSpec, goal: Goal) -> list[Milestone]:
        """Each step in its turn, then whether all that should last has lasted."""
        steps, end = self.recipe.steps, trace[-HOLD_STEPS:]
        lasting = [step for n, step in enumerate(steps) if not self._undone(n)]
        moved = {step.subject for step in steps}
        done = self._done_in_turn(trace, scene)
        return [
            *(
                (f"step {n + 1} ({step.skill}) not done in its turn", partial(done.__gt__, n))
                for n, step in enumerate(steps)
            ),
            ("not so at the end", lambda: all(_done(s, scene, step) for s in end for step in lasting)),
            ("not released", lambda: all(released(trace, index) for index in moved)),
            ("not at rest", lambda: all(still(trace, index) for index in moved)),
        ]

    def _done_in_turn(self, trace: Sequence[Snapshot], scene: SceneSpec) -> int:
        """How many steps were done one after the other."""
        steps, done = self.recipe.steps, 0
        for snapshot in trace:
            while done < len(steps) and self._turn(snapshot, scene, steps[done], steps[done + 1 :]):
                done += 1
        return done

    def _turn(self, snapshot: Snapshot, scene: SceneSpec, step: Step, later: Sequence[Step]) -> bool:
        """Whether `step` is done and let go while no later one is done yet."""
        if snapshot.touched[step.subject] or not _done(snapshot, scene, step):
            return False
        return not any(_done(snapshot, scene, other) for other in later)

    def _undone(self, number: int) -> bool:
        """Whether a later step moves the same thing again, or what it was pushed to."""
        subject = self.recipe.steps[number].subject
        return any(step.subject == subject for step in self.recipe.steps[number + 1 :])


def _done(snapshot: Snapshot, scene: SceneSpec, step: Step) -> bool:
    if step.skill == "push":
        return planar_distance(snapshot, step.subject, step.target) <= PUSH_TOLERANCE
    return rests_on(snapshot, scene, Goal(step.subject, step.target))


def _after(snapshot: Snapshot, scene: SceneSpec, step: Step) -> Snapshot:
    """The snapshot as `step` is expected to leave it; what lies on a pushed thing moves along."""
    position = snapshot.prop_position.copy()
    subject, target = scene.props[step.subject].shape, scene.props[step.target].shape
    shift = position[step.target] - position[step.subject]
    on_top = [
        index
        for index in range(len(scene.props))
        if index != step.subject and _lies_on(snapshot, scene, index, step.subject)
    ]
    if step.skill == "push":
        shift[2] = 0.0
        position[[step.subject, *on_top]] += shift
    else:
        position[step.subject] = position[step.target] + (0.0, 0.0, target.surface + subject.half_height)
    return replace(snapshot, prop_position=position)


def _lies_on(snapshot: Snapshot, scene: SceneSpec, index: int, carrier: int) -> bool:
    offset = snapshot.prop_position[index] - snapshot.prop_position[carrier]
    return bool(np.hypot(offset[0], offset[1]) < max(scene.props[carrier].shape.inner) and offset[2] > 0.005)
