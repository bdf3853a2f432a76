"""The human's video moved onto the robot's view: image registration by the table and surroundings of both.

The paper films human and robot with one camera that stays where it is. Here, as wherever a tripod is put up
again, the human's camera stands about a centimetre and a degree apart from the robot's, which is 4 pixels of
128 and 15 mm on the table. Two pictures of one table tell that offset to a quarter of a pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

FINE_ROWS = 64
"""Height at which pictures are compared last; before that at half of it [pixels]."""
REACH = 3
"""Largest offset that is looked for at half of that height, either way: a tenth of the picture's height
[pixels]."""
STEPS = 4
"""Gauss-Newton steps at each height."""
SCALE = 0.06
"""Difference of brightness above which a pixel counts ever less, since hand, arm and what was moved differ:
scale of the Geman-McClure estimator, of brightness in [0, 1]."""
SPREAD = (0.06, 0.02)
"""Standard deviation of what is expected: of shifts [half heights], and of zoom and turn [parts, rad]. It
holds the estimate where the pictures say nothing."""
SHARE = 0.05
"""Independent pixels among those of the full height, whose differences are alike next to each other."""
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def estimate_similarity(human: Tensor, robot: Tensor) -> Tensor:
    """How the camera of `human` stands apart from that of `robot`, both (B, H, W, 3) uint8.

    To be asked of the first frames of both videos: what hand and arm cover later may be what tells.

    Returns (B, 4): right, down, zoom and turn. A point of the robot's picture at (x, y), from its middle in
    half heights, is in the human's at (x + zoom x - turn y + right, y + turn x + zoom y + down). The fit is
    robust least squares on brightness, coarse to fine.
    """
    fine = _grey(human), _grey(robot)
    coarse = _halved(fine[0]), _halved(fine[1])
    found = _searched(*coarse)
    for of_human, of_robot in (coarse, fine):
        for _ in range(STEPS):
            found = found + _step(of_human, of_robot, found)
    return found


def in_robot_view(clip: Tensor, human: Tensor, robot: Tensor) -> Tensor:
    """`clip` (T, H, W, 3) of a human video as the robot's camera would show it, uint8.

    `human`, `robot`: (H, W, 3) uint8, the first frames of both videos, see `estimate_similarity`.
    """
    return warp(clip[None], estimate_similarity(human[None], robot[None]))[0]


def warp(clips: Tensor, offsets: Tensor) -> Tensor:
    """`clips` (B, F, H, W, 3) uint8 of the human as the robot's camera would show them.

    `offsets` (B, 4): see `estimate_similarity`. What the human's camera did not see is filled up from the
    edge.
    """
    batch, frames = clips.shape[:2]
    images = clips.flatten(0, 1).movedim(-1, 1).float()
    sampled = _sampled(images, offsets.repeat_interleave(frames, 0))
    return sampled.movedim(1, -1).round().to(torch.uint8).unflatten(0, (batch, frames))


def _grey(images: Tensor) -> Tensor:
    """Smooth brightness (B, 1, h, w) in [0, 1], at most `FINE_ROWS` high; weaves would beat with pixels."""
    height, width = images.shape[1:3]
    grey = _blurred(images.float().mean(-1)[:, None] / 255)
    rows = min(FINE_ROWS, height)
    return F.interpolate(grey, (rows, max(1, round(rows * width / height))), mode="area")


def _halved(images: Tensor) -> Tensor:
    return F.avg_pool2d(_blurred(images), 2, ceil_mode=True)


def _blurred(images: Tensor) -> Tensor:
    kernel = torch.tensor(_BINOMIAL, device=images.device)
    padded = F.pad(images, (2, 2, 2, 2), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, 5)), kernel.view(1, 1, 5, 1))


def _searched(human: Tensor, robot: Tensor) -> Tensor:
    """The best of all shifts by whole pixels, as offsets (B, 4)."""
    batch, _, height, width = human.shape
    side = 2 * REACH + 1
    padded = F.pad(human, (REACH,) * 4, mode="replicate")
    shifted = F.unfold(padded, (height, width)).unflatten(1, (height, width))  # (B, h, w, side * side)
    error = (shifted - robot[:, 0, :, :, None]).square()
    cost = (error / (error + SCALE**2))[:, REACH:-REACH, REACH:-REACH].sum((1, 2)) * _worth(height)
    index = torch.arange(side * side, device=human.device)
    shifts = torch.stack([index % side - REACH, index // side - REACH], 1) * 2.0 / height
    best = (cost + (shifts / SPREAD[0]).square().sum(1)).argmin(1)
    return torch.cat([shifts[best], torch.zeros(batch, 2, device=human.device)], 1)


def _worth(height: int) -> float:
    """Independent pixels of the full height that one of a picture of `height` stands for."""
    return SHARE * (2 * FINE_ROWS / height) ** 2


def _step(human: Tensor, robot: Tensor, offsets: Tensor) -> Tensor:
    """One Gauss-Newton step (B, 4) of the iteratively reweighted fit."""
    height, width = human.shape[-2:]
    seen = _sampled(human, offsets)
    edge = max(1, height // 16)
    inside = F.pad(torch.ones_like(seen[..., edge:-edge, edge:-edge]), (edge,) * 4)
    difference = robot - seen
    weight = inside * (SCALE**2 / (difference.square() + SCALE**2)).square()
    right = F.pad(seen[..., 2:] - seen[..., :-2], (1, 1)) * (height / 4)
    down = F.pad(seen[..., 2:, :] - seen[..., :-2, :], (0, 0, 1, 1)) * (height / 4)
    x, y = _grid(height, width, human.device)
    slopes = torch.stack([right, down, right * x + down * y, down * x - right * y], -1).flatten(1, 3)
    weight = (weight * _worth(height) / SCALE**2).flatten(1)[..., None]
    expected = torch.tensor([SPREAD[0]] * 2 + [SPREAD[1]] * 2, device=human.device).pow(-2)
    normal = (slopes * weight).transpose(1, 2) @ slopes + torch.diag(expected)
    wanted = ((slopes * weight).transpose(1, 2) @ difference.flatten(1)[..., None])[..., 0]
    step: Tensor = torch.linalg.solve(normal, wanted - offsets * expected)
    return step


def _sampled(images: Tensor, offsets: Tensor) -> Tensor:
    """`images` (N, C, h, w) at the places that `offsets` (N, 4) give for their own."""
    height, width = images.shape[-2:]
    x, y = _grid(height, width, images.device)
    right, down, zoom, turn = (each[:, None, None] for each in offsets.unbind(1))
    across = (x + zoom * x - turn * y + right) * (height / width)
    places = torch.stack([across, y + turn * x + zoom * y + down], -1)
    return F.grid_sample(images, places, padding_mode="border", align_corners=False)


def _grid(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Coordinates (h, w) of pixel centres, right and down from the middle [half heights]."""
    across = ((torch.arange(width, device=device) + 0.5) * 2 - width) / height
    down = ((torch.arange(height, device=device) + 0.5) * 2 - height) / height
    return across.expand(height, -1), down[:, None].expand(-1, width)
