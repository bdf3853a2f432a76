"""Train the action decoder behind a video encoder (paper, section 4.2).

The features of a frozen encoder are computed once, before the decoder is trained; an encoder that is trained
together with the decoder sees its clips anew at every step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.policies.h2r.action_decoder import ActionDecoder
from h2r_bench.policies.h2r.encoders.base import EncoderInput, VideoEncoder
from h2r_bench.ranges import Count, NotNegative, Share
from h2r_bench.training.data.cached_array import compute_cached
from h2r_bench.training.data.frames import MAX_LAG, Clips
from h2r_bench.training.data.video_augmentation import augment_video
from h2r_bench.training.engine.loop import Batch, Draw, Trainer, TrainingConfig, device_for
from h2r_bench.training.engine.run_metadata import READER
from h2r_bench.training.objectives.auxiliary_head import READOUT_BETA

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.policies.common.keypoints import KeypointHead
    from h2r_bench.policies.h2r.config import DecoderConfig
    from h2r_bench.training.data.frames import Frames

PIECE = 8
"""Clips that the encoder sees at once when features are computed."""
GPU_PIECE = 128
"""The same on a GPU."""


@dataclass(frozen=True)
class DecoderRecipe:
    """What a decoder is trained on."""

    batch: Count = 16
    """Clips in a batch."""
    clips: Count = 6000
    """Clips whose features are computed, once, where the encoder is frozen; 200 kB each. A few are learnt by
    heart: a probe of 6,000 frames of the VPM's features read these to 1 mm and others to 20 mm."""
    repaint: Share = 0.0
    """Share of the clips that the encoder sees in other colours and surroundings, see `augment_video`."""
    feature_dropout: Share = 0.1
    """Share of feature channels left out in each frame."""
    state_noise: NotNegative = 0.03
    """Noise on the normalised state, so that the decoder learns to follow the video rather than to go on as
    it went (standard deviation)."""
    readout_weight: NotNegative = 1.0
    """Weight of a second loss: a linear layer, thrown away afterwards, reads from each frame's tokens the
    action of that moment. The tokens learn faster where the gripper is when they are asked for it without the
    noise of diffusion in between."""
    reader_share: Share = 0.3
    """Share of the training in which the frame reader alone learns, from single frames, to read the action of
    their moment; then it is frozen. Behind an encoder that is trained as well, all learn together."""
    reader_batch: Count = 128
    """Frames in a batch of the frame reader's training."""


@dataclass(frozen=True)
class DecoderExamples:
    """Clips whose features are computed once: clip `i` follows from the seed and `i`."""

    features: Any
    """Shape (N, F, C, h, w) float16, a memory map."""
    state: Tensor
    """Shape (N, 10): the robot's state when the clip begins, normalised."""
    actions: Tensor
    """Shape (N, chunk, 10): the actions in time with the human's clip, normalised."""


class DecoderLoss(nn.Module):
    """Equation 3 and the readout on batches of examples, with noisy states and gaps in the features."""

    def __init__(self, decoder: ActionDecoder, recipe: DecoderRecipe) -> None:
        super().__init__()
        self.decoder = decoder
        self.recipe = recipe
        config = decoder.config
        self.readout = nn.Linear(config.queries_per_frame * config.width, config.action_dim)

    def forward(
        self, features: Tensor, state: Tensor, actions: Tensor, *, generator: torch.Generator
    ) -> Tensor:
        """Features (B, F, C, h, w), states (B, 10) and actions (B, chunk, 10), both normalised."""
        noise = randn_tensor(state.shape, generator=generator, device=state.device)
        noisy = state + self.recipe.state_noise * noise
        features = thinned(features, self.recipe.feature_dropout, generator)
        context = self.decoder.context(features, noisy)
        loss = self.decoder.policy.loss(actions, context, generator)
        if not self.recipe.readout_weight:
            return loss
        return loss + self.recipe.readout_weight * self._readout_loss(context[:, :-1], actions)

    def _readout_loss(self, tokens: Tensor, actions: Tensor) -> Tensor:
        """Mean error of the actions (B, chunk, 10) as read from the tokens (B, n, L) of their own frames."""
        frames = min(self.decoder.config.frames, actions.shape[1])
        of_frame = tokens.unflatten(1, (self.decoder.config.frames, -1)).flatten(2)
        return F.smooth_l1_loss(self.readout(of_frame[:, :frames]), actions[:, :frames], beta=READOUT_BETA)


class ReaderLoss(nn.Module):
    """What the frame reader says of single frames, beside the action of their moment."""

    def __init__(self, reader: KeypointHead, width: int, actions: int, dropout: float) -> None:
        super().__init__()
        self.reader = reader
        self.readout = nn.Linear(width, actions)
        self.dropout = dropout

    def forward(self, features: Tensor, actions: Tensor, *, generator: torch.Generator) -> Tensor:
        """Features (B, C, h, w) and normalised actions (B, 10)."""
        read = self.readout(self.reader(thinned(features, self.dropout, generator)))
        return F.smooth_l1_loss(read, actions, beta=READOUT_BETA)


class JointLoss(nn.Module):
    """The same with the encoder inside, so that it learns as well."""

    def __init__(self, encoder: VideoEncoder, loss: DecoderLoss) -> None:
        super().__init__()
        self.encoder = encoder
        self.loss = loss

    def forward(
        self,
        human: Tensor,
        robot: Tensor,
        instruction: Tensor,
        step: Tensor,
        state: Tensor,
        actions: Tensor,
        *,
        generator: torch.Generator,
    ) -> Tensor:
        """What `EncoderInput` holds, then states (B, 10) and actions (B, chunk, 10), both normalised."""
        human, robot = _repainted(human, robot, self.loss.recipe.repaint, generator)
        features = self.encoder(EncoderInput(human, robot, instruction, step, []))
        out: Tensor = self.loss(features, state, actions, generator=generator)
        return out


def thinned(features: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """`features` (..., C, h, w) without a `share` of each frame's channels, the others larger by as much."""
    if not share:
        return features
    kept = torch.rand((*features.shape[:-2], 1, 1), generator=generator) >= share
    return features * kept.to(features.device) / (1.0 - share)


def _repainted(
    human: Tensor, robot: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Human clips (B, F, H, W, 3) and robot images (B, H, W, 3), where there are any, in other colours."""
    if human.numel():
        human = augment_video(human, share, generator)
    if robot.numel():
        robot = augment_video(robot[:, None], share, generator)[:, 0]
    return human, robot


def make_examples(
    encoder: VideoEncoder,
    decoder: ActionDecoder,
    frames: Frames,
    loop: TrainingConfig,
    recipe: DecoderRecipe,
    out: Path,
) -> DecoderExamples:
    """Draw `recipe.clips` clips and compute their features, kept in `out/features.npy`."""
    count, seed, device = recipe.clips, loop.seed, device_for(loop)
    drawn = Clips.joined(
        [draw_clips(encoder, frames, np.random.default_rng((seed, row)), 1) for row in range(count)]
    )
    encoder.to(device)

    @torch.no_grad()
    def compute(rows: slice) -> Any:
        noise = [
            torch.Generator().manual_seed(seed * 1_000_003 + row) for row in range(rows.start, rows.stop)
        ]
        human, robot, words, step = (each.to(device) for each in look(encoder, frames, drawn[rows]))
        colors = torch.Generator().manual_seed(seed * 1_000_003 + rows.start)
        human, robot = _repainted(human, robot, recipe.repaint, colors)
        features = encoder(EncoderInput(human, robot, words, step, noise))
        return features[:, : decoder.config.frames].half().cpu().numpy()

    out.mkdir(parents=True, exist_ok=True)
    shape = (count, decoder.config.frames, *decoder.config.feature_shape)
    piece = PIECE if device.type == "cpu" else GPU_PIECE
    features = compute_cached(out / "features.npy", shape, piece, compute, "features")
    encoder.to("cpu")
    return DecoderExamples(features, *labels(decoder, frames, drawn))


def draw_clips(encoder: VideoEncoder, frames: Frames, rng: np.random.Generator, count: int) -> Clips:
    """`count` clips as `encoder` takes them."""
    return frames.clips(rng, count, max(1, encoder.frames), max_lag=MAX_LAG if encoder.lags else 0)


def look(encoder: VideoEncoder, frames: Frames, drawn: Clips) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Human clips, robot images, instructions and steps of `drawn`; empty what the encoder does not read."""
    robot = drawn.reference if "image" in encoder.reads else drawn.reference[:0]
    start = drawn.human[:, 0]
    human = drawn.human if "human_clip" in encoder.reads else drawn.human[:, :0]
    return (
        frames.human_clips(human, same_view=encoder.same_view),
        torch.from_numpy(frames.robot[robot]),
        torch.from_numpy(frames.instructions(drawn.reference)),
        torch.from_numpy(frames.steps(start)),
    )


def labels(decoder: ActionDecoder, frames: Frames, drawn: Clips) -> tuple[Tensor, Tensor]:
    """States when the clips begin and the actions in time with the human's, both normalised."""
    actions = frames.actions_after(drawn.robot[:, 0], decoder.config.chunk)
    normalizer = decoder.normalizer
    return normalizer.state(frames.state[drawn.reference]), normalizer.action(actions)


def fitted_config(config: DecoderConfig, encoder: VideoEncoder) -> DecoderConfig:
    """`config` for the features of `encoder`; of more frames than it reads, it reads the first."""
    frames = min(config.frames, encoder.frames) or 1
    return replace(config, feature_shape=encoder.feature_shape, frames=frames)


def train_decoder(
    decoder: ActionDecoder,
    encoder: VideoEncoder,
    frames: Frames,
    loop: TrainingConfig,
    recipe: DecoderRecipe,
    out: Path,
) -> ActionDecoder:
    """Train `decoder` behind `encoder` on clips of `frames`, and write it into `out`.

    The encoder is written there, too, unless it has a run of its own.
    """
    if not decoder.normalizer.fitted:
        seen = frames.chosen
        decoder.normalizer.fit(np.concatenate([frames.state[seen, :3], frames.action[seen, :3]]))
    frames.device = device_for(loop)
    loss = DecoderLoss(decoder, recipe)
    if encoder.trained_with_decoder:
        draw = _drawing_clips(encoder, decoder, frames, recipe)
        Trainer(JointLoss(encoder, loss), loop, out).run(draw, "decoder")
    else:
        examples = make_examples(encoder, decoder, frames, loop, recipe, out)
        rest = _train_reader(decoder, examples, loop, recipe, out / READER)
        Trainer(loss, rest, out).run(_drawing_examples(examples, recipe), "decoder")
    if not encoder.own_run:
        encoder.save(out)
    decoder.save(out)
    return decoder


def _train_reader(
    decoder: ActionDecoder, examples: DecoderExamples, loop: TrainingConfig, recipe: DecoderRecipe, out: Path
) -> TrainingConfig:
    """Train the decoder's frame reader, freeze it, and return what is left of the budget `loop`."""
    reader, config = decoder.former.reader, decoder.config
    if reader is None or not recipe.reader_share:
        return loop
    loss = ReaderLoss(reader, config.width, config.action_dim, recipe.feature_dropout)
    frames = min(config.frames, config.chunk)

    def draw(rng: np.random.Generator) -> Batch:
        rows = np.sort(rng.integers(recipe.clips, size=recipe.reader_batch))
        moments = rng.integers(frames, size=recipe.reader_batch)
        return torch.from_numpy(examples.features[rows, moments]).float(), examples.actions[rows, moments]

    Trainer(loss, _part(loop, recipe.reader_share), out).run(draw, "frame reader")
    reader.requires_grad_(False)
    return _part(loop, 1.0 - recipe.reader_share)


def _part(loop: TrainingConfig, share: float) -> TrainingConfig:
    """`loop` with a `share` of its budget."""
    steps = None if loop.steps is None else max(1, round(share * loop.steps))
    return replace(loop, steps=steps, minutes=None if loop.minutes is None else share * loop.minutes)


def _drawing_examples(examples: DecoderExamples, recipe: DecoderRecipe) -> Draw:
    def draw(rng: np.random.Generator) -> Batch:
        rows = np.sort(rng.integers(recipe.clips, size=recipe.batch))
        return torch.from_numpy(examples.features[rows]).float(), examples.state[rows], examples.actions[rows]

    return draw


def _drawing_clips(
    encoder: VideoEncoder, decoder: ActionDecoder, frames: Frames, recipe: DecoderRecipe
) -> Draw:
    def draw(rng: np.random.Generator) -> Batch:
        drawn = draw_clips(encoder, frames, rng, recipe.batch)
        return (*look(encoder, frames, drawn), *labels(decoder, frames, drawn))

    return draw
