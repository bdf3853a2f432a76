"""The same seed in two processes: states and images must agree bit for bit on one machine.

`--save FILE` keeps them, `--against FILE` compares with those of another machine: there states agree to 1e-6
and images to a mean difference below 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

from h2r_bench.envs.env import TabletopEnv
from h2r_bench.envs.tasks import TASKS

STATE_TOLERANCE = 1e-6
IMAGE_TOLERANCE = 1.0


@dataclass(frozen=True)
class Config:
    """Compare two processes, or two machines."""

    tasks: tuple[str, ...] = ()
    """Which tasks; all when none is named."""
    steps: int = 200
    """Control steps, over as many trials as they take."""
    seed: int = 0
    save: Path | None = None
    """Keep states and images in this .npz file instead of comparing."""
    against: Path | None = None
    """Compare with the file of another machine."""


def play(task: str, steps: int, seed: int) -> dict[str, NDArray[np.generic]]:
    """States (steps, nq + nv), observed states and images of `steps` control steps by the expert."""
    env = TabletopEnv(task)
    physics, seen, images, frames, done = [], [], [], [], True
    trial = 0
    for _ in range(steps):
        if done:
            _, info = env.reset(seed=seed + trial, options={"trial": trial})
            script, trial = env.expert_script(), trial + 1
            frames.append(info["demonstration"].frames)
        observation, _, terminated, truncated, _ = env.step(env.expert_action(script))
        done = terminated or truncated
        data = env.simulation.data
        physics.append(np.concatenate([data.qpos, data.qvel]))
        seen.append(observation["state"])
        images.append(observation["image"])
    env.close()
    return {
        "physics": np.concatenate(physics),
        "state": np.stack(seen),
        "image": np.stack(images),
        "video": np.concatenate(frames),
    }


def compare(
    first: dict[str, NDArray[np.generic]], second: dict[str, NDArray[np.generic]]
) -> dict[str, object]:
    """Whether they are equal bit for bit, and how far apart they are at most."""
    same = {name: bool(np.array_equal(first[name], second[name])) for name in first}
    apart = {
        name: float(np.abs(first[name].astype(float) - second[name]).max()) for name in ("physics", "state")
    }
    image = float(np.abs(first["image"].astype(float) - second["image"]).mean())
    within = max(apart.values()) <= STATE_TOLERANCE and image < IMAGE_TOLERANCE
    return {"identical": same, "largest": apart, "image_mean_difference": image, "within_tolerance": within}


def in_new_process(task: str, config: Config, folder: Path) -> dict[str, NDArray[np.generic]]:
    """`play` in a process of its own."""
    file = folder / "played.npz"
    command = [sys.executable, __file__, "--tasks", task, "--steps", str(config.steps)]
    subprocess.run([*command, "--seed", str(config.seed), "--save", str(file)], check=True)
    with np.load(file) as stored:
        return {name.split("/")[1]: stored[name] for name in stored.files}


def main() -> int:
    """Print one JSON line for each task; the exit status is 1 when anything differs."""
    config = tyro.cli(Config, description=__doc__)
    tasks = config.tasks or tuple(TASKS.names())
    if config.save is not None:
        played = {
            f"{task}/{k}": v for task in tasks for k, v in play(task, config.steps, config.seed).items()
        }
        np.savez(config.save, **played)
        return 0
    differs = False
    for task in tasks:
        with tempfile.TemporaryDirectory() as folder:
            first = in_new_process(task, config, Path(folder))
            second = other(task, config, Path(folder))
        report = compare(first, second)
        good = report["within_tolerance"] if config.against else all(report["identical"].values())
        differs = differs or not good
        print(json.dumps({"task": task, "steps": config.steps, **report}), flush=True)
    return int(differs)


def other(task: str, config: Config, folder: Path) -> dict[str, NDArray[np.generic]]:
    """What to compare with: another process here, or what another machine saved."""
    if config.against is None:
        return in_new_process(task, config, folder)
    with np.load(config.against) as stored:
        return {name.split("/")[1]: stored[name] for name in stored.files if name.startswith(f"{task}/")}


if __name__ == "__main__":
    sys.exit(main())
