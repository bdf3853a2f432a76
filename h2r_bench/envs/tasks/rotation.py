"""Turn an asymmetric object about the vertical to a mark."""

from __future__ import annotations

from collections.abc import Sequence

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
    planar_distance,
    released,
    still,
)
from h2r_bench.geometry import wrap_angle

YAW_TOLERANCE = np.deg2rad(15)
PLACE_TOLERANCE = 0.03
"""Distance from its place that counts [m]."""
LEAST_TURN, MOST_TURN = np.deg2rad(45), np.deg2rad(150)
_LIFTED = 0.03
_BEGUN = np.deg2rad(20)


class Rotation(Task):
    """Success: heading within 15 degrees of the mark, within 3 cm of its place, released."""

    name = "rotation"
    has_other_goals = True

    def sample(self, rng: np.random.Generator, cue: Cue) -> tuple[SceneSpec, Goal]:
        """Draw objects, goals and where they rest."""
        pairs = 1 if cue == "scene" else 2
        which = int(rng.integers(pairs))
        centres = sample_places(rng, ["dial"] * pairs, regions_for(self.distribution, pairs, which))
        marks = rng.uniform(-np.pi, np.pi, pairs)
        angles = rng.choice([-1.0, 1.0], pairs) * rng.uniform(LEAST_TURN, MOST_TURN, pairs)
        # Objects first, then their marks: the object stands in the middle of its dial.
        kinds = ["key"] * pairs + ["dial"] * pairs
        yaws = [*(marks - angles), *marks]
        scene = dress_scene(rng, kinds, [*centres, *centres], yaws, self.distribution)
        return scene, Goal(which, pairs + which, float(angles[which]))

    def other_goals(self, scene: SceneSpec, goal: Goal) -> list[Goal]:
        """Every other key to its mark; no turn is half a circle or more, so the marks say which way."""
        half = len(scene.props) // 2
        return [
            Goal(key, half + key, float(wrap_angle(scene.props[half + key].yaw - scene.props[key].yaw)))
            for key in range(half)
            if key != goal.subject
        ]

    def instruction(self, scene: SceneSpec, goal: Goal) -> str:
        """The task in words."""
        subject, target = scene.props[goal.subject], scene.props[goal.target]
        way = "left" if goal.angle > 0 else "right"
        return f"Turn the {subject.name} {way} to the {target.color} mark."

    def plan(self, snapshot: Snapshot, scene: SceneSpec, goal: Goal) -> list[Waypoint]:
        """The script that solves it from `snapshot` on."""
        # The remaining turn is measured, so that a scene that was put back a little askew is solved too.
        left = wrap_angle(snapshot.prop_yaw(goal.target) - snapshot.prop_yaw(goal.subject))
        turn = float(left) if np.sign(left) == np.sign(goal.angle) else goal.angle
        return skills.turn(snapshot, scene, goal.subject, turn)

    def potential(self, snapshot: Snapshot, scene: SceneSpec, goal: Goal) -> float:
        """How near to success the world is [m]; a radian off counts as 10 cm."""
        return super().potential(snapshot, scene, goal) - 0.1 * _off_mark(snapshot, goal)

    def stages(self, trace: Sequence[Snapshot], scene: SceneSpec, goal: Goal) -> list[Milestone]:
        """Stages on the way to success, each with what failed if it was not reached."""
        end = trace[-HOLD_STEPS:]
        return [
            ("object never touched", lambda: ever_touched(trace, goal.subject)),
            ("object not turned", lambda: _turned(trace, goal.subject) > _BEGUN),
            ("heading not at the mark", lambda: all(_off_mark(s, goal) <= YAW_TOLERANCE for s in end)),
            ("object not at its place", lambda: all(_in_place(s, trace[0], goal) for s in end)),
            ("gripper not clear", lambda: released(trace, goal.subject)),
            ("not at rest", lambda: still(trace, goal.subject)),
        ]


def _turned(trace: Sequence[Snapshot], index: int) -> float:
    """How far prop `index` is turned from where it started, at most half a turn [rad]."""
    return abs(float(wrap_angle(trace[-1].prop_yaw(index) - trace[0].prop_yaw(index))))


def _off_mark(snapshot: Snapshot, goal: Goal) -> float:
    """Angle between the subject's heading and its mark [rad]."""
    return abs(float(wrap_angle(snapshot.prop_yaw(goal.target) - snapshot.prop_yaw(goal.subject))))


def _in_place(snapshot: Snapshot, start: Snapshot, goal: Goal) -> bool:
    """On its dial and on the table."""
    height = snapshot.prop_position[goal.subject, 2] - start.prop_position[goal.subject, 2]
    return planar_distance(snapshot, goal.subject, goal.target) <= PLACE_TOLERANCE and abs(height) < _LIFTED


TASKS.add(Rotation.name, Rotation())
