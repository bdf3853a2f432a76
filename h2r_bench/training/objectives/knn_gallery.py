"""Build the gallery of `h2r_knn` from a dataset."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from h2r_bench.datasets import DatasetError, EpisodeStore
from h2r_bench.policies.common.checkpoints import MANIFEST, read_manifest, write_manifest
from h2r_bench.policies.h2r.camera_alignment import in_robot_view
from h2r_bench.policies.knn.frame_encoders import NAME, SceneEncoder, SceneReader, path_vector
from h2r_bench.policies.knn.gallery import write_gallery
from h2r_bench.policies.knn.retrieval import RECORD, read_record
from h2r_bench.training.commands.inputs import domain_of
from h2r_bench.training.packaging.agent_weights import check_sizes

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


def embed_first_frames(store: EpisodeStore, positions: Sequence[int], encoder: SceneEncoder) -> Float32Array:
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
    encoder: SceneEncoder,
    *,
    towers: dict[str, str] | None,
    tasks: Sequence[str],
    episodes: int,
    votes: int,
    facts: dict[str, Any],
    out: Path,
) -> list[str]:
    """Write the gallery of `episodes` episodes, as many of each of `tasks`, into `out`.

    Galleries of other training domains that `out` holds are kept.

    Args:
        data: the paired episodes.
        agent: folder of `inner`.
        inner: the agent that acts.
        encoder: by what scenes are compared; a scene reader is kept with the gallery.
        towers: where `encoder` is, unless it is a scene reader.
        tasks: tasks of one training domain, which `inner` knows.
        episodes: how many are kept.
        votes: nearest episodes that vote for the task.
        facts: what else the manifest says of this gallery.
        out: folder of the weights.

    Returns:
        The names of the files that were written.

    Raises:
        DatasetError: the episodes do not serve.
        ValueError: the agent does not know the domain, or `out` holds what the gallery cannot go with.
    """
    store = EpisodeStore.open(data)
    if store.meta.image_size != inner.image_size:
        raise DatasetError(
            f"{data} holds images of {store.meta.image_size}, the agent reads {inner.image_size}"
        )
    domain = domain_of(tasks)
    if domain not in inner.heads:
        raise ValueError(f"{agent} has no decoder for the domain {domain} of {', '.join(tasks)}")
    kept = KeptGalleries.of(out, domain, inner.weights_hash, store.meta.world)
    chosen, vectors = far_apart(store, tasks, encoder, max(1, episodes // len(tasks)))
    place = out / kept.place
    videos = _videos(store, chosen, same_view=inner.heads[domain].encoder.same_view)
    files = write_gallery(place, videos, vectors, store.meta.rate_hz)
    folder = os.path.relpath(agent.resolve(), place.resolve())
    record = {"agent": {"folder": folder, "hash": inner.weights_hash}, "towers": towers, "votes": votes}
    (place / RECORD).write_text(json.dumps(record, indent=1) + "\n")
    files.append(RECORD)
    if isinstance(encoder, SceneReader):
        encoder.save(place, torch.float16)
        files += [f"{NAME}.json", f"{NAME}.safetensors"]
    names = [str((place / file).relative_to(out)) for file in files]
    check_sizes(out, names)
    own = {**facts, "data": {**store.meta.to_json(), "episodes": len(store)}}
    manifest = {
        "execute": inner.execute,
        "world": store.meta.world,
        "domains": {**kept.domains, domain: kept.place},
        "galleries": {**kept.galleries, domain: own},
    }
    write_manifest(out, manifest, kept.files + names)
    return names


def far_apart(
    store: EpisodeStore, tasks: Sequence[str], encoder: SceneEncoder, count: int
) -> tuple[list[int], Float32Array]:
    """Positions of `count` episodes of each of `tasks` that lie far apart, and their vectors (N, D).

    A scene reader is not asked: what it should foresee is known. Raises DatasetError for a task without any.
    """
    chosen, vectors = [], []
    for positions in suitable(store, tasks).values():
        if isinstance(encoder, SceneReader):
            embedded = foreseen(store, positions, encoder)
        else:
            embedded = embed_first_frames(store, positions, encoder)
        indices = spread(embedded, count)
        chosen += [positions[index] for index in indices]
        vectors.append(embedded[indices])
    return chosen, np.concatenate(vectors)


@dataclass(frozen=True)
class KeptGalleries:
    """The galleries of other training domains, beside which a new one is written."""

    domains: dict[str, str]
    """Domain to its folder."""
    galleries: dict[str, Any]
    """Domain to what the manifest says of its gallery."""
    files: list[str]
    """Names of their files."""
    place: str
    """Folder of the new one."""

    @classmethod
    def of(cls, out: Path, domain: str, agent_hash: str, world: int) -> KeptGalleries:
        """What `out` holds beside a gallery of `domain`.

        Raises ValueError when that is of another agent, of another world or no gallery at all, and
        WeightsDamagedError when a file is not what it was.
        """
        if not (out / MANIFEST).is_file():
            return cls({}, {}, [], ".")
        manifest = read_manifest(out)
        if "galleries" not in manifest:
            raise ValueError(f"{out} holds weights of another kind: choose another --out")
        domains = {each: folder for each, folder in manifest["domains"].items() if each != domain}
        for each, folder in domains.items():
            if (read_record(out / folder)["agent"]["hash"], manifest["world"]) != (agent_hash, world):
                raise ValueError(
                    f"{out} holds the gallery of {each} of another agent or world: choose another --out"
                )
        place = manifest["domains"].get(domain, domain if "." in domains.values() else ".")
        files = [name for name in manifest["files"] if str(PurePath(name).parent) != place]
        return cls(domains, {each: manifest["galleries"][each] for each in domains}, files, place)


def _videos(
    store: EpisodeStore, positions: Sequence[int], *, same_view: bool
) -> Iterator[tuple[str, int, UInt8Array]]:
    for position in track(positions, "videos", console=Console(stderr=True)):
        human = torch.from_numpy(store.read_frames(position, "human"))
        if same_view:
            robot = torch.from_numpy(store.read_frames(position, "robot", 0, 1))
            human = in_robot_view(human, human[0], robot[0])
        yield store.read_facts(position)["task"], position, human.numpy()
