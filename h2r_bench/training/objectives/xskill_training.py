"""Train XSkill in its two stages: skills on videos that are not paired, then alignment and policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.policies.baselines.xskill.model import XSkillModel, padded, sequence_starts
from h2r_bench.policies.baselines.xskill.skill_encoder import SkillEncoder
from h2r_bench.ranges import Count, NotNegative
from h2r_bench.training.data.cached_array import compute_cached
from h2r_bench.training.engine.loop import Batch, Draw, Trainer, TrainingConfig, device_for
from h2r_bench.training.objectives.auxiliary_head import Readout, actions_ahead
from h2r_bench.training.objectives.diffusion_policy_training import PolicyRecipe, disturbed, fit, labels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from h2r_bench.training.data.frames import Frames

    Int = NDArray[np.int64]


PIECE = 512
"""Moments whose skills are computed at once."""


@dataclass(frozen=True)
class SkillRecipe:
    """What the skill encoder is trained on."""

    videos: Count = 4
    """Videos of each body in a batch, drawn by themselves: a human's and a robot's are of the same episode
    only by chance."""
    moments: Count = 27
    """Frames of each video, half a window apart; two less windows come of them."""


class SkillLoss(nn.Module):
    """The encoder's loss on batches of human and of robot videos."""

    def __init__(self, encoder: SkillEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self,
        human: Tensor,
        human_windows: Tensor,
        robot: Tensor,
        robot_windows: Tensor,
        *,
        generator: torch.Generator,
    ) -> Tensor:
        """Videos (V, M, H, W, 3) uint8 of either body, each by itself, and how many windows of each count."""
        return self.encoder.video_loss(human, human_windows, generator) + self.encoder.video_loss(
            robot, robot_windows, generator
        )


def draw_videos(
    frames: Frames, rng: np.random.Generator, count: int, moments: int, step: int
) -> tuple[Int, Int]:
    """Frames (count, moments), `step` apart, of episodes drawn at random; the last one of an episode repeats.

    And how many of the windows, two steps long, begin before that (count,). A video that is longer begins
    anywhere where enough of it is left.
    """
    episode = frames.episodes[rng.integers(len(frames.episodes), size=count)]
    first, last = frames.starts[episode], frames.starts[episode + 1] - 1
    spare = np.maximum(last - first - step * (moments - 1), 0)
    start = first + rng.integers(spare + 1)
    index: Int = np.minimum(start[:, None] + step * np.arange(moments), last[:, None])
    windows: Int = np.maximum((index[:, :-2] < last[:, None]).sum(1), 1)
    return index, windows


def train_skills(
    encoder: SkillEncoder, frames: Frames, loop: TrainingConfig, recipe: SkillRecipe, out: Path
) -> SkillEncoder:
    """Train `encoder` on all episodes of `frames`, unpaired, and write it into `out`."""
    config = encoder.config

    def draw(rng: np.random.Generator) -> Batch:
        batch: list[Tensor] = []
        for video in (frames.human, frames.robot):
            index, windows = draw_videos(frames, rng, recipe.videos, recipe.moments, config.window // 2)
            batch += [torch.from_numpy(video[index]), torch.from_numpy(windows)]
        return tuple(batch)

    Trainer(SkillLoss(encoder), loop, out).run(draw, "skills")
    encoder.save(out)
    return encoder


@dataclass(frozen=True)
class XSkillRecipe(PolicyRecipe):
    """What alignment and policy are trained on."""

    skill_mix: NotNegative = 2.5
    """How much of another video's skills is mixed into those of a video, at most, see `mixed`. The robot's
    own skills, as they are, say to the millimetre what comes next; a human's do not."""


class XSkillLoss(nn.Module):
    """Alignment and policy on batches of moments, with random crops, noise on the state and mixed skills."""

    def __init__(self, model: XSkillModel, recipe: XSkillRecipe) -> None:
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.readout = Readout(model.vision.width, model.config.unet.action_dim)

    def forward(
        self,
        images: Tensor,
        state: Tensor,
        sequence: Tensor,
        there: Tensor,
        due: Tensor,
        actions: Tensor,
        ahead: Tensor,
        *,
        generator: torch.Generator,
    ) -> Tensor:
        """Alignment (distance from the robot's own skill) and policy (given what alignment says) together.

        `images` (B, H, W, 3) uint8, normalised `state` (B, 10), the skills of the robot's whole video
        `sequence` (B, S, D) of which `there` (B, S) are some, the one `due` (B, D), and normalised `actions`
        (B, chunk, 10). `ahead` (B, moments, 10) is what the readout is asked for.
        """
        images, state = disturbed(images, state, self.recipe, generator)
        points = self.model.vision(images, generator)
        seen = torch.cat([points, state], dim=-1)
        sequence = mixed(sequence, there, self.recipe.skill_mix, generator)
        # The alignment looks and does not shape what is seen: naming skills took three fifths of the
        # encoder's gradient, acting a twentieth, and chunks were a third less exact for it.
        named = self.model.alignment(seen.detach(), sequence, there)
        aligned = F.mse_loss(named, due)
        # The policy learns from what it will be told, which is less than the skill that is due.
        named = named.detach()
        denoised = self.model.policy.loss(actions, torch.cat([seen, named], dim=-1), generator)
        told = self.readout(points, ahead)
        return denoised + self.model.config.alignment_weight * aligned + self.recipe.readout_weight * told


def mixed(sequence: Tensor, there: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Skills (B, S, D) as another body might have shown them: mixed with another video's, of the same size.

    A human's skills resemble the robot's of the same moments and are in part those of other scenes. Noise
    does not teach the alignment to doubt them: however much of it, picture and state alone named the skill
    that is due better than the human's video did. Each video is mixed by as much as is drawn for it, at most
    `most` parts of the other to one of its own; beyond the end of the other there is nothing to mix. `there`
    (B, S) says which of a sequence are skills; the others are zeros and stay so.
    """
    count = len(sequence)
    if not most or count < 2:
        return sequence
    amount = most * torch.rand((count, 1, 1), generator=generator).to(sequence.device)
    amount = amount * there.roll(1, 0)[..., None]
    both = (sequence + amount * sequence.roll(1, 0)) / (1.0 + amount**2).sqrt()
    return both * there[..., None]


def train_xskill(
    model: XSkillModel,
    encoder: SkillEncoder,
    frames: Frames,
    loop: TrainingConfig,
    recipe: XSkillRecipe,
    out: Path,
) -> XSkillModel:
    """Train `model` on the robot's side of the chosen episodes; write it, and `encoder`."""
    fit(model.normalizer, frames)
    skills = robot_skills(encoder.to(device_for(loop)), frames, out)
    encoder.to("cpu")
    draw = _drawing_moments(model, encoder, skills, frames, recipe)
    Trainer(XSkillLoss(model, recipe), loop, out).run(draw, "xskill")
    encoder.save(out)
    model.save(out)
    return model


def robot_skills(encoder: SkillEncoder, frames: Frames, out: Path) -> NDArray[np.float16]:
    """The skill (N, D) that begins at each chosen frame of the robot's videos.

    Kept in `out`/robot_skills.npy.
    """
    out.mkdir(parents=True, exist_ok=True)
    encoder = encoder.eval().requires_grad_(False)

    def compute(rows: slice) -> NDArray[np.float32]:
        first = frames.chosen[rows]
        last = frames.later(first, encoder.config.window)
        needed, places = np.unique(np.stack([first, last]), return_inverse=True)
        encoded = encoder.encode(frames.robot[needed])[torch.from_numpy(places.reshape(2, -1))]
        skills: NDArray[np.float32] = encoder.between(encoded[0], encoded[1]).cpu().numpy()
        return skills

    shape = (len(frames.chosen), encoder.config.width)
    return compute_cached(out / "robot_skills.npy", shape, PIECE, compute, "skills")


def _drawing_moments(
    model: XSkillModel,
    encoder: SkillEncoder,
    skills: NDArray[np.float16],
    frames: Frames,
    recipe: PolicyRecipe,
) -> Draw:
    config, stride = model.config, encoder.config.stride

    def sequence(row: int) -> tuple[Tensor, Tensor]:
        episode = frames.episode_of(frames.chosen[row])
        length = int(frames.starts[episode + 1] - frames.starts[episode])
        begin = row - int(frames.chosen[row] - frames.starts[episode])
        places = begin + np.array(sequence_starts(length, stride, config.longest))
        return padded(torch.from_numpy(skills[places]).float(), config.longest)

    def draw(rng: np.random.Generator) -> Batch:
        rows = rng.integers(len(frames.chosen), size=recipe.batch)
        index = frames.chosen[rows]
        state, actions = labels(model.normalizer, frames, index, config.unet.chunk)
        sequences, there = zip(*(sequence(int(row)) for row in rows), strict=True)
        due = torch.from_numpy(skills[rows]).float()
        images = torch.from_numpy(frames.robot[index])
        ahead = actions_ahead(model.normalizer, frames, index)
        return images, state, torch.stack(sequences), torch.stack(there), due, actions, ahead

    return draw
