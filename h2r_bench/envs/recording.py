"""Recording one paired training episode: the same script as a human video and as a robot video."""

from __future__ import annotations

import numpy as np

from h2r_bench.envs import WORLD_VERSION
from h2r_bench.envs.control import InverseKinematics
from h2r_bench.envs.demonstrator import PhaseMismatchError, Rollout, play
from h2r_bench.envs.env import ground_truth
from h2r_bench.envs.hand import HandPuppet
from h2r_bench.envs.pairing import NoSceneError, Pair, draw_pair
from h2r_bench.envs.scene import SceneSpec
from h2r_bench.envs.simulation import Simulation
from h2r_bench.envs.splits import TRAIN
from h2r_bench.envs.tasks import TASKS, Cue, Task
from h2r_bench.envs.views import Views
from h2r_bench.types import DEFAULT_IMAGE_SIZE, Episode

_DRAWS = 25
_STREAM = 1
"""Keeps the draws of training apart from those of trials with the same seed."""


def record_episode(
    task: str,
    seed: int,
    *,
    cue: Cue = "scene",
    shift_cm: float = 0.0,
    image_size: tuple[int, int] = DEFAULT_IMAGE_SIZE,
    fine: bool = False,
) -> Episode:
    """Play `task` once as human and robot. Failures are redrawn, so the episode is a success.

    Args:
        task: id of a task.
        seed: all that is drawn follows from it.
        cue: `scene` or `video`.
        shift_cm: layout shift between the two scenes [cm]; 0 gives one rollout seen twice.
        image_size: width and height [pixels].
        fine: render with shadows and smooth edges, at a third of the speed.

    Raises:
        UnknownNameError: there is no such task.
        NoSceneError: no scene was played successfully in both layouts.
    """
    rng = np.random.default_rng([_STREAM, seed])
    played = TASKS.get(task).variant(rng, None)
    pair, simulation, rollout = _play_both(rng, played, cue, shift_cm)
    views = Views(pair.stage, image_size, fine=fine)
    try:
        puppet = HandPuppet(pair.stage.model, pair.hand)
        human = views.human_video(pair.human_simulation, pair.rollout, puppet, pair.camera)
        robot = views.robot_video(simulation, rollout)
    finally:
        views.close()
    truth = ground_truth(pair)
    return Episode(
        human=human,
        robot=robot,
        state=rollout.state,
        action=rollout.action,
        hand_pose=truth.tool_pose,
        hand_opening=truth.opening,
        human_frame_index=np.arange(len(rollout)),
        task=TASKS.canonical(task),
        instruction=played.instruction(pair.human_scene, pair.goal),
        success=rollout.judgement.success,
        seed=seed,
        world=WORLD_VERSION,
        cue=cue,
        shift_cm=shift_cm,
        scene={"human": pair.human_scene.describe(), "robot": pair.robot_scene.describe()},
    )


def _play_both(
    rng: np.random.Generator, task: Task, cue: Cue, shift_cm: float
) -> tuple[Pair, Simulation, Rollout]:
    """The demonstration and the robot's rollout on the same phase clock; one and the same without a shift."""
    solver = InverseKinematics()
    for _ in range(_DRAWS):
        pair = draw_pair(rng, task, cue, shift_cm, solver, as_person=False)
        if shift_cm == 0:
            return pair, pair.human_simulation, pair.rollout
        if _enters_held_out(pair.robot_scene):
            continue
        simulation = Simulation(pair.stage, solver, task.limits)
        try:
            rollout = play(simulation, task, pair.robot_scene, pair.goal, pair.style, pair.rollout.clock)
        except PhaseMismatchError:
            continue
        if rollout.judgement.success:
            return pair, simulation, rollout
    raise NoSceneError(f"no pair of {task.name} with a shift of {shift_cm} cm in {_DRAWS} draws")


def _enters_held_out(scene: SceneSpec) -> bool:
    held_out = TRAIN.region.outside
    return held_out is not None and any(held_out.contains(prop.x, prop.y) for prop in scene.props)
