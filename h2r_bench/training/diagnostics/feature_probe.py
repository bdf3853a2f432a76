"""What can be read from the VPM's features: a small probe for where the gripper is, and whether it is open.

The probe sees one frame's features at a time, so it measures what the features hold and no motion prior. Of
the gripper it reads the state, which a frame shows, and the command, which it cannot always show: while the
fingers move, the same picture belongs to a gripper told to open and to one told to close. Even the true
opening tells the command of a training frame in 95.6 % of cases only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.policies.common.keypoints import KeypointHead
from h2r_bench.training.data.frames import Clips
from h2r_bench.training.engine.loop import TrainingConfig, make_optimizers
from h2r_bench.types import GRIPPER_OPENS_ABOVE

if TYPE_CHECKING:
    from h2r_bench.training.data.frames import Frames

PIECE = 8
"""Clips that the VPM sees at once."""
OPEN_ABOVE = 0.8
"""Opening (0..1) above which the fingers are open: wider than around anything they hold."""
MOST_HELD = 160
"""Most held-out clips that are read of each task: twenty episodes do not hold more that differ."""
MAPS = 64
"""Heat maps of the probe."""
BATCH = 256
"""Frames that a probe of features learns from at once."""
ANSWERS = 5
"""What it reads: normalised position (3), logits of an open gripper and of its command."""


@dataclass(frozen=True)
class Reading:
    """How well a probe reads held-out features."""

    position_mm: float
    """Median distance of the read position from the true one [mm]."""
    axes_mm: tuple[float, float, float]
    """Median error along x, y and z [mm]."""
    gripper: float
    """Share of frames in which it is read right whether the gripper is open, see `OPEN_ABOVE`."""
    command: float
    """Share of frames in which the gripper's command is read right."""
    frames: int


class Seen(Protocol):
    """N frames, any of which can be had."""

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Those of `rows`, first axis first."""


@dataclass(frozen=True)
class ProbeExamples:
    """Single frames and what is to be read from them."""

    seen: Seen
    """What the probe sees: features (N, C, h, w), float16, or pictures (N, H, W, 3), uint8."""
    position: Tensor
    """Shape (N, 3) [m]."""
    gripper: Tensor
    """Shape (N, 2): 1 where the gripper is open, and where it is told to be."""


Source = Callable[[Tensor, Tensor, list[torch.Generator]], Tensor]
"""Human clips (B, F, H, W, 3) and robot images (B, H, W, 3), uint8, and noise to features (B, F, C, h, w)."""


def examples(
    source: Source, frames: Frames, clips: int, length: int, seed: int, title: str, *, same_view: bool
) -> ProbeExamples:
    """`clips` random clips of `length` frames, the features of each computed once, as single frames.

    With `same_view` the human is seen as the robot's camera would show it.
    """
    drawn = frames.clips(np.random.default_rng((seed, 77)), clips, length)
    starts = track(range(0, clips, PIECE), title, console=Console(stderr=True))
    parts = [_features(source, frames, drawn[at : at + PIECE], at, same_view=same_view) for at in starts]
    return labelled(torch.cat(parts).flatten(0, 1), frames, drawn)


def labelled(seen: Seen, frames: Frames, drawn: Clips) -> ProbeExamples:
    """What is seen of the frames of `drawn`, clip after clip, with what is to be read from it."""
    robot = drawn.robot.reshape(-1)
    opening, command = frames.state[robot, 9], frames.action[robot, 6]
    gripper = np.stack([opening > OPEN_ABOVE, command > GRIPPER_OPENS_ABOVE], axis=1)
    return ProbeExamples(
        seen, torch.from_numpy(frames.state[robot, :3]), torch.from_numpy(gripper.astype(np.float32))
    )


def _features(source: Source, frames: Frames, drawn: Clips, at: int, *, same_view: bool) -> Tensor:
    human, robot = frames.human_clips(drawn.human, same_view=same_view), frames.robot[drawn.reference]
    noise = [torch.Generator().manual_seed(at + k) for k in range(len(human))]
    return source(human, torch.from_numpy(robot), noise).half().cpu()


def new_probe(feature_shape: tuple[int, ...]) -> KeypointHead:
    """A probe of features (C, h, w) that has learnt nothing."""
    channels, height, width = feature_shape
    return KeypointHead((channels, height, width), MAPS, 2 * MAPS, ANSWERS)


def train_probe(
    probe: nn.Module, train: ProbeExamples, seed: int, steps: int, batch: int
) -> tuple[nn.Module, Tensor, Tensor]:
    """`probe` trained on `train`, where it is; also the mean and the deviation of positions [m]."""
    device = next(probe.parameters()).device
    mean, deviation = train.position.mean(0), train.position.std(0)
    optimizers = make_optimizers(list(probe.parameters()), TrainingConfig(lr=0.01, lr_others=2e-3))
    generator = torch.Generator().manual_seed(seed)
    for step in track(range(steps), "probe", console=Console(stderr=True)):
        rows = torch.randint(len(train.position), (batch,), generator=generator)
        out = probe(train.seen[rows].to(device).float())
        wanted = ((train.position[rows] - mean) / deviation).to(device)
        loss = F.smooth_l1_loss(out[:, :3], wanted, beta=0.1)
        loss = loss + 0.3 * F.binary_cross_entropy_with_logits(out[:, 3:], train.gripper[rows].to(device))
        probe.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["highest"] * (1 - step / steps)
            optimizer.step()
    return probe.eval(), mean, deviation


@torch.no_grad()
def read(probe: nn.Module, mean: Tensor, deviation: Tensor, held: ProbeExamples) -> Reading:
    """How well `probe` reads `held`."""
    rows = torch.arange(len(held.position))
    device = next(probe.parameters()).device
    out = torch.cat([probe(held.seen[part].to(device).float()).cpu() for part in rows.split(512)])
    error = 1e3 * (out[:, :3] * deviation + mean - held.position).abs()
    right = ((out[:, 3:] > 0) == (held.gripper > 0.5)).float().mean(0)
    x, y, z = error.median(0).values.tolist()
    middle = float(error.square().sum(1).sqrt().median())
    gripper, command = right.tolist()
    return Reading(middle, (x, y, z), gripper, command, len(out))


def probe_features(
    source: Source,
    train: Frames,
    held: dict[str, Frames],
    *,
    length: int,
    same_view: bool,
    clips: int,
    steps: int,
    seed: int,
    device: torch.device,
) -> dict[str, Reading]:
    """Train a probe on `device`, on features of `train` and read those of each of `held`, by name."""
    seen = examples(source, train, clips, length, seed, "training clips", same_view=same_view)
    torch.manual_seed(seed)
    probe = new_probe(seen.seen[torch.arange(1)].shape[1:]).to(device)
    learnt = train_probe(probe, seen, seed, steps, BATCH)
    some = held_clips(clips)
    return {
        name: read(
            *learnt, examples(source, each, some, length, seed, f"clips of {name}", same_view=same_view)
        )
        for name, each in held.items()
    }


def held_clips(clips: int) -> int:
    """How many clips of each task are read by a probe that learnt from `clips`."""
    return max(PIECE, min(clips // 4, MOST_HELD))
