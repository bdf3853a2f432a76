"""The XSkill agent: watches the whole human video, then acts skill by skill."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from h2r_bench.policies.baselines.xskill.model import XSkillModel, padded, sequence_starts
from h2r_bench.policies.baselines.xskill.skill_encoder import SkillEncoder
from h2r_bench.policies.common.checkpoints import WeightsDamagedError, domain_folders
from h2r_bench.policies.common.chunking import ChunkingAgent, ChunkRequest, ChunkState, ObservationBatch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from h2r_bench.types import Demonstration, Float32Array, UInt8Array

_SKILLS, _THERE = "skills", "there"


class XSkillAgent(ChunkingAgent):
    """Alignment and policy in receding horizon, one for each training domain.

    The whole demonstration is taken at `reset`. Without one (a plain Gymnasium loop) the frames that the
    first observation of an episode shows are all there is, and a warning says so.
    """

    reads = ("image", "state", "human_clip")
    shipped = "xskill_compact"
    recipe = "docs/baselines.md"

    def __init__(
        self,
        encoder: SkillEncoder,
        heads: Mapping[str, XSkillModel],
        *,
        execute: int = 8,
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        """Read videos with `encoder` and act with `heads`, by training domain."""
        self.encoder = encoder.eval().requires_grad_(False)
        self.heads = {domain: head.eval().requires_grad_(False) for domain, head in heads.items()}
        self.domains = tuple(self.heads)
        self.domain = self.domains[0]
        config = self.heads[self.domain].config
        if config.skill_width != encoder.config.width:
            raise WeightsDamagedError(
                f"the policy reads skills of width {config.skill_width}, those of the encoder are "
                f"{encoder.config.width} wide"
            )
        super().__init__(chunk=config.unet.chunk, execute=execute, manifest=manifest)
        self.image_size = config.vision.image_size
        self._watched: tuple[Float32Array, Any] | None = None

    @classmethod
    def load(cls, folder: Path, manifest: Mapping[str, Any], execute: int) -> XSkillAgent:
        """The agent in `folder`."""
        places = domain_folders(folder, manifest)
        heads = {domain: XSkillModel.load(place) for domain, place in places.items()}
        return cls(SkillEncoder.load(folder), heads, execute=execute, manifest=manifest)

    def reset(self, demonstration: Demonstration | None = None, instruction: str = "", seed: int = 0) -> None:
        """Start a trial: watch the human's whole video."""
        super().reset(demonstration, instruction, seed)
        self._watched = None if demonstration is None else self.watch(demonstration.frames)

    def watch(self, video: UInt8Array) -> tuple[Float32Array, Any]:
        """The skills (longest, D) of a video (T, H, W, 3), and which of them there are (longest,)."""
        longest = self.heads[self.domain].config.longest
        starts = sequence_starts(len(video), self.encoder.config.stride, longest)
        skills, there = padded(self.encoder.read(video, starts), longest)
        return skills.numpy(), there.numpy()

    def remember(self, rows: ObservationBatch, plan: ChunkState) -> None:
        """Keep the skills of the demonstration for each episode that begins."""
        config = self.heads[self.domain].config
        count = len(plan.step)
        skills = plan.memory.setdefault(
            _SKILLS, np.zeros((count, config.longest, config.skill_width), np.float32)
        )
        there = plan.memory.setdefault(_THERE, np.zeros((count, config.longest), bool))
        for row in np.flatnonzero((plan.step == 0) | ~there.any(1)):
            skills[row], there[row] = self._watched or self._glimpse(rows["human_clip"][row])

    def _glimpse(self, clip: UInt8Array) -> tuple[Float32Array, Any]:
        warnings.warn(
            f"XSkill was given no demonstration at reset: it knows the first {len(clip)} frames alone",
            stacklevel=2,
        )
        return self.watch(clip)

    def predict_chunks(self, due: ChunkRequest) -> Float32Array:
        """New chunks (B, chunk, 7)."""
        model = self.heads[self.domain]
        images = torch.from_numpy(np.ascontiguousarray(due.rows["image"]))
        sequence, there = (torch.from_numpy(due.memory[key]) for key in (_SKILLS, _THERE))
        shape = (self.chunk, model.config.unet.action_dim)
        noise = torch.stack([torch.randn(shape, generator=each) for each in due.generators])
        return model.act(images, due.rows["state"], sequence, there, noise)
