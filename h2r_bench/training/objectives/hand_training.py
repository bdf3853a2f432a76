"""Train the hand tracker's regressor on the true hand poses of the human's frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.policies.baselines.hand_tracker.config import HandConfig
from h2r_bench.policies.baselines.hand_tracker.model import HandRegressor
from h2r_bench.training.data.video_augmentation import augment_video
from h2r_bench.training.engine.loop import Batch, Trainer, TrainingConfig

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.training.data.frames import Frames


class HandLoss(nn.Module):
    """Distance from the true pose and command, gentle near zero."""

    def __init__(self, regressor: HandRegressor, repaint: float) -> None:
        super().__init__()
        self.regressor = regressor
        self.repaint = repaint

    def forward(self, frames: Tensor, code: Tensor, *, generator: torch.Generator) -> Tensor:
        """Frames (N, H, W, 3) uint8 and normalised actions (N, 10)."""
        frames = augment_video(frames[:, None], self.repaint, generator)[:, 0]
        return F.smooth_l1_loss(self.regressor(frames), code, beta=0.1)


def train_hand(
    config: HandConfig, frames: Frames, loop: TrainingConfig, batch: int, out: Path, repaint: float = 0.0
) -> HandRegressor:
    """Train on batches of `batch` human frames, a share `repaint` in other colours; write into `out`."""
    torch.manual_seed(loop.seed)
    regressor = HandRegressor(config)
    regressor.normalizer.fit(frames.hand_pose[frames.chosen, :3])

    def draw(rng: np.random.Generator) -> Batch:
        rows = np.sort(frames.chosen[rng.integers(len(frames.chosen), size=batch)])
        # The command of the same moment: what a gripper should do, where the hand only shows how far it is.
        command = frames.action[frames.robot_of_human[rows], 6:]
        wanted = np.concatenate([frames.hand_pose[rows], command], axis=1)
        return torch.from_numpy(frames.human[rows]), regressor.normalizer.action(wanted)

    Trainer(HandLoss(regressor, repaint), loop, out).run(draw, "hand")
    regressor.save(out)
    return regressor
