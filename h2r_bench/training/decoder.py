"""Train the action decoder on the frozen VPM's features (paper, section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from h2r_bench.policies.h2r.action_decoder import ActionDecoder
from h2r_bench.training.cache import filled
from h2r_bench.training.frames import Clips
from h2r_bench.training.loop import Batch, Loop, Trainer

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.policies.h2r.config import DecoderConfig
    from h2r_bench.policies.h2r.vpm import VideoPredictionModel
    from h2r_bench.training.frames import Frames

PIECE = 8
"""Clips that the VPM sees at once when features are computed."""


@dataclass(frozen=True)
class Examples:
    """Clips whose features are computed once: clip `i` follows from the seed and `i`."""

    features: Any
    """Shape (N, F, C, h, w) float16, a memory map."""
    state: Tensor
    """Shape (N, 10): the robot's state when the clip begins, normalised."""
    actions: Tensor
    """Shape (N, chunk, 10): the actions in time with the human's clip, normalised."""


class DecoderLoss(nn.Module):
    """Equation 3 on batches of examples, with noise on the state."""

    def __init__(self, decoder: ActionDecoder, state_noise: float) -> None:
        super().__init__()
        self.decoder = decoder
        self.state_noise = state_noise

    def forward(
        self, features: Tensor, state: Tensor, actions: Tensor, *, generator: torch.Generator
    ) -> Tensor:
        """Features (B, F, C, h, w), states (B, 10) and actions (B, chunk, 10), both normalised."""
        noise = randn_tensor(state.shape, generator=generator, device=state.device)
        return self.decoder.loss(features, state + self.state_noise * noise, actions, generator)


def make_examples(
    vpm: VideoPredictionModel, decoder: ActionDecoder, frames: Frames, count: int, seed: int, out: Path
) -> Examples:
    """Draw `count` clips and compute their features, kept in `out/features.npy`."""
    length = vpm.config.frames
    parts = [frames.clips(np.random.default_rng((seed, row)), 1, length) for row in range(count)]
    drawn = Clips(
        *(np.concatenate([getattr(part, key) for part in parts]) for key in ("human", "robot", "reference"))
    )

    def compute(rows: slice) -> Any:
        noise = [
            torch.Generator().manual_seed(seed * 1_000_003 + row) for row in range(rows.start, rows.stop)
        ]
        human = torch.from_numpy(frames.human[drawn.human[rows]])
        robot = torch.from_numpy(frames.robot[drawn.reference[rows]])
        features = vpm.features(human, robot, noise)
        return features[:, : decoder.config.frames].numpy().astype(np.float16)

    out.mkdir(parents=True, exist_ok=True)
    shape = (count, decoder.config.frames, *decoder.config.feature_shape)
    features = filled(out / "features.npy", shape, PIECE, compute, "features")
    actions = frames.actions_after(drawn.robot[:, 0], decoder.config.chunk)
    normalizer = decoder.normalizer
    return Examples(features, normalizer.state(frames.state[drawn.reference]), normalizer.action(actions))


def train_decoder(
    config: DecoderConfig,
    vpm: VideoPredictionModel,
    frames: Frames,
    loop: Loop,
    *,
    batch: int,
    clips: int,
    state_noise: float,
    out: Path,
) -> ActionDecoder:
    """Train on batches of `batch` out of `clips` clips and write the decoder into `out`.

    `state_noise` is the standard deviation of what is added to the normalised state, so that the decoder
    learns to follow the video rather than to go on as it went.
    """
    torch.manual_seed(loop.seed)
    decoder = ActionDecoder(config)
    decoder.normalizer.fit(np.concatenate([frames.state[:, :3], frames.action[:, :3]]))
    examples = make_examples(vpm, decoder, frames, clips, loop.seed, out)

    def draw(rng: np.random.Generator) -> Batch:
        rows = np.sort(rng.integers(clips, size=batch))
        return torch.from_numpy(examples.features[rows]).float(), examples.state[rows], examples.actions[rows]

    Trainer(DecoderLoss(decoder, state_noise), loop, out).run(draw, "decoder")
    decoder.save(out)
    return decoder
