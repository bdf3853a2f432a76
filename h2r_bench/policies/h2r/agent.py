"""The Human2Robot agent: watches the human, imagines the robot, acts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from h2r_bench.policies.h2r.action_decoder import ActionDecoder
from h2r_bench.policies.h2r.files import manifest_hash, read_manifest
from h2r_bench.policies.h2r.vpm import VideoPredictionModel
from h2r_bench.types import ACTION_DIM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from h2r_bench.types import Demonstration, Float32Array, UInt8Array

SHIPPED = Path(__file__).parents[2] / "assets" / "h2r_compact"
"""The weights that come with the package."""


@dataclass
class Plan:
    """What the agent remembers between steps, one row per environment."""

    step: np.ndarray[Any, np.dtype[np.int64]]
    """Shape (B,): control steps since the episode began."""
    chunk: Float32Array
    """Shape (B, chunk, 7): the actions predicted last."""

    @classmethod
    def empty(cls, count: int, chunk: int) -> Plan:
        """No step taken yet in any of `count` environments."""
        return cls(np.zeros(count, np.int64), np.zeros((count, chunk, ACTION_DIM), np.float32))

    def copy(self) -> Plan:
        """An independent copy."""
        return Plan(self.step.copy(), self.chunk.copy())


class H2RAgent:
    """Video prediction model and action decoder in receding horizon.

    Every `execute` steps the VPM runs on the coming frames of the human with the *current* robot image as
    reference, and the decoder predicts a chunk of absolute actions. All noise is keyed by the seed given at
    `reset` and the step, alike for every environment of a batch: a batch does what its members would alone.
    """

    def __init__(
        self,
        vpm: VideoPredictionModel,
        decoder: ActionDecoder,
        *,
        execute: int = 8,
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        chunk = decoder.config.chunk
        if not 1 <= execute <= chunk:
            raise ValueError(f"execute is between 1 and the chunk of {chunk} actions, got {execute}")
        self.vpm = vpm.eval().requires_grad_(False)
        self.decoder = decoder.eval().requires_grad_(False)
        self.execute = execute
        self.manifest = dict(manifest or {})
        self.seed = 0
        self._plan: Plan | None = None

    @classmethod
    def from_pretrained(cls, path: Path | str | None = None, *, execute: int | None = None) -> H2RAgent:
        """The agent stored in folder `path`; by default the one that ships with the package.

        Raises WeightsMissingError or WeightsDamagedError, naming the file.
        """
        folder = SHIPPED if path is None else Path(path)
        manifest = read_manifest(folder)
        vpm, decoder = VideoPredictionModel.load(folder), ActionDecoder.load(folder)
        return cls(vpm, decoder, execute=execute or int(manifest["execute"]), manifest=manifest)

    @property
    def weights_hash(self) -> str:
        """Short hash of all weight files; empty for an agent that was not loaded from any."""
        return manifest_hash(self.manifest) if self.manifest else ""

    @property
    def world(self) -> int | None:
        """World version of the data the weights were trained on, if known."""
        return self.manifest.get("world")

    def reset(self, demonstration: Demonstration | None = None, instruction: str = "", seed: int = 0) -> None:
        """Start a trial. The video itself comes with the observations."""
        self.seed = int(seed)
        self._plan = None

    def predict(
        self,
        observation: Mapping[str, Any],
        state: Plan | None = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Float32Array, Plan]:
        """The action (7,), or (B, 7) for observations with a leading axis, and what to pass as `state` next.

        Without `state` the agent goes on from its own last call. `episode_start` (B,) marks environments that
        begin anew.
        """
        batched = np.ndim(observation["state"]) == 2
        rows = {key: np.asarray(observation[key]) for key in ("image", "state", "human_clip")}
        if not batched:
            rows = {key: value[None] for key, value in rows.items()}
        plan = self._recall(state, episode_start, len(rows["state"]))
        due = np.flatnonzero(plan.step % self.execute == 0)
        if len(due):
            plan.chunk[due] = self._imagine(rows, due, plan.step[due])
        action = plan.chunk[np.arange(len(plan.step)), plan.step % self.execute]
        plan.step += 1
        self._plan = plan
        return (action if batched else action[0]), plan

    def plan(self, observation: Mapping[str, Any], step: int) -> Float32Array:
        """A new chunk (chunk, 7) from the observation of `step`, for runners that compute while they move."""
        rows = {key: np.asarray(observation[key])[None] for key in ("image", "state", "human_clip")}
        return self._imagine(rows, np.array([0]), [step])[0]

    def _recall(self, state: Plan | None, episode_start: Any, count: int) -> Plan:
        remembered = state if state is not None else self._plan
        if remembered is None or len(remembered.step) != count:
            return Plan.empty(count, self.decoder.config.chunk)
        plan = remembered.copy()
        if episode_start is not None:
            plan.step[np.broadcast_to(np.asarray(episode_start, bool), (count,))] = 0
        return plan

    def _imagine(self, rows: Mapping[str, Any], due: Any, steps: Any) -> Float32Array:
        """New chunks (len(due), chunk, 7) for the environments `due`."""
        frames, decoder = self.vpm.config.frames, self.decoder.config
        human = _clip(rows["human_clip"][due], frames)
        image = torch.from_numpy(np.ascontiguousarray(rows["image"][due]))
        generators = [self._generator(int(step)) for step in steps]
        features = self.vpm.features(human, image, generators)
        noise = [torch.randn(decoder.chunk, decoder.action_dim, generator=each) for each in generators]
        return self.decoder.act(features, rows["state"][due], torch.stack(noise))

    def _generator(self, step: int) -> torch.Generator:
        key = np.random.SeedSequence((self.seed, step)).generate_state(2, np.uint32)
        return torch.Generator().manual_seed((int(key[0]) << 31) ^ int(key[1]))


def _clip(human: UInt8Array, frames: int) -> Tensor:
    """The first `frames` frames of clips (B, T, H, W, 3)."""
    if human.shape[1] < frames:
        raise ValueError(f"human_clip has {human.shape[1]} frames, the agent reads {frames}")
    return torch.from_numpy(np.ascontiguousarray(human[:, :frames]))
