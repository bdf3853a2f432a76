"""How synchronous pairs are: `python benchmarks/synchrony.py --data DIR`.

Random frames of the equal-scene episodes of a dataset. Each episode is played again from its seed, the hand
is posed as it was filmed, and the middle between the tips of its thumb and index finger is compared with the
robot's tool centre as it was recorded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import tyro
from rich.progress import track

from h2r_bench.datasets import EpisodeStore
from h2r_bench.envs.demonstration.recording import draw_episode
from h2r_bench.envs.hand import HandModel
from h2r_bench.geometry import matrix_from_6d


@dataclass(frozen=True)
class Config:
    """Measure the synchrony of a dataset."""

    data: Path
    """Folder of the paired episodes."""
    frames: int = 100
    """Frames to look at."""
    of_each: int = 5
    """Frames of one episode."""
    seed: int = 0
    """Of the choice of episodes and frames."""


def distances(store: EpisodeStore, episode: int, moments: Any) -> list[float]:
    """Distance of pinch point and tool centre at steps `moments` of episode number `episode` [m]."""
    facts, arrays = store.read_facts(episode), store.read_arrays(episode)
    drawn = draw_episode(facts["task"], facts["seed"], cue=facts["cue"])
    pair, state = drawn.pair, arrays["state"]
    if len(drawn.rollout.state) != len(state):
        raise ValueError(f"episode {episode} has {len(state)} steps, played again {len(drawn.rollout.state)}")
    puppet = HandModel(pair.stage.model, pair.hand)
    rotations = matrix_from_6d(state[:, 3:9].astype(float))
    puppet.begin(rotations)
    found = []
    for step in range(max(moments) + 1):
        data = pair.human_simulation.data
        puppet.set(data, state[step, :3].astype(float), rotations[step], float(state[step, 9]))
        if step in moments:
            mujoco.mj_kinematics(pair.stage.model, data)
            found.append(float(np.linalg.norm(puppet.pinch_point(data) - state[step, :3])))
    return found


def main() -> None:
    """Print the largest and the median distance as one JSON line."""
    config = tyro.cli(Config, description=__doc__)
    store, rng = EpisodeStore.open(config.data), np.random.default_rng(config.seed)
    equal = [k for k in range(len(store)) if store.read_facts(k)["shift_cm"] == 0]
    chosen = rng.choice(equal, -(-config.frames // config.of_each), replace=False)
    found: list[float] = []
    counts = True
    for episode in track(chosen, "playing again"):
        length = store.length(int(episode))
        moments = set(rng.choice(length, min(config.of_each, length), replace=False).tolist())
        found += distances(store, int(episode), moments)
        videos = {name: len(store.read_frames(int(episode), name)) for name in ("human", "robot")}
        counts = counts and set(videos.values()) == {length}
    millimetres = 1e3 * np.array(found[: config.frames])
    report = {
        "frames": len(millimetres),
        "median_mm": round(float(np.median(millimetres)), 2),
        "largest_mm": round(float(millimetres.max()), 2),
        "frame_counts_equal": counts,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
