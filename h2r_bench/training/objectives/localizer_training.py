"""Train the ruler on the robot's frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.policies.common.images import to_unit
from h2r_bench.training.engine.loop import Batch, Trainer, TrainingConfig
from h2r_bench.video_metrics.gripper_localizer import NAME, GripperLocalizer, save_localizer, tool_pixels

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.training.data.frames import Frames


class RulerLoss(nn.Module):
    """Distance in pixels, gentle near zero."""

    def __init__(self, ruler: GripperLocalizer) -> None:
        super().__init__()
        self.ruler = ruler

    def forward(self, pictures: Tensor, pixels: Tensor, *, generator: torch.Generator) -> Tensor:
        """`pictures` (N, H, W, 3) uint8, `pixels` (N, 2)."""
        return F.smooth_l1_loss(self.ruler(to_unit(pictures)), pixels)


def train_ruler(
    frames: Frames, image_size: tuple[int, int], loop: TrainingConfig, batch: int, out: Path
) -> GripperLocalizer:
    """Train on batches of `batch` robot frames and write the ruler into `out`."""
    torch.manual_seed(loop.seed)
    ruler = GripperLocalizer()

    def draw(rng: np.random.Generator) -> Batch:
        rows = np.sort(rng.integers(len(frames), size=batch))
        pixels = tool_pixels(frames.state[rows], image_size).astype(np.float32)
        return torch.from_numpy(frames.robot[rows]), torch.from_numpy(pixels)

    Trainer(RulerLoss(ruler), loop, out).run(draw, NAME)
    save_localizer(ruler, out)
    return ruler.eval()
