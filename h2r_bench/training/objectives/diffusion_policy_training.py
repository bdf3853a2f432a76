"""Train Diffusion Policy: behaviour cloning from single robot frames and the task in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from h2r_bench.policies.baselines.diffusion_policy.model import DiffusionPolicyModel
from h2r_bench.policies.common.language import sentence_encoder
from h2r_bench.ranges import Count, NotNegative, Share
from h2r_bench.training.data.instruction_augmentation import instructions
from h2r_bench.training.data.video_augmentation import augment_video
from h2r_bench.training.engine.loop import Batch, Trainer, TrainingConfig
from h2r_bench.training.objectives.auxiliary_head import Readout, actions_ahead

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.policies.common.normalizer import Normalizer
    from h2r_bench.training.data.frames import Frames


@dataclass(frozen=True)
class PolicyRecipe:
    """What a policy is trained on."""

    batch: Count = 32
    """Moments in a batch."""
    repaint: Share = 0.0
    """Share of the moments that are shown in other colours and surroundings, see `augment_video`."""
    state_noise: NotNegative = 0.1
    """Noise on the normalised state (standard deviation). With little of it the policy goes on from where the
    state says it is and does not look, and so never comes back when it has gone astray."""
    readout_weight: NotNegative = 1.0
    """Weight of a second loss, see `Readout`, as for the decoders of `h2r`."""


@dataclass(frozen=True)
class ToldPolicyRecipe(PolicyRecipe):
    """What a policy that is told the task is trained on."""

    reword: Share = 0.5
    """Share of the moments of episodes with the cue `scene` whose instruction names other things and colours,
    see `reworded`."""


class DiffusionPolicyLoss(nn.Module):
    """The denoising loss on batches of moments, with random crops and noise on the state."""

    def __init__(self, model: DiffusionPolicyModel, recipe: PolicyRecipe) -> None:
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.readout = Readout(model.perceived, model.config.unet.action_dim)

    def forward(
        self,
        images: Tensor,
        state: Tensor,
        words: Tensor,
        actions: Tensor,
        ahead: Tensor,
        *,
        generator: torch.Generator,
    ) -> Tensor:
        """Images (B, H, W, 3), states (B, 10), words (B, width), actions (B, chunk, 10).

        `ahead` (B, moments, 10) is what the readout is asked for.
        """
        images, state = disturbed(images, state, self.recipe, generator)
        perceived = self.model.perceive(images, words, generator)
        loss = self.model.policy.loss(actions, torch.cat([perceived, state], dim=-1), generator)
        return loss + self.recipe.readout_weight * self.readout(perceived, ahead)


def disturbed(
    images: Tensor, state: Tensor, recipe: PolicyRecipe, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Images (B, H, W, 3), some in other colours, and states (B, 10) with noise."""
    images = augment_video(images[:, None], recipe.repaint, generator)[:, 0]
    noise = randn_tensor(state.shape, generator=generator, device=state.device)
    return images, state + recipe.state_noise * noise


def train_diffusion_policy(
    model: DiffusionPolicyModel, frames: Frames, loop: TrainingConfig, recipe: ToldPolicyRecipe, out: Path
) -> DiffusionPolicyModel:
    """Train `model` on the chosen moments of `frames` and write it into `out`."""
    config = model.config
    fit(model.normalizer, frames)
    sentences = sentence_encoder(config.language)

    def draw(rng: np.random.Generator) -> Batch:
        rows = frames.chosen[rng.integers(len(frames.chosen), size=recipe.batch)]
        state, actions = labels(model.normalizer, frames, rows, config.unet.chunk)
        words = sentences.embed(instructions(frames, rows, recipe.reword, rng))
        ahead = actions_ahead(model.normalizer, frames, rows)
        return torch.from_numpy(frames.robot[rows]), state, words, actions, ahead

    Trainer(DiffusionPolicyLoss(model, recipe), loop, out).run(draw, "diffusion policy")
    model.save(out)
    return model


def fit(normalizer: Normalizer, frames: Frames) -> None:
    """Take the range of positions from the chosen frames, unless there is one."""
    if normalizer.fitted:
        return
    seen = frames.chosen
    normalizer.fit(np.concatenate([frames.state[seen, :3], frames.action[seen, :3]]))


def labels(normalizer: Normalizer, frames: Frames, rows: np.ndarray, chunk: int) -> tuple[Tensor, Tensor]:
    """The robot's states (B, 10) at frames `rows` and the actions (B, chunk, 10) from then on, normalised."""
    return normalizer.state(frames.state[rows]), normalizer.action(frames.actions_after(rows, chunk))
