"""A rollout as the cameras see it: one moment per frame, at the control rate or a multiple of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from h2r_bench.geometry import matrix_from_6d, matrix_to_rotvec
from h2r_bench.types import Float32Array, FloatArray

if TYPE_CHECKING:
    from h2r_bench.envs.demonstration.demonstrator import Rollout
    from h2r_bench.envs.simulation import Simulation


@dataclass(frozen=True)
class RenderTrajectory:
    """N moments of a rollout, evenly spaced in time."""

    qpos: FloatArray
    """Shape (N, nq): joint positions, enough to draw it again."""
    state: Float32Array
    """Shape (N, 10), as in observations."""
    action: Float32Array
    """Shape (N, 7): the action under way."""
    object_pose: Float32Array
    """Shape (N, K, 9): position [m] and 6-D rotation of each prop."""
    ink: tuple[FloatArray, ...]
    """Length N: ink left since the moment before, each (M, 2) in the paper's frame [m]."""

    def __len__(self) -> int:
        return len(self.qpos)

    @property
    def tool_pose(self) -> Float32Array:
        """Shape (N, 6): tool position [m] and rotation vector relative to gripper-down [rad]."""
        rotvec = matrix_to_rotvec(matrix_from_6d(self.state[:, 3:9]))
        return np.concatenate([self.state[:, :3], rotvec], axis=1).astype(np.float32)


def film(simulation: Simulation, rollout: Rollout) -> RenderTrajectory:
    """The film of `rollout`, played in `simulation`, whose data is moved."""
    states, poses = [], []
    for qpos in rollout.film:
        simulation.show(qpos)
        states.append(simulation.state())
        poses.append(simulation.object_pose())
    per_step = len(rollout.film) // len(rollout)
    return RenderTrajectory(
        rollout.film,
        np.array(states),
        np.repeat(rollout.action, per_step, axis=0),
        np.array(poses),
        _ink(rollout, per_step),
    )


def _ink(rollout: Rollout, per_step: int) -> tuple[FloatArray, ...]:
    """Ink by frame: that of a control step is spread over the frames up to the next one."""
    parts = [rollout.trace[0].ink]
    for snapshot in rollout.trace[1 : len(rollout) + 1]:
        parts += np.array_split(snapshot.ink, per_step)
    return tuple(parts[: len(rollout) * per_step])
