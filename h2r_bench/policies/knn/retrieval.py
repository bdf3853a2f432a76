"""Whom to follow: for each training domain a gallery, and by what scenes are compared with its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from h2r_bench.policies.knn.frame_encoders import (
    ClipDinoFrames,
    SceneEncoder,
    SceneReader,
    Towers,
    places_of,
)
from h2r_bench.policies.knn.gallery import Gallery
from h2r_bench.policies.knn.path_alignment import path_offset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from h2r_bench.types import Float32Array, UInt8Array

RECORD = "knn.json"
"""Which agent acts, how images are compared, how many vote."""


@dataclass
class Retrieval:
    """Finds the training episode that is most like a scene."""

    gallery: Gallery
    encoder: SceneEncoder
    votes: int
    """Nearest episodes that vote for the task."""

    def find(self, images: UInt8Array) -> list[tuple[int, Float32Array]]:
        """For each of the first robot frames (N, H, W, 3) the entry to follow, and by what its video is to be
        moved to serve here, shape (4,): see `camera_alignment.estimate_similarity`; by nothing where no path
        is foreseen.
        """
        found = []
        for vector in self.encoder.embed(images):
            entry = self.gallery.nearest(vector, self.votes)
            if isinstance(self.encoder, SceneReader):
                offset = path_offset(places_of(vector), places_of(self.gallery.vectors[entry]))
            else:
                offset = np.zeros(4, np.float32)
            found.append((entry, offset))
        return found

    @classmethod
    def load(cls, folder: Path, record: Mapping[str, Any]) -> Retrieval:
        """What `folder` holds for one domain; `record` is its `RECORD`."""
        towers = record["towers"]
        encoder = ClipDinoFrames(Towers(**towers)) if towers else SceneReader.load(folder)
        return cls(Gallery.load(folder), encoder, int(record["votes"]))


def read_record(folder: Path) -> dict[str, Any]:
    """The `RECORD` in the folder of a domain."""
    record: dict[str, Any] = json.loads((folder / RECORD).read_text())
    return record
