"""Films of trials: the human, the robot, and what the agent imagined where it can imagine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imageio.v3
import numpy as np

from h2r_bench.files import replacing
from h2r_bench.types import CONTROL_HZ, AgentInfo, Demonstration, UInt8Array

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Imagine = Callable[[int], UInt8Array]
    """From a control step to the view (H, W, 3) that is imagined of it."""


VIEWS = ("human", "robot", "imagined")
"""What a film shows, left to right; the last only of agents that imagine."""
_BETWEEN = " | "


class TrialVideo:
    """Collects the frames of one trial and writes them as H.264."""

    def __init__(self, imagine: Imagine | None = None) -> None:
        """Film two views side by side, or three with `imagine`, see `imagination_of`."""
        self._imagine = imagine
        self.frames: list[UInt8Array] = []
        """The frames (H, W, 3) so far, all views side by side."""

    def __len__(self) -> int:
        return len(self.frames)

    def add(self, demonstration: Demonstration, step: int, robot: UInt8Array) -> None:
        """Add the `step`-th robot view, shape (H, W, 3), beside the human's frame of that moment.

        Whoever imagines has been asked for the action of that step before.
        """
        human = demonstration.frames[min(step, len(demonstration) - 1)]
        imagined = () if self._imagine is None else (self._imagine(step),)
        self.frames.append(side_by_side(human, robot, *imagined))

    def save(self, path: Path) -> None:
        """Write the film to `path` (MP4), all or nothing."""
        with (
            replacing(path) as unfinished,
            imageio.v3.imopen(unfinished, "w", plugin="pyav", extension=".mp4") as film,
        ):
            film.init_video_stream("libx264", fps=int(CONTROL_HZ), pixel_format="yuv420p")
            film.container_metadata["title"] = _BETWEEN.join(VIEWS if self._imagine else VIEWS[:2])
            for frame in self.frames:
                film.write_frame(frame)


def views_of(path: Path) -> tuple[str, ...]:
    """What the film `path` shows, left to right: its title says so, else it has the first two of `VIEWS`."""
    try:
        title = str(imageio.v3.immeta(path, plugin="pyav").get("title", ""))
    except (OSError, ValueError):
        title = ""
    views = tuple(title.split(_BETWEEN))
    return views if views == VIEWS[: len(views)] else VIEWS[:2]


def imagination_of(agent: Any) -> Imagine | None:
    """What of `agent` a film shows as its imagination: see `h2r_bench.types.ImaginingAgent`."""
    return AgentInfo.of(agent).imagine


def side_by_side(*views: UInt8Array) -> UInt8Array:
    """Views (H, W, 3), left to right, in one frame with even sides, as H.264 wants them."""
    height = min(view.shape[0] for view in views)
    row = np.concatenate([view[:height] for view in views], axis=1)
    return row[: height // 2 * 2, : row.shape[1] // 2 * 2]
