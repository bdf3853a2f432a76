"""What one environment step costs beyond bare physics and rendering: `make bench`.

Both sides run the same model from the same states in one process, in turn, so the ratio holds on any machine.
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass

import mujoco
import numpy as np
import tyro

from h2r_bench.envs.arena import ROBOT_CAMERA
from h2r_bench.envs.env import TabletopEnv
from h2r_bench.envs.rendering import CameraRenderer


@dataclass(frozen=True)
class Config:
    """Measure the overhead of `step`."""

    task: str = "pick_place"
    steps: int = 60
    """Control steps in each round."""
    rounds: int = 7
    """Rounds; the median counts."""


def time_steps(env: TabletopEnv, config: Config) -> float:
    """Seconds a control step through the environment [s]."""
    env.reset(seed=0)
    script = env.expert_script()
    actions = [env.expert_action(script) for _ in range(config.steps)]
    started = time.perf_counter()
    for action in actions:
        env.step(action)
    return (time.perf_counter() - started) / config.steps


def time_bare(env: TabletopEnv, renderer: CameraRenderer, config: Config) -> float:
    """Seconds for the same physics steps and one image, without the environment [s]."""
    env.reset(seed=0)
    model, data = env.simulation.stage.model, env.simulation.data
    script = env.expert_script()
    substeps = round(0.1 / model.opt.timestep)
    total = 0.0
    for _ in range(config.steps):
        pose, _gripper = script.next(env.trace[-1])
        data.ctrl[env.simulation.stage.arm_actuators] = env.simulation._solver.solve(pose)
        started = time.perf_counter()
        for _ in range(substeps):
            mujoco.mj_step(model, data)
        renderer.render(data, ROBOT_CAMERA, show_hand=False, show_robot=True)
        total += time.perf_counter() - started
    return total / config.steps


def main() -> None:
    """Print both times and their ratio as one JSON line."""
    config = tyro.cli(Config)
    env = TabletopEnv(config.task, render_mode="rgb_array")
    env.reset(seed=0)
    model = env.simulation.stage.model
    with CameraRenderer(model, *env.image_size, shadows=False) as renderer:
        through, bare = [], []
        for _ in range(config.rounds):
            through.append(time_steps(env, config))
            bare.append(time_bare(env, renderer, config))
    ratios = np.divide(through, bare)
    print(
        json.dumps(
            {
                "task": config.task,
                "step_ms": round(1e3 * statistics.median(through), 3),
                "bare_ms": round(1e3 * statistics.median(bare), 3),
                "ratio": round(float(np.median(ratios)), 3),
                "steps_per_second": round(1 / statistics.median(through), 1),
            }
        )
    )


if __name__ == "__main__":
    main()
