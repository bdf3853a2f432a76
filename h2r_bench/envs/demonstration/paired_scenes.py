"""One script, two bodies: the human's scene and rollout, and the robot's scene that goes with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from h2r_bench.envs.demonstration.demonstrator import Rollout, play
from h2r_bench.envs.demonstration.script import Style
from h2r_bench.envs.hand import HandStyle
from h2r_bench.envs.robot.control import InverseKinematics
from h2r_bench.envs.scene.compiled import CompiledScene, PropSpec, SceneSpec
from h2r_bench.envs.scene.splits import TABLE_AREA
from h2r_bench.envs.simulation import Simulation
from h2r_bench.envs.tasks.base import HOLD_STEPS, Cue, Goal, Task
from h2r_bench.types import FloatArray

PUT_BACK_DISTANCE = 0.01
"""Objects are put back within this distance before the robot starts [m]."""
PUT_BACK_ANGLE = np.deg2rad(5)
"""... and within this angle, either way [rad]."""
SHIFT_ANGLE_PER_CM = np.deg2rad(15) / 4
"""Largest turn of a shifted layout, per centimetre of its offset [rad/cm]."""
CAMERA_NOISE_POSITION = 0.005
"""Standard deviation of the human camera's position on each axis [m]: about 1 cm in all."""
CAMERA_NOISE_ANGLE = np.deg2rad(0.5)
"""Standard deviation of the human camera's direction about each axis [rad]: about 1 degree in all."""

_DRAWS = 25
TRAINING_STREAM = 1
"""Keeps the draws of training episodes apart from those of trials with the same seed."""


class NoSceneError(RuntimeError):
    """No scene of this task could be drawn that the demonstrator solves."""


@dataclass(frozen=True)
class CameraNoise:
    """How the human's camera stands apart from the robot's."""

    offset: FloatArray
    """Shape (3,) [m]."""
    turn: FloatArray
    """Shape (3,): rotation vector in the camera's own frame [rad]."""

    @staticmethod
    def sample(rng: np.random.Generator) -> CameraNoise:
        """As a tripod is put up again."""
        return CameraNoise(rng.normal(0, CAMERA_NOISE_POSITION, 3), rng.normal(0, CAMERA_NOISE_ANGLE, 3))


@dataclass(frozen=True)
class ScenePair:
    """A demonstration that was played, and the scene in which the robot is to follow it."""

    human_scene: SceneSpec
    robot_scene: SceneSpec
    goal: Goal
    style: Style
    """Of the demonstrator."""
    hand: HandStyle
    camera: CameraNoise
    rollout: Rollout
    """In the human's scene."""
    stage: CompiledScene
    """The compiled model that both scenes share."""
    human_simulation: Simulation
    """Where the rollout was played; drawing it again needs its data."""
    failures: tuple[str, ...] = ()
    """Why the demonstrator failed in scenes that were drawn before this one."""


def put_back(rng: np.random.Generator, scene: SceneSpec) -> SceneSpec:
    """The scene after a person put its movable things back: within 1 cm and 5 degrees."""

    def nudge(prop: PropSpec) -> PropSpec:
        distance = PUT_BACK_DISTANCE * np.sqrt(rng.uniform())
        direction, turn = rng.uniform(-np.pi, np.pi), rng.uniform(-PUT_BACK_ANGLE, PUT_BACK_ANGLE)
        if not prop.shape.free:
            return prop
        dx, dy = distance * np.cos(direction), distance * np.sin(direction)
        return replace(prop, x=float(prop.x + dx), y=float(prop.y + dy), yaw=float(prop.yaw + turn))

    return replace(scene, props=tuple(nudge(prop) for prop in scene.props))


def shift_layout(rng: np.random.Generator, scene: SceneSpec, shift_cm: float) -> SceneSpec:
    """The scene with its whole layout moved by `shift_cm` [cm] some way, and turned in proportion."""
    direction = rng.uniform(-np.pi, np.pi)
    turn = rng.uniform(-1, 1) * SHIFT_ANGLE_PER_CM * shift_cm
    if shift_cm == 0:
        return scene
    centre = np.array([np.mean(TABLE_AREA.x), np.mean(TABLE_AREA.y)])
    offset = shift_cm / 100 * np.array([np.cos(direction), np.sin(direction)])
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def move(prop: PropSpec) -> PropSpec:
        x, y = centre + offset + matrix @ (np.array([prop.x, prop.y]) - centre)
        return replace(prop, x=float(x), y=float(y), yaw=float(prop.yaw + turn))

    return replace(scene, props=tuple(move(prop) for prop in scene.props))


def satisfied_at_rest(simulation: Simulation, task: Task, scene: SceneSpec, goal: Goal, style: Style) -> bool:
    """Whether doing nothing in `scene` would count as success. Leaves the simulation reset to it."""
    simulation.reset(scene, task.start_pose(scene, goal, style))
    return task.judge([simulation.snapshot()] * (HOLD_STEPS + 1), scene, goal).success


def draw_pair(
    rng: np.random.Generator,
    task: Task,
    cue: Cue,
    shift_cm: float,
    solver: InverseKinematics,
    *,
    stage_for: Callable[[tuple[str, ...]], CompiledScene] = CompiledScene,
    as_person: bool = True,
    frames_per_step: int = 1,
) -> ScenePair:
    """Draw a scene and let the demonstrator play it; redraw what fails or is solved already.

    Args:
        rng: source of everything that is drawn.
        task: what is played.
        cue: whether the scene or only the video says what to do.
        shift_cm: layout shift between the two scenes [cm].
        solver: inverse kinematics to use.
        stage_for: gives the compiled stage for kinds of props.
        as_person: put things back in the robot's scene as a person would; without it the scenes are equal
            (apart from the shift).
        frames_per_step: how many moments of each control step are kept for the film.

    Raises:
        NoSceneError: nothing fitting in 25 draws.
    """
    failures: list[str] = []
    for _ in range(_DRAWS):
        scene, goal = task.sample(rng, cue)
        style, hand, camera = Style.sample(rng), HandStyle.sample(rng), CameraNoise.sample(rng)
        robot_scene = shift_layout(rng, scene, shift_cm)
        if as_person:
            robot_scene = put_back(rng, robot_scene)
        stage = stage_for(scene.kinds)
        stage.apply_appearance(scene)
        simulation = Simulation(stage, solver, task.limits)
        if any(satisfied_at_rest(simulation, task, each, goal, style) for each in (robot_scene, scene)):
            continue
        rollout = play(simulation, task, scene, goal, style, frames_per_step=frames_per_step)
        if rollout.judgement.success:
            played = (style, hand, camera, rollout, stage, simulation, tuple(failures))
            return ScenePair(scene, robot_scene, goal, *played)
        failures.append(rollout.judgement.failure)
    reasons = ", ".join(sorted(set(failures))) or "solved before they began"
    raise NoSceneError(f"no playable scene of {task.name} in {_DRAWS} draws; plays failed: {reasons}")
