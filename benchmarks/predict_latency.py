"""How long agents think: `python benchmarks/predict_latency.py --policy h2r xskill`.

Plays trials of one task and times every call of `predict`, on as many threads as the agent takes. One JSON
line for each agent: calls, their mean and the longest [ms]; how many of them computed a chunk (most only hand
out the next action of one), their median and 95th percentile [ms]; seconds of `reset`; parameters. A mean
below 100 ms keeps 10 Hz; in the simulator the world waits meanwhile, the real bridge goes on with the chunk
before.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from safetensors import safe_open

from h2r_bench.evaluation.runner import RunConfig, make_env, open_env, prepare
from h2r_bench.evaluation.trial import trial_seed

CHUNK_MS = 5.0
"""Calls longer than this computed a chunk [ms]."""


@dataclass(frozen=True)
class Config:
    """Time `predict`."""

    policy: tuple[str, ...] = ("h2r",)
    """Agents, by name."""
    task: str = "pick_place"
    """Task that is played."""
    trials: int = 3
    """Trials of each agent."""
    weights: Path | None = None
    """Folder of weights, instead of those that ship."""


def timed(config: Config, policy: str) -> dict[str, Any]:
    """Play the trials and time every call."""
    run, agent = prepare(RunConfig(config.task, policy=policy, trials=config.trials, weights=config.weights))
    env = open_env(run, agent, make_env)
    calls: list[float] = []
    resets: list[float] = []
    for trial in range(config.trials):
        seed = trial_seed(0, trial)
        observation, info = env.reset(seed=seed, options={"trial": trial})
        started = time.perf_counter()
        agent.reset(info["demonstration"], info["instruction"], seed)
        resets.append(time.perf_counter() - started)
        state, over, first = None, False, True
        while not over:
            started = time.perf_counter()
            action, state = agent.predict(observation, state, np.array([first]), deterministic=True)
            calls.append(1000 * (time.perf_counter() - started))
            observation, _, terminated, truncated, _ = env.step(action)
            over, first = terminated or truncated, False
    env.close()
    computed = [call for call in calls if call > CHUNK_MS] or calls
    return {
        "policy": policy,
        "task": config.task,
        "calls": len(calls),
        "mean_ms": round(statistics.fmean(calls), 1),
        "longest_ms": round(max(calls), 1),
        "chunks": len(computed),
        "chunk_median_ms": round(statistics.median(computed), 1),
        "chunk_95_ms": round(float(np.percentile(computed, 95)), 1),
        "reset_s": round(statistics.fmean(resets), 3),
        "parameters_m": round(parameters(agent, config.weights) / 1e6, 2),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }


def parameters(agent: Any, weights: Path | None) -> int:
    """Numbers in the weights of `agent`."""
    folder = weights or (agent.folder() if hasattr(agent, "folder") else None)
    total = 0
    for file in folder.rglob("*.safetensors") if folder else ():
        with safe_open(file, "np") as tensors:
            total += sum(int(np.prod(tensors.get_slice(name).get_shape())) for name in tensors.keys())  # noqa: SIM118
    return total


def main(config: Config) -> None:
    """Print a line for each agent."""
    for policy in config.policy:
        print(json.dumps(timed(config, policy)), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
