"""Recording one paired training episode: the same script as a human video and as a robot video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h2r_bench.envs import WORLD_VERSION
from h2r_bench.envs.demonstration.demonstrator import PhaseMismatchError, Rollout, play
from h2r_bench.envs.demonstration.paired_scenes import TRAINING_STREAM, NoSceneError, ScenePair, draw_pair
from h2r_bench.envs.demonstration.render_trajectory import film
from h2r_bench.envs.hand import HandModel
from h2r_bench.envs.rendering.views import Cameras
from h2r_bench.envs.robot.control import InverseKinematics
from h2r_bench.envs.scene.compiled import SceneSpec
from h2r_bench.envs.scene.splits import TRAIN
from h2r_bench.envs.simulation import Simulation
from h2r_bench.envs.tasks import TASKS, Cue, Task
from h2r_bench.types import CONTROL_HZ, DEFAULT_IMAGE_SIZE, Episode

_DRAWS = 25


def record_episode(
    task: str,
    seed: int,
    *,
    cue: Cue = "scene",
    shift_cm: float = 0.0,
    image_size: tuple[int, int] = DEFAULT_IMAGE_SIZE,
    rate_hz: float = CONTROL_HZ,
    fine: bool = False,
) -> Episode:
    """Play `task` once as human and robot. Failures are redrawn, so the episode is a success.

    Args:
        task: id of a task.
        seed: all that is drawn follows from it.
        cue: `scene` or `video`.
        shift_cm: layout shift between the two scenes [cm]; 0 gives one rollout seen twice.
        image_size: width and height [pixels].
        rate_hz: frames per second [Hz], a multiple of the control rate; actions then repeat.
        fine: render with shadows and smooth edges, at a third of the speed.

    Raises:
        UnknownNameError: there is no such task.
        NoSceneError: no scene was played successfully in both layouts.
        ValueError: the rate is no multiple of the control rate.
    """
    drawn = draw_episode(task, seed, cue=cue, shift_cm=shift_cm, frames_per_step=frames_per_step(rate_hz))
    pair, rollout = drawn.pair, drawn.rollout
    of_human = film(pair.human_simulation, pair.rollout)
    of_robot = of_human if shift_cm == 0 else film(drawn.simulation, rollout)
    views = Cameras(pair.stage, image_size, fine=fine)
    try:
        puppet = HandModel(pair.stage.model, pair.hand)
        human = views.human_video(pair.human_simulation, of_human, puppet, pair.camera)
        robot = views.robot_video(drawn.simulation, of_robot)
    finally:
        views.close()
    return Episode(
        human=human,
        robot=robot,
        state=of_robot.state,
        action=of_robot.action,
        hand_pose=of_human.tool_pose,
        hand_opening=of_human.state[:, 9].copy(),
        human_frame_index=np.arange(len(of_human)),
        object_pose=of_robot.object_pose,
        task=TASKS.canonical(task),
        instruction=drawn.task.instruction(pair.human_scene, pair.goal),
        success=rollout.judgement.success,
        seed=seed,
        world=WORLD_VERSION,
        cue=cue,
        shift_cm=shift_cm,
        scene={
            "human": pair.human_scene.describe(),
            "robot": pair.robot_scene.describe(),
            "goal": pair.goal.describe(),
        },
        failures=drawn.failures,
    )


@dataclass(frozen=True)
class Drawn:
    """A training episode before it is filmed."""

    task: Task
    pair: ScenePair
    simulation: Simulation
    """Where the robot's rollout was played."""
    rollout: Rollout
    """The robot's."""
    failures: tuple[str, ...]
    """Why plays that were drawn before had failed."""


def draw_episode(
    task: str, seed: int, *, cue: Cue = "scene", shift_cm: float = 0.0, frames_per_step: int = 1
) -> Drawn:
    """Draw and play what `record_episode` films. Raises as it does."""
    rng = np.random.default_rng([TRAINING_STREAM, seed])
    played = TASKS.get(task).variant(rng, None)
    return Drawn(played, *_play_both(rng, played, cue, shift_cm, frames_per_step))


def frames_per_step(rate_hz: float) -> int:
    """Frames in a control step. Raises ValueError when the rate is no multiple of the control rate."""
    count = round(rate_hz / CONTROL_HZ)
    if count < 1 or abs(count * CONTROL_HZ - rate_hz) > 1e-9:
        raise ValueError(f"the rate must be a multiple of {CONTROL_HZ:g} Hz, got {rate_hz:g}")
    return count


def _play_both(
    rng: np.random.Generator, task: Task, cue: Cue, shift_cm: float, per_step: int
) -> tuple[ScenePair, Simulation, Rollout, tuple[str, ...]]:
    """The demonstration and the robot's rollout on the same phase clock; one and the same without a shift.

    Also returns why plays failed that were drawn before.
    """
    solver = InverseKinematics()
    failures: list[str] = []
    for _ in range(_DRAWS):
        pair = draw_pair(rng, task, cue, shift_cm, solver, as_person=False, frames_per_step=per_step)
        failures += pair.failures
        if shift_cm == 0:
            return pair, pair.human_simulation, pair.rollout, tuple(failures)
        if _enters_held_out(pair.robot_scene):
            continue
        simulation = Simulation(pair.stage, solver, task.limits)
        try:
            rollout = play(
                simulation,
                task,
                pair.robot_scene,
                pair.goal,
                pair.style,
                pair.rollout.clock,
                frames_per_step=per_step,
            )
        except PhaseMismatchError:
            failures.append("other phases")
            continue
        if rollout.judgement.success:
            return pair, simulation, rollout, tuple(failures)
        failures.append(rollout.judgement.failure)
    raise NoSceneError(f"no pair of {task.name} with a shift of {shift_cm} cm in {_DRAWS} draws")


def _enters_held_out(scene: SceneSpec) -> bool:
    held_out = TRAIN.region.outside
    return held_out is not None and any(held_out.contains(prop.x, prop.y) for prop in scene.props)
