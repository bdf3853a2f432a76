"""`h2r_knn`: nobody shows anything; the video of the most similar training scene is followed instead."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from h2r_bench.policies.chunking import ChunkingAgent, Due, Plan, Rows
from h2r_bench.policies.h2r.agent import OFFSET, H2RAgent
from h2r_bench.policies.h2r.files import WeightsDamagedError
from h2r_bench.policies.knn.alignment import path_offset
from h2r_bench.policies.knn.frame_encoders import (
    ClipDinoFrames,
    FrameEncoder,
    SceneReader,
    Towers,
    places_of,
)
from h2r_bench.policies.knn.gallery import Gallery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from h2r_bench.types import Demonstration, Float32Array, UInt8Array

RECORD = "knn.json"
"""Which agent acts, how images are compared, how many vote."""
_ENTRY = "entry"
"""What is remembered of an episode: the number of the entry that is followed."""


class KNNAgent(ChunkingAgent):
    """An `h2r` that watches the video of a training episode: that of the nearest first robot frame.

    The human's clip in the observation is not looked at, so it knows what the scene shows and nothing else.
    """

    reads = ("image", "state")
    shipped = "h2r_knn_compact"
    domains = ("basic",)

    def __init__(
        self,
        inner: H2RAgent,
        gallery: Gallery,
        encoder: FrameEncoder,
        *,
        votes: int = 5,
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(chunk=inner.chunk, execute=inner.execute, manifest=manifest)
        self.inner = inner
        self.gallery = gallery
        self.encoder = encoder
        self.votes = votes
        self.image_size = inner.image_size

    @classmethod
    def load(cls, folder: Path, manifest: Mapping[str, Any], execute: int) -> KNNAgent:
        """The agent in `folder`, and the one that its gallery was made for.

        Raises WeightsDamagedError when that has changed since.
        """
        record = json.loads((folder / RECORD).read_text())
        inner = H2RAgent.from_pretrained(folder / record["agent"]["folder"], execute=execute)
        if inner.weights_hash != record["agent"]["hash"]:
            raise WeightsDamagedError(
                f"the gallery in {folder} was made for other weights than those in "
                f"{record['agent']['folder']}: make it anew with python -m h2r_bench.train knn"
            )
        encoder = frame_encoder(record["towers"], folder)
        return cls(inner, Gallery.load(folder), encoder, votes=int(record["votes"]), manifest=manifest)

    def reset(self, demonstration: Demonstration | None = None, instruction: str = "", seed: int = 0) -> None:
        """Start a trial; of the demonstration only the domain is asked."""
        super().reset(demonstration, instruction, seed)
        self.inner.reset(None, instruction, seed)

    def remember(self, rows: Rows, plan: Plan) -> None:
        """Choose whom to follow where an episode begins."""
        entry = plan.memory.setdefault(_ENTRY, np.zeros(len(plan.step), np.int64))
        offsets = plan.memory.setdefault(OFFSET, np.zeros((len(plan.step), 4), np.float32))
        begun = np.flatnonzero(plan.step == 0)
        if not len(begun):
            return
        for row, vector in zip(begun, self.encoder.embed(rows["image"][begun]), strict=True):
            entry[row] = self.gallery.nearest(vector, self.votes)
            offsets[row] = self._offset(vector, entry[row])

    def _offset(self, vector: Float32Array, entry: int) -> Float32Array:
        """By what the video of `entry` is moved for the scene that embeds as `vector`, shape (4,)."""
        same_view = self.inner.heads[self.inner.domain].encoder.same_view
        if not (same_view and isinstance(self.encoder, SceneReader)):
            return np.zeros(4, np.float32)
        return path_offset(places_of(vector), places_of(self.gallery.vectors[entry]))

    def predict_chunks(self, due: Due) -> Float32Array:
        """New chunks (B, chunk, 7), as the inner agent makes them of the retrieved videos."""
        frames = self.inner.heads[self.inner.domain].encoder.frames
        clips = self.gallery.clips(due.memory[_ENTRY], due.step, frames)
        return self.inner.predict_chunks(replace(due, rows={**due.rows, "human_clip": clips}))

    def imagine(self, step: int) -> UInt8Array:
        """What the inner agent imagines of the robot (H, W, 3) at `step`, see its `imagine`."""
        return self.inner.imagine(step)


def frame_encoder(towers: Mapping[str, str] | None, folder: Path) -> FrameEncoder:
    """CLIP and DINOv2 where `towers` says where they are, else the scene reader in `folder`."""
    return ClipDinoFrames(Towers(**towers)) if towers else SceneReader.load(folder)
