"""Build the gallery of `h2r_knn` from a dataset."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from h2r_bench.datasets import DatasetError, EpisodeStore
from h2r_bench.policies.h2r.files import write_manifest
from h2r_bench.policies.h2r.same_view import in_robot_view
from h2r_bench.policies.knn.agent import RECORD
from h2r_bench.policies.knn.frame_encoders import NAME, FrameEncoder, SceneReader, path_vector
from h2r_bench.policies.knn.gallery import write_gallery
from h2r_bench.training.pack import check_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from h2r_bench.policies.h2r.agent import H2RAgent
    from h2r_bench.types import Float32Array, UInt8Array

PIECE = 32
"""Images that are embedded at once."""


def suitable(store: EpisodeStore, tasks: Sequence[str]) -> dict[str, list[int]]:
    """Positions of the episodes of each of `tasks` whose scene says what to do, where the human did it.

    With the cue `video` the scene does not tell, and in a shifted layout the human's hand goes elsewhere than
    the robot's should. Raises DatasetError for a task without any.
    """
    found: dict[str, list[int]] = {task: [] for task in tasks}
    for position in range(len(store)):
        facts = store.read_facts(position)
        if facts["task"] in found and facts["cue"] == "scene" and facts["shift_cm"] == 0 and facts["success"]:
            found[facts["task"]].append(position)
    empty = [task for task, positions in found.items() if not positions]
    if empty:
        raise DatasetError(f"{store.root} has no unshifted episode with the cue scene of {', '.join(empty)}")
    return found


def spread(vectors: Float32Array, count: int) -> list[int]:
    """Indices of `count` rows of `vectors` (N, D) that lie far from each other (greedy k-centre).

    The first is the row nearest to the mean; each next one is the farthest from all before.
    """
    chosen = [int(np.linalg.norm(vectors - vectors.mean(0), axis=1).argmin())]
    distance = np.linalg.norm(vectors - vectors[chosen[0]], axis=1)
    while len(chosen) < min(count, len(vectors)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(vectors - vectors[chosen[-1]], axis=1))
    return chosen


def embed_first_frames(store: EpisodeStore, positions: Sequence[int], encoder: FrameEncoder) -> Float32Array:
    """Vectors (N, D) of the first robot frames of the episodes at `positions`."""
    parts = []
    for at in track(range(0, len(positions), PIECE), "embedding", console=Console(stderr=True)):
        some = [store.read_frames(position, "robot", 0, 1) for position in positions[at : at + PIECE]]
        parts.append(encoder.embed(np.concatenate(some)))
    return np.concatenate(parts)


def foreseen(store: EpisodeStore, positions: Sequence[int], reader: SceneReader) -> Float32Array:
    """Vectors (N, D) that a scene reader would give if it never erred: the paths that were taken."""
    paths = []
    for position in positions:
        arrays = store.read_arrays(position)
        paths.append(
            path_vector(arrays["state"], arrays["action"][:, 6], reader.config, store.meta.image_size)
        )
    return np.stack(paths)


def build_gallery(
    data: Path,
    agent: Path,
    inner: H2RAgent,
    encoder: FrameEncoder,
    *,
    towers: dict[str, str] | None,
    tasks: Sequence[str],
    episodes: int,
    votes: int,
    command: str,
    out: Path,
) -> list[str]:
    """Write the gallery of `episodes` episodes, as many of each task, into `out`; returns the file names.

    `agent` is the folder of `inner`; `towers` says where `encoder` is, unless it is a scene reader, which is
    kept with the gallery.
    """
    store = EpisodeStore.open(data)
    if store.meta.image_size != inner.image_size:
        raise DatasetError(
            f"{data} holds images of {store.meta.image_size}, the agent reads {inner.image_size}"
        )
    chosen, vectors = [], []
    for positions in suitable(store, tasks).values():
        if isinstance(encoder, SceneReader):
            embedded = foreseen(store, positions, encoder)
        else:
            embedded = embed_first_frames(store, positions, encoder)
        kept = spread(embedded, max(1, episodes // len(tasks)))
        chosen += [positions[index] for index in kept]
        vectors.append(embedded[kept])
    same_view = inner.heads[inner.domain].encoder.same_view
    names = write_gallery(
        out, _videos(store, chosen, same_view=same_view), np.concatenate(vectors), store.meta.rate_hz
    )
    folder = os.path.relpath(agent.resolve(), out.resolve())
    record = {"agent": {"folder": folder, "hash": inner.weights_hash}, "towers": towers, "votes": votes}
    (out / RECORD).write_text(json.dumps(record, indent=1) + "\n")
    names.append(RECORD)
    if isinstance(encoder, SceneReader):
        encoder.save(out, torch.float16)
        names += [f"{NAME}.json", f"{NAME}.safetensors"]
    check_sizes(out, names)
    facts = {
        "execute": inner.execute,
        "world": store.meta.world,
        "command": command,
        "data": {**store.meta.to_json(), "episodes": len(store)},
    }
    write_manifest(out, facts, names)
    return names


def _videos(
    store: EpisodeStore, positions: Sequence[int], *, same_view: bool
) -> Iterator[tuple[str, int, UInt8Array]]:
    for position in track(positions, "videos", console=Console(stderr=True)):
        human = torch.from_numpy(store.read_frames(position, "human"))
        if same_view:
            robot = torch.from_numpy(store.read_frames(position, "robot", 0, 1))
            human = in_robot_view(human, human[0], robot[0])
        yield store.read_facts(position)["task"], position, human.numpy()
