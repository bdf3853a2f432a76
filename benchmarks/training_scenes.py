"""Success in scenes that an agent was trained on: `python benchmarks/training_scenes.py --policy xskill`.

Plays recorded episodes again, their scenes and their human: an agent that fails here has not learnt enough,
one that succeeds here and fails in trials has learnt by heart. One JSON line for each agent and task.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.progress import track

from h2r_bench.datasets import EpisodeStore
from h2r_bench.envs.tasks import TASKS
from h2r_bench.evaluation.runner import RunConfig, make_env, open_env, prepare
from h2r_bench.evaluation.trial import closed_loop
from h2r_bench.statistics import format_rate


@dataclass(frozen=True)
class Config:
    """Play training scenes."""

    data: Path = Path("data/full")
    """The dataset that was trained on."""
    policy: tuple[str, ...] = ("h2r",)
    """Agents, by name."""
    task: tuple[str, ...] = ("push_pull", "pick_place", "rotation")
    """Training tasks."""
    trials: int = 20
    """Episodes of each task, spread evenly over the dataset."""
    weights: Path | None = None
    """Folder of weights, instead of those that ship."""


def seeds_of(store: EpisodeStore, task: str, count: int) -> list[int]:
    """Seeds of `count` episodes of `task` whose scene says what to do and whose two layouts are equal."""
    facts = [store.read_facts(position) for position in range(len(store))]
    name = TASKS.canonical(task)
    fitting = [
        int(f["seed"]) for f in facts if f["task"] == name and f["cue"] == "scene" and not f["shift_cm"]
    ]
    return [fitting[int(place)] for place in np.linspace(0, len(fitting) - 1, min(count, len(fitting)))]


def play(env: Any, agent: Any, seed: int) -> str:
    """One trial in the scene of the episode with `seed`; why it failed, or nothing."""
    observation, info = env.reset(seed=0, options={"episode": seed})
    demonstration = info["demonstration"]
    agent.reset(demonstration, info["instruction"], seed)
    for latest in closed_loop(env, agent, observation, demonstration, None, lambda _: None):
        info = latest
    return str(info["failure"])


def main(config: Config) -> None:
    """Print a line for each agent and task."""
    store = EpisodeStore.open(config.data)
    for policy in config.policy:
        for task in config.task:
            run, agent = prepare(RunConfig(task, policy=policy, weights=config.weights))
            env = open_env(run, agent, make_env)
            seeds = seeds_of(store, task, config.trials)
            shown = track(seeds, f"{policy} {task}", console=Console(stderr=True))
            failures = Counter(play(env, agent, seed) for seed in shown)
            env.close()
            successes = failures.pop("", 0)
            line = {
                "policy": policy,
                "task": task,
                "successes": successes,
                "trials": len(seeds),
                "rate": format_rate(successes, len(seeds)),
                "failures": dict(failures),
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
