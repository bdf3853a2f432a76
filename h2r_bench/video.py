"""Films of trials: the human on the left, the robot on the right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import imageio.v3
import numpy as np

from h2r_bench.types import CONTROL_HZ, Demonstration, UInt8Array

if TYPE_CHECKING:
    from pathlib import Path


class TrialVideo:
    """Collects the frames of one trial and writes them as H.264."""

    def __init__(self) -> None:
        self._frames: list[UInt8Array] = []

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, demonstration: Demonstration, step: int, robot: UInt8Array) -> None:
        """Add the `step`-th robot view, shape (H, W, 3), beside the human's frame of that moment."""
        human = demonstration.frames[min(step, len(demonstration) - 1)]
        self._frames.append(side_by_side(human, robot))

    def save(self, path: Path) -> None:
        """Write the film to `path` (MP4), all or nothing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}")
        imageio.v3.imwrite(
            unfinished,
            np.stack(self._frames),
            plugin="pyav",
            extension=".mp4",
            codec="libx264",
            fps=int(CONTROL_HZ),
            out_pixel_format="yuv420p",
        )
        unfinished.replace(path)


def side_by_side(human: UInt8Array, robot: UInt8Array) -> UInt8Array:
    """Both views, shapes (H, W, 3), in one frame with even sides, as H.264 wants them."""
    height = min(human.shape[0], robot.shape[0])
    both = np.concatenate([human[:height], robot[:height]], axis=1)
    return both[: height // 2 * 2, : both.shape[1] // 2 * 2]
