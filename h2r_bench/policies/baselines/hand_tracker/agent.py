"""The trivial solution: read the hand's pose from each human frame, and go there, open loop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from h2r_bench.policies.baselines.hand_tracker.model import HandRegressor
from h2r_bench.policies.common.chunking import ChunkingAgent, ChunkRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from h2r_bench.types import Float32Array

LEAD_STEPS = 2
"""The hand's pose this many steps ahead is commanded, since the arm arrives about that much later."""


class HandTrackerAgent(ChunkingAgent):
    """Goes where the hand will be in a moment. It sees neither the robot nor the objects."""

    reads = ("human_clip",)
    shipped = "hand_tracker_compact"

    def __init__(
        self,
        regressor: HandRegressor,
        *,
        chunk: int = 8,
        execute: int = 8,
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(chunk=chunk, execute=execute, manifest=manifest)
        self.regressor = regressor.eval().requires_grad_(False)
        self.image_size = regressor.config.image_size

    @classmethod
    def load(cls, folder: Path, manifest: Mapping[str, Any], execute: int) -> HandTrackerAgent:
        """The agent in `folder`."""
        chunk = max(execute, int(manifest["execute"]))
        return cls(HandRegressor.load(folder), chunk=chunk, execute=execute, manifest=manifest)

    def predict_chunks(self, due: ChunkRequest) -> Float32Array:
        """The hand's poses a little ahead, (B, chunk, 7)."""
        clips = due.rows["human_clip"]
        ahead = np.minimum(np.arange(self.chunk) + LEAD_STEPS, clips.shape[1] - 1)
        frames = clips[:, ahead]
        actions = self.regressor.read(frames.reshape(-1, *frames.shape[2:]))
        return actions.reshape(len(clips), self.chunk, -1)
