"""What a step costs beyond bare physics and rendering, and a posed hand beside its image: `make bench`.

Both sides run the same model from the same states in one process, step by step in turn, so the ratio holds on
any machine.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import mujoco
import numpy as np
import tyro

from h2r_bench.envs.env import TabletopEnv
from h2r_bench.envs.hand import HandModel, HandStyle
from h2r_bench.envs.rendering.renderer import CameraRenderer
from h2r_bench.envs.scene.arena import HUMAN_CAMERA, ROBOT_CAMERA
from h2r_bench.types import CONTROL_HZ


@dataclass(frozen=True)
class Config:
    """Measure the overhead of `step`."""

    task: str = "pick_place"
    steps: int = 60
    """Control steps in each round."""
    rounds: int = 7
    """Rounds; the median counts."""


def measure(env: TabletopEnv, renderer: CameraRenderer, config: Config) -> tuple[float, float]:
    """Seconds a control step through the environment, and bare from the same states [s]."""
    env.reset(seed=0)
    script = env.expert_script()
    model, shadow = env.simulation.stage.model, mujoco.MjData(env.simulation.stage.model)
    substeps = round(1.0 / (CONTROL_HZ * model.opt.timestep))
    through = bare = 0.0
    for _ in range(min(config.steps, env.horizon)):
        action = env.expert_action(script)
        mujoco.mj_copyData(shadow, model, env.simulation.data)
        started = time.perf_counter()
        env.step(action)
        through += time.perf_counter() - started
        shadow.ctrl = env.simulation.data.ctrl
        started = time.perf_counter()
        for _ in range(substeps):
            mujoco.mj_step(model, shadow)
        renderer.render(shadow, ROBOT_CAMERA, show_hand=False, show_robot=True)
        bare += time.perf_counter() - started
    return through / config.steps, bare / config.steps


def measure_hand(model: mujoco.MjModel, renderer: CameraRenderer, config: Config) -> tuple[float, float]:
    """Seconds to pose the hand, and to draw what it was posed for [s]."""
    puppet, data = HandModel(model, HandStyle()), mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    posing = drawing = 0.0
    for step in range(config.steps):
        position = np.array([0.5, 0.2 * step / config.steps, 0.1])
        started = time.perf_counter()
        puppet.set(data, position, np.eye(3), step / config.steps)
        posed = time.perf_counter()
        renderer.render(data, HUMAN_CAMERA, show_hand=True, show_robot=False)
        posing, drawing = posing + posed - started, drawing + time.perf_counter() - posed
    return posing / config.steps, drawing / config.steps


def main() -> None:
    """Print all times and their ratios as one JSON line."""
    config = tyro.cli(Config, description=__doc__)
    env = TabletopEnv(config.task, render_mode="rgb_array")
    env.reset(seed=0)
    model = env.simulation.stage.model
    with CameraRenderer(model, *env.image_size, shadows=False) as renderer:
        rounds = np.array([measure(env, renderer, config) for _ in range(config.rounds)])
        hand = np.array([measure_hand(model, renderer, config) for _ in range(config.rounds)])
    through, bare = np.median(rounds, axis=0)
    posing, drawing = np.median(hand, axis=0)
    report = {
        "task": config.task,
        "step_ms": round(1e3 * through, 3),
        "bare_ms": round(1e3 * bare, 3),
        "ratio": round(float(np.median(rounds[:, 0] / rounds[:, 1])), 3),
        "steps_per_second": round(1 / through, 1),
        "hand_ms": round(1e3 * posing, 3),
        "hand_image_ms": round(1e3 * drawing, 3),
        "hand_ratio": round(float(np.median(hand[:, 0] / hand[:, 1])), 3),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
