"""`h2r_knn`: nobody shows anything; the video of the most similar training scene is followed instead."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from h2r_bench.policies.common.checkpoints import WeightsDamagedError, domain_folders
from h2r_bench.policies.common.chunking import ChunkingAgent, ChunkRequest, ChunkState, ObservationBatch
from h2r_bench.policies.h2r.agent import OFFSET, H2RAgent
from h2r_bench.policies.knn.retrieval import Retrieval, read_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from h2r_bench.types import Demonstration, Float32Array, UInt8Array

_ENTRY = "entry"
"""What is remembered of an episode: the number of the entry that is followed."""


class KNNAgent(ChunkingAgent):
    """An `h2r` that watches the video of a training episode: that of the nearest first robot frame.

    The human's clip in the observation is not looked at, so it knows what the scene shows and nothing else.
    """

    reads = ("image", "state")
    shipped = "h2r_knn_compact"

    def __init__(
        self,
        inner: H2RAgent,
        retrievals: Mapping[str, Retrieval],
        *,
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        """Act as `inner` with the videos that `retrievals` find, by training domain.

        Raises ValueError for a domain that `inner` does not know.
        """
        super().__init__(chunk=inner.chunk, execute=inner.execute, manifest=manifest)
        unknown = sorted(set(retrievals) - set(inner.heads))
        if unknown or not retrievals:
            raise ValueError(
                f"galleries of {', '.join(unknown) or 'no domain'}, and an agent without decoders"
            )
        self.inner = inner
        self.retrievals = dict(retrievals)
        self.domains = tuple(self.retrievals)
        self.domain = self.domains[0]
        self.image_size = inner.image_size

    @classmethod
    def load(cls, folder: Path, manifest: Mapping[str, Any], execute: int) -> KNNAgent:
        """The agent in `folder`, and the one that its galleries were made for.

        Raises WeightsDamagedError when that has changed since.
        """
        places = domain_folders(folder, manifest)
        records = {domain: read_record(place) for domain, place in places.items()}
        acting = {domain: places[domain] / record["agent"]["folder"] for domain, record in records.items()}
        inner = H2RAgent.from_pretrained(next(iter(acting.values())), execute=execute)
        for domain, record in records.items():
            if record["agent"]["hash"] != inner.weights_hash:
                raise WeightsDamagedError(
                    f"the gallery in {places[domain]} was made for other weights than those in "
                    f"{acting[domain]}: make it anew with python -m h2r_bench.train knn"
                )
        retrievals = {domain: Retrieval.load(places[domain], record) for domain, record in records.items()}
        return cls(inner, retrievals, manifest=manifest)

    def reset(self, demonstration: Demonstration | None = None, instruction: str = "", seed: int = 0) -> None:
        """Start a trial; of the demonstration only the domain is asked."""
        super().reset(demonstration, instruction, seed)
        self.inner.domain = self.domain
        self.inner.reset(None, instruction, seed)

    def remember(self, rows: ObservationBatch, plan: ChunkState) -> None:
        """Choose whom to follow where an episode begins."""
        entries = plan.memory.setdefault(_ENTRY, np.zeros(len(plan.step), np.int64))
        offsets = plan.memory.setdefault(OFFSET, np.zeros((len(plan.step), 4), np.float32))
        begun = np.flatnonzero(plan.step == 0)
        if not len(begun):
            return
        found = self.retrievals[self.domain].find(rows["image"][begun])
        for row, (entry, offset) in zip(begun, found, strict=True):
            entries[row], offsets[row] = entry, offset

    def predict_chunks(self, due: ChunkRequest) -> Float32Array:
        """New chunks (B, chunk, 7), as the inner agent makes them of the retrieved videos."""
        self.inner.domain = self.domain
        frames = self.inner.heads[self.domain].encoder.frames
        clips = self.retrievals[self.domain].gallery.clips(due.memory[_ENTRY], due.step, frames)
        return self.inner.predict_chunks(replace(due, rows={**due.rows, "human_clip": clips}))

    def imagine(self, step: int) -> UInt8Array:
        """What the inner agent imagines of the robot (H, W, 3) at `step`, see its `imagine`."""
        return self.inner.imagine(step)
