"""One measurement of `peers.py`: rendered control steps per second of one environment, as one JSON line.

Runs in the interpreter of whatever is measured, so it may import nothing but the standard library, NumPy and,
inside `_open_*`, the package in question.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

Step = tuple[NDArray[np.uint8], bool]
"""The image after a control step, (H, W, 3), and whether the episode is over."""

SIZE = 128
"""Width and height asked for [pixels]."""


@dataclass(frozen=True)
class Session:
    """An environment, reduced to what the measurement needs."""

    setting: str
    """What is measured, in the package's own words."""
    version: str
    """Version of its package."""
    low: NDArray[np.float64]
    """Smallest action."""
    high: NDArray[np.float64]
    """Largest action."""
    control_hz: float
    reset: Callable[[int], object]
    """Begins an episode with a seed."""
    step: Callable[[NDArray[np.float64]], Step]
    model: Callable[[], Any]
    """The MuJoCo model in use, which some environments rebuild at each reset."""
    shadows: bool | None = None
    """Whether shadows are drawn; None when the model's lights decide."""


def _open_ours(seed: int, *, fine: bool = False) -> Session:
    from h2r_bench import __version__
    from h2r_bench.envs.env import TabletopEnv
    from h2r_bench.types import CONTROL_HZ

    env = TabletopEnv("pick_place", image_size=(SIZE, SIZE), fine=fine)

    def step(action: NDArray[np.float64]) -> Step:
        observation, _, terminated, truncated, _ = env.step(action)
        return observation["image"], terminated or truncated

    return Session(
        setting=f'TabletopEnv("pick_place"{", fine=True" * fine})',
        version=__version__,
        low=env.action_space.low,  # type: ignore[attr-defined]
        high=env.action_space.high,  # type: ignore[attr-defined]
        control_hz=CONTROL_HZ,
        reset=lambda episode: env.reset(seed=episode),
        step=step,
        model=lambda: env.simulation.stage.model,
        shadows=fine,  # the renderer decides, the lamp casts them either way
    )


def _open_ours_fine(seed: int) -> Session:
    return _open_ours(seed, fine=True)


def _open_gymnasium_robotics(seed: int) -> Session:
    import gymnasium
    import gymnasium_robotics

    gymnasium.register_envs(gymnasium_robotics)
    matches = [re.fullmatch(r"FetchPickAndPlace-v(\d+)", name) for name in gymnasium.registry]
    latest = max((match for match in matches if match), key=lambda match: int(match[1]))[0]
    env = gymnasium.make(latest, render_mode="rgb_array", width=SIZE, height=SIZE)
    dt = env.unwrapped.dt  # type: ignore[attr-defined]
    return _gymnasium_session(env, latest, version("gymnasium-robotics"), dt)


def _open_metaworld(seed: int) -> Session:
    import gymnasium
    import metaworld  # noqa: F401  registers the environments

    task = "pick-place-v3"
    # The default view is the one that shows the scene upright.
    env = gymnasium.make(
        "Meta-World/MT1", env_name=task, seed=seed, render_mode="rgb_array", width=SIZE, height=SIZE
    )
    dt = env.unwrapped.dt  # type: ignore[attr-defined]
    return _gymnasium_session(env, f"MT1 {task}", version("metaworld"), dt)


def _gymnasium_session(env: Any, setting: str, package: str, dt: float) -> Session:
    """A Gymnasium environment of version `package` that renders on request, every `dt` of its time [s]."""

    def step(action: NDArray[np.float64]) -> Step:
        _, _, terminated, truncated, _ = env.step(action.astype(env.action_space.dtype))
        return env.render(), bool(terminated or truncated)

    return Session(
        setting=setting,
        version=package,
        low=env.action_space.low,
        high=env.action_space.high,
        control_hz=1.0 / dt,
        reset=lambda episode: env.reset(seed=episode),
        step=step,
        model=lambda: env.unwrapped.model,
    )


def _open_robo_evals(seed: int) -> Session:
    from robo_evals.env import ACTION_DIM, SUBSTEPS
    from robo_evals.tasks import make_task
    from robo_evals.video import render_frame, try_make_renderer

    # What `robo_evals.evaluate(image_obs=True)` does at each step.
    task = make_task("pick_place")
    renderer = try_make_renderer(task.model, SIZE, SIZE)
    if renderer is None:
        raise RuntimeError("robo_evals could not make a renderer")

    def step(action: NDArray[np.float64]) -> Step:
        result = task.step(action)
        image = render_frame(renderer, task.data)
        return image, result.success or task.steps >= task.max_steps

    return Session(
        setting="pick_place",
        version=version("robo-evals"),
        low=-np.ones(ACTION_DIM),
        high=np.ones(ACTION_DIM),
        control_hz=1.0 / (SUBSTEPS * task.model.opt.timestep),
        reset=task.reset,
        step=step,
        model=lambda: task.model,
    )


def _open_dm_control(seed: int) -> Session:
    from dm_control import manipulation

    name = "place_brick_vision"
    env = manipulation.load(name, seed=seed)
    actions = env.action_spec()

    def step(action: NDArray[np.float64]) -> Step:
        moment = env.step(action)
        return moment.observation["front_close"][0], moment.last()

    return Session(
        setting=name,
        version=version("dm_control"),
        low=actions.minimum,
        high=actions.maximum,
        control_hz=1.0 / env.control_timestep(),
        reset=lambda episode: env.reset(),  # seeded once, at the start
        step=step,
        model=lambda: env.physics.model.ptr,
    )


OPENERS: dict[str, Callable[[int], Session]] = {
    "h2r_bench": _open_ours,
    "h2r_bench_fine": _open_ours_fine,
    "gymnasium_robotics": _open_gymnasium_robotics,
    "robo_evals": _open_robo_evals,
    "metaworld": _open_metaworld,
    "dm_control": _open_dm_control,
}


def measure(session: Session, warmup: int, steps: int, seed: int) -> tuple[float, NDArray[np.uint8]]:
    """Seconds that `steps` control steps took after `warmup` more, without the resets, and the last image."""
    rng = np.random.default_rng(seed)
    seconds, episode, done = 0.0, 0, True
    first, image = None, np.zeros((0, 0, 3), np.uint8)
    for index in range(warmup + steps):
        if done:
            session.reset(seed + episode)
            episode += 1
        action = rng.uniform(session.low, session.high)
        started = time.perf_counter()
        image, done = session.step(action)
        if index >= warmup:
            seconds += time.perf_counter() - started
        first = image.copy() if first is None else first
    # A frozen or empty image would be quick to draw, and prove nothing.
    if first is None or image.min() == image.max() or np.array_equal(first, image):
        raise RuntimeError("the images are blank or do not change")
    return seconds, image


def graphics() -> str:
    """Which device and driver draw here, in OpenGL's words."""
    import mujoco
    from OpenGL import GL

    context = mujoco.GLContext(8, 8)
    context.make_current()
    name = GL.glGetString(GL.GL_RENDERER)
    return name.decode() if name else "unknown"


def report(peer: str, warmup: int, steps: int, seed: int) -> dict[str, Any]:
    """Everything `peers.py` wants to know about one environment."""
    session = OPENERS[peer](seed)
    seconds, image = measure(session, warmup, steps, seed)
    model = session.model()
    casts = bool(np.any(np.asarray(model.light_castshadow, bool) & np.asarray(model.light_active, bool)))
    return {
        "setting": session.setting,
        "version": session.version,
        "mujoco": version("mujoco"),
        "steps_per_second": steps / seconds,
        "control_hz": round(session.control_hz, 3),
        "image_size": [image.shape[1], image.shape[0]],
        "shadows": casts if session.shadows is None else session.shadows,
        "samples": int(model.vis.quality.offsamples),
        "graphics": graphics(),
    }


def main() -> None:
    """Measure what is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=OPENERS)
    for option in ("--warmup", "--steps", "--seed"):
        parser.add_argument(option, type=int, required=True)
    wanted = parser.parse_args()
    try:
        line = report(wanted.peer, wanted.warmup, wanted.steps, wanted.seed)
    except Exception as error:
        # Some assertions have no words; the function tells at least where.
        place = traceback.extract_tb(error.__traceback__)[-1].name
        line = {"error": f"{type(error).__name__} in {place}: {error}".rstrip(": ")}
    print("\n" + json.dumps(line), flush=True)
    sys.stderr.flush()
    os._exit(0)  # several of them fail, harmlessly but loudly, when the interpreter takes OpenGL down


if __name__ == "__main__":
    main()
