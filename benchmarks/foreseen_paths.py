"""How far off the readers of `h2r_knn` foresee the tool: `python benchmarks/foreseen_paths.py --reader DIR`.

In scenes of a dataset that say what to do, which a reader may have been trained on, and in held-out ones. One
JSON line for each task: medians of all moments of a path and of each one [pixels of the reader's pictures].
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from h2r_bench.datasets import EpisodeStore
from h2r_bench.policies.knn.frame_encoders import SceneReader, path_vector, places_of
from h2r_bench.training.diagnostics.held_out import held_out_episodes
from h2r_bench.training.objectives.knn_gallery import embed_first_frames, foreseen
from h2r_bench.types import Float32Array, FloatArray


@dataclass(frozen=True)
class Config:
    """Measure a scene reader."""

    reader: Path
    """Folder of the reader: a run of `train scene`, or a gallery."""
    task: tuple[str, ...] = ("push_pull", "pick_place", "rotation")
    """Tasks of held-out episodes, and of the dataset's."""
    data: Path | None = None
    """A dataset; without it only held-out episodes are looked at."""
    episodes: int = 24
    """Most episodes of each task, from the dataset and held out."""


def held_out_paths(reader: SceneReader, task: str, count: int) -> tuple[Float32Array, Float32Array]:
    """Path vectors (N, D) that `reader` foresees in held-out episodes, and the true ones."""
    size = reader.config.image_size
    found, true = [], []
    for episode in held_out_episodes(task, count, size):
        found.append(reader.embed(episode.robot[:1])[0])
        true.append(path_vector(episode.state, episode.action[:, 6], reader.config, size))
    return np.stack(found), np.stack(true)


def stored_paths(
    reader: SceneReader, store: EpisodeStore, task: str, count: int
) -> tuple[Float32Array, Float32Array] | None:
    """The same of episodes of a dataset whose scene says what to do; None where it has none."""
    facts = map(store.read_facts, range(len(store)))
    fitting = (at for at, each in enumerate(facts) if (each["task"], each["cue"]) == (task, "scene"))
    chosen = list(itertools.islice(fitting, count))
    if not chosen:
        return None
    return embed_first_frames(store, chosen, reader), foreseen(store, chosen, reader)


def errors_px(found: Float32Array, true: Float32Array, height: int) -> FloatArray:
    """How far the places of path vectors (N, D) are apart, (N, moments) [pixels of `height` to a picture]."""
    distance: FloatArray = np.linalg.norm(places_of(found) - places_of(true), axis=1) * height / 2
    return distance.reshape(len(found), -1)


def main(config: Config) -> None:
    """Print a line for each task and where its scenes are from."""
    reader = SceneReader.load(config.reader)
    store = EpisodeStore.open(config.data) if config.data else None
    for task in config.task:
        measured = {"held out": held_out_paths(reader, task, config.episodes)}
        if store and (stored := stored_paths(reader, store, task, config.episodes)):
            measured["dataset"] = stored
        for scenes, (found, true) in measured.items():
            errors = errors_px(found, true, reader.config.image_size[1])
            line = {
                "task": task,
                "scenes": scenes,
                "episodes": len(errors),
                "median_px": round(float(np.median(errors)), 2),
                "median_px_of_each_moment": np.median(errors, 0).round(1).tolist(),
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
