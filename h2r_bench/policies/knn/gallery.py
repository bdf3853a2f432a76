"""The gallery: embeddings of the first robot frames of training episodes, and their human videos."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from h2r_bench.datasets.h264 import join_videos, read_video, write_video
from h2r_bench.policies.common.checkpoints import WeightsMissingError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from h2r_bench.types import Float32Array, UInt8Array

VECTORS, FACTS, VIDEOS = "gallery.safetensors", "gallery.json", "gallery.mp4"
CRF = 28
"""Quality of the stored videos: small, and still clear to the VPM."""


@dataclass(frozen=True)
class GalleryEntry:
    """One training episode."""

    task: str
    episode: int
    """Its number in the dataset."""
    start: int
    """Its first frame in the file of videos."""
    length: int
    """Its frames."""


class Gallery:
    """N training episodes: where each lies in the space of images, and what the human did."""

    def __init__(self, entries: tuple[GalleryEntry, ...], vectors: Float32Array, videos: Path) -> None:
        self.entries = entries
        self.vectors = vectors
        """Shape (N, D): embeddings of the first robot frames."""
        self.videos = videos
        self.human = lru_cache(maxsize=16)(self._human)
        """Number of an entry to its human video (T, H, W, 3)."""

    def nearest(self, vector: Float32Array, n: int) -> int:
        """The entry to follow where an image embeds as `vector` (D,).

        The `n` nearest vote for their task; of those that voted with the majority the nearest is taken. A tie
        goes to the task with the nearest entry.
        """
        distance = np.linalg.norm(self.vectors - vector, axis=1)
        voters = np.argsort(distance, kind="stable")[:n]
        votes = Counter(self.entries[voter].task for voter in voters)
        return int(max(voters, key=lambda voter: votes[self.entries[voter].task]))

    def clips(self, entry: NDArray[Any], start: NDArray[Any], frames: int) -> UInt8Array:
        """Clips (B, frames, H, W, 3) of entries (B,) from frames `start` (B,) on, the last one repeated."""
        parts = []
        for number, first in zip(entry.tolist(), start.tolist(), strict=True):
            human = self.human(number)
            parts.append(human[np.minimum(np.arange(first, first + frames), len(human) - 1)])
        return np.stack(parts)

    def _human(self, number: int) -> UInt8Array:
        entry = self.entries[number]
        return read_video(self.videos, entry.start, entry.length)

    @classmethod
    def load(cls, folder: Path) -> Gallery:
        """The gallery that `write_gallery` wrote."""
        if not (folder / FACTS).is_file():
            raise WeightsMissingError(f"no gallery in {folder}: {FACTS} is missing")
        facts = json.loads((folder / FACTS).read_text())
        vectors = load_file(folder / VECTORS)["vectors"].astype(np.float32)
        return cls(tuple(GalleryEntry(**entry) for entry in facts["entries"]), vectors, folder / VIDEOS)


def write_gallery(
    folder: Path,
    episodes: Iterable[tuple[str, int, UInt8Array]],
    vectors: Float32Array,
    rate_hz: float,
) -> list[str]:
    """Write task, number and human video of `episodes` with their `vectors` (N, D).

    Returns the names of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[GalleryEntry] = []
    with tempfile.TemporaryDirectory(dir=folder) as staging:
        parts: list[Path] = []
        for task, number, human in episodes:
            start = entries[-1].start + entries[-1].length if entries else 0
            entries.append(GalleryEntry(task, number, start, len(human)))
            parts.append(Path(staging) / f"{len(parts):06d}.mp4")
            write_video(parts[-1], human, rate_hz, crf=CRF)
        join_videos(parts, folder / VIDEOS, rate_hz)
    save_file({"vectors": vectors.astype(np.float16)}, folder / VECTORS)
    (folder / VECTORS).chmod(0o644)
    (folder / FACTS).write_text(json.dumps({"entries": [asdict(entry) for entry in entries]}) + "\n")
    return [VECTORS, FACTS, VIDEOS]
