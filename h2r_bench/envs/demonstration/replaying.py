"""Playing the recorded actions of a dataset again: a check that they are what moved the robot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h2r_bench.envs.demonstration.recording import draw_episode
from h2r_bench.envs.robot.control import InverseKinematics
from h2r_bench.envs.simulation import PhysicsError, Simulation
from h2r_bench.motion import from_action
from h2r_bench.types import Episode


@dataclass(frozen=True)
class Replay:
    """How recorded actions did when played again."""

    success: bool
    failure: str
    """Why not, empty on success."""
    drift: float
    """Largest distance of the tool from where it was recorded [m]."""


def replay_episode(episode: Episode) -> Replay:
    """Play the actions of `episode` open loop in its scene, drawn again from its seed.

    Raises:
        ValueError: the episode was recorded in another world, or is no simulated one.
    """
    from h2r_bench.envs import WORLD_VERSION

    if episode.world != WORLD_VERSION:
        raise ValueError(f"recorded in world {episode.world}, this is world {WORLD_VERSION}")
    drawn = draw_episode(episode.task, episode.seed, cue=episode.cue, shift_cm=episode.shift_cm)  # type: ignore[arg-type]
    pair, task = drawn.pair, drawn.task
    simulation = Simulation(pair.stage, InverseKinematics(), task.limits)
    simulation.reset(pair.robot_scene, task.start_pose(pair.robot_scene, pair.goal, pair.style))
    trace, drift = [simulation.snapshot()], 0.0
    every = len(episode) // len(drawn.rollout)
    for state, action in zip(episode.state[::every], episode.action[::every], strict=True):
        drift = max(drift, float(np.linalg.norm(trace[-1].tool_position - state[:3])))
        try:
            simulation.step(*from_action(action))
        except PhysicsError:
            return Replay(False, "physics", drift)
        trace.append(simulation.snapshot())
    judgement = task.judge(trace, pair.robot_scene, pair.goal)
    return Replay(judgement.success, judgement.failure, drift)
