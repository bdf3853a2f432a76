"""Other forms of the action, for reinforcement learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import RescaleAction
from scipy.spatial.transform import Rotation

from h2r_bench.types import ACTION_DIM, Float32Array

if TYPE_CHECKING:
    from h2r_bench.envs.env import TabletopEnv


def rescaled(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """The environment with every component of its absolute action in [-1, 1]."""
    low, high = np.float32(-1.0), np.float32(1.0)
    return RescaleAction(env, low, high)


@dataclass(frozen=True)
class DeltaScale:
    """What an action component of 1 means."""

    position: float = 0.03
    """[m] a control step."""
    rotation: float = 0.15
    """[rad] a control step."""


class DeltaAction(gymnasium.ActionWrapper[Any, Float32Array, Float32Array]):
    """Actions in [-1, 1]^7 relative to the target commanded last: position, rotation vector, gripper.

    The gripper component is absolute: 1 opens, -1 closes. The rotation is applied in the robot base frame.
    """

    def __init__(self, env: gymnasium.Env[Any, Float32Array], scale: DeltaScale = DeltaScale()) -> None:
        super().__init__(env)
        self.scale = scale
        self.action_space = spaces.Box(-1.0, 1.0, (ACTION_DIM,), np.float32)

    def action(self, action: Float32Array) -> Float32Array:
        """The absolute action, shape (7,), of a relative one."""
        tabletop: TabletopEnv = self.unwrapped  # type: ignore[assignment]  # only made for it
        target, relative = tabletop.simulation.target, np.asarray(action, np.float64)
        position = target.position + self.scale.position * relative[:3]
        turn = Rotation.from_rotvec(self.scale.rotation * relative[3:6])
        rotvec = (turn * Rotation.from_rotvec(target.rotvec)).as_rotvec()
        return np.concatenate([position, rotvec, [(relative[6] + 1) / 2]]).astype(np.float32)
