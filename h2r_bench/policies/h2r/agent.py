"""The Human2Robot agent: watches the human, imagines the robot, acts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from h2r_bench.policies.common.checkpoints import WeightsDamagedError, domain_folders
from h2r_bench.policies.common.chunking import ChunkingAgent, ChunkRequest, ChunkState, ObservationBatch
from h2r_bench.policies.common.language import sentence_encoder
from h2r_bench.policies.h2r.action_decoder import ActionDecoder
from h2r_bench.policies.h2r.camera_alignment import estimate_similarity, warp
from h2r_bench.policies.h2r.encoders.base import EncoderInput, LanguageVPMEncoder, VideoEncoder, VPMEncoder
from h2r_bench.policies.h2r.encoders.catalog import find_encoder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

    from torch import Tensor

    from h2r_bench.types import Float32Array, UInt8Array


OFFSET = "offset"
"""What is remembered of an episode: how the human's camera stands apart from the robot's."""


@dataclass(frozen=True)
class Head:
    """What acts in one training domain: a decoder and the encoder whose features it reads."""

    encoder: VideoEncoder
    """Shared by all domains, unless it is trained together with the decoder."""
    decoder: ActionDecoder


def load_heads(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Head]:
    """What acts in each training domain, from the weights in `folder`: `manifest["domains"]` says where."""
    kind = find_encoder(manifest.get("encoder", "vpm"))
    shared = None if kind.trained_with_decoder else kind.load(folder)
    return {
        domain: Head(shared or kind.load(place), ActionDecoder.load(place))
        for domain, place in domain_folders(folder, manifest).items()
    }


class DecoderAgent(ChunkingAgent):
    """Video encoder and action decoder in receding horizon, one decoder for each training domain.

    Every `execute` steps the encoder looks at the coming frames of the human and the *current* robot image,
    and the decoder predicts a chunk of absolute actions from its features and the robot's state.
    """

    encoders: ClassVar[tuple[str, ...]] = ("vpm",)
    """Encoders that the agent may have, by their registered names."""

    def __init__(
        self, heads: Mapping[str, Head], *, execute: int = 8, manifest: Mapping[str, Any] | None = None
    ) -> None:
        """Act with `heads`, by training domain; all of them predict chunks of one length."""
        lengths = {head.decoder.config.chunk for head in heads.values()}
        if len(lengths) != 1:
            raise ValueError(f"the decoders of one agent predict chunks of one length, got {sorted(lengths)}")
        super().__init__(chunk=lengths.pop(), execute=execute, manifest=manifest)
        self.heads = dict(heads)
        for head in self.heads.values():
            head.encoder.eval().requires_grad_(False)
            head.decoder.eval().requires_grad_(False)
        self.domains = tuple(self.heads)
        self.domain = self.domains[0]
        self.image_size = self.heads[self.domain].encoder.image_size

    @classmethod
    def load(cls, folder: Path, manifest: Mapping[str, Any], execute: int) -> Self:
        """The agent in `folder`: the parts of each domain lie where `manifest["domains"]` says."""
        name = manifest.get("encoder", "vpm")
        if name not in cls.encoders:
            raise WeightsDamagedError(
                f"{folder} holds weights behind the encoder {name!r}; {cls.__name__} needs "
                f"{' or '.join(cls.encoders)}"
            )
        return cls(load_heads(folder, manifest), execute=execute, manifest=manifest)

    def remember(self, rows: ObservationBatch, plan: ChunkState) -> None:
        """Where an episode begins, see how the human's camera stands apart from the robot's."""
        if not self.heads[self.domain].encoder.same_view:
            return
        offsets = plan.memory.setdefault(OFFSET, np.full((len(plan.step), 4), np.nan, np.float32))
        for row in np.flatnonzero((plan.step == 0) | np.isnan(offsets[:, 0])):
            human, robot = rows["human_clip"][row, :1], rows["image"][row, None]
            offsets[row] = estimate_similarity(
                torch.from_numpy(human.copy()), torch.from_numpy(robot.copy())
            )[0].numpy()

    @torch.no_grad()
    def predict_chunks(self, due: ChunkRequest) -> Float32Array:
        """New chunks (B, chunk, 7)."""
        head = self.heads[self.domain]
        features = head.encoder(self.sight(due, head.encoder))
        shape = (self.chunk, head.decoder.config.action_dim)
        noise = torch.stack([torch.randn(shape, generator=each) for each in due.generators])
        return head.decoder.act(features, due.rows["state"], noise)

    def sight(self, due: ChunkRequest, encoder: VideoEncoder) -> EncoderInput:
        """What `encoder` is shown of the observations; what it does not look at is left empty."""
        width, height = encoder.image_size
        nothing = np.zeros((len(due.step), 0, height, width, 3), np.uint8)
        seen = {key: due.rows.get(key, nothing) for key in ("image", "human_clip", "instruction")}
        human = first_frames(seen["human_clip"], encoder.frames if "human_clip" in encoder.reads else 0)
        if encoder.same_view:
            human = warp(human, torch.from_numpy(due.memory[OFFSET]))
        robot, words = (torch.from_numpy(np.ascontiguousarray(seen[key])) for key in ("image", "instruction"))
        return EncoderInput(human, robot, words, torch.from_numpy(due.step), due.generators)


class ImaginingDecoderAgent(DecoderAgent):
    """A decoder behind a video prediction model: it imagines the robot's video, and can show it."""

    imagined_steps: ClassVar[int] = 1
    """Denoising steps of what is imagined for films: by default the one whose features the decoder reads."""

    _latest: ChunkRequest | None = None
    _clip: UInt8Array | None = None

    def predict_chunks(self, due: ChunkRequest) -> Float32Array:
        """New chunks (B, chunk, 7)."""
        self._latest, self._clip = due, None
        return super().predict_chunks(due)

    def imagine(self, step: int) -> UInt8Array:
        """The imagined robot view (H, W, 3) of `step`, from the clip that belongs to the newest chunk.

        Of the first environment, where there are several. The noise is that of the chunk's own features.

        Raises:
            RuntimeError: nothing was predicted yet.
        """
        if self._latest is None:
            raise RuntimeError("call predict before imagine")
        due = self._latest.first(self._generator(int(self._latest.step[0])))
        if self._clip is None:
            encoder = self.heads[self.domain].encoder
            assert isinstance(encoder, VPMEncoder), "the agent's own encoder"
            self._clip = encoder.imagine(self.sight(due, encoder), self.imagined_steps)[0].numpy()
        return self._clip[min(max(step - int(due.step[0]), 0), len(self._clip) - 1)]


class H2RAgent(ImaginingDecoderAgent):
    """The video prediction model imagines the robot's video; the action decoder reads it."""

    shipped = "h2r_compact"


class VPPAgent(ImaginingDecoderAgent):
    """Video Prediction Policy: the same model and decoder, told the task in words; it sees no human."""

    encoders = ("vpp",)
    reads = ("image", "instruction")
    shipped = "vpp_compact"
    recipe = "docs/baselines.md"

    @classmethod
    def load(cls, folder: Path, manifest: Mapping[str, Any], execute: int) -> Self:
        """The agent in `folder`, and the encoder of the words that it is told."""
        agent = super().load(folder, manifest, execute)
        for head in agent.heads.values():
            assert isinstance(head.encoder, LanguageVPMEncoder)
            sentence_encoder(head.encoder.language).load()
        return agent


class NoPretrainAgent(DecoderAgent):
    """The same behind a video prediction model at its initial parameters (paper, section 5.3).

    Its projection of what the human does is zero, as training would start with it: it does not see the human.
    """

    encoders = ("untrained",)
    shipped = "h2r_no_pretrain_compact"


class NoPretrainSeeingAgent(DecoderAgent):
    """The same with a Gaussian in place of that zero, so that the untrained model lets the human through."""

    encoders = ("untrained_seeing",)
    shipped = "h2r_no_pretrain_seeing_compact"


class HumanDecoderAgent(DecoderAgent):
    """ResNet18 features of the human video into the same decoder, trained together (paper, section 5.2)."""

    encoders = ("resnet18",)
    reads = ("human_clip",)
    shipped = "human_decoder_compact"


class BlindAgent(DecoderAgent):
    """The same decoder without any video: it knows the robot's state and how much time has passed."""

    encoders = ("time",)
    reads = ()
    shipped = "blind_compact"
    needs_images = False
    """It looks at no picture, so the runner need not draw any."""


def first_frames(human: UInt8Array, frames: int) -> Tensor:
    """The first `frames` frames of clips (B, T, H, W, 3). Raises ValueError when there are fewer."""
    if human.shape[1] < frames:
        raise ValueError(f"human_clip has {human.shape[1]} frames, the agent reads {frames}")
    return torch.from_numpy(np.ascontiguousarray(human[:, :frames]))
