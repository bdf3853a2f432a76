"""Ink on paper: the points a pen left, and the picture of them that the cameras see.

Points are in the paper's frame [m]: x away from the writer, y to the writer's left, origin in the middle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from h2r_bench.envs.rendering.mipmaps import Box, union
from h2r_bench.envs.scene.props import PAPER_HALF
from h2r_bench.types import FloatArray, UInt8Array

SHEET_PIXELS = 256
TOUCH_HEIGHT = 0.004
"""A tip lower than this leaves ink [m]."""
LINE_WIDTH = 0.006
"""Width of an ink line [m]."""
_HALF = np.array(PAPER_HALF)
_MARGIN = 2
"""Columns and rows that a line may reach beyond half its width, by rounding [pixels]."""
_PAPER_COLOR, _GUIDE_COLOR, _INK_COLOR = (243, 242, 236), (196, 204, 220), (24, 26, 60)

Lines = tuple[tuple[tuple[float, float], ...], ...]
"""Lines on paper as hashable data, in the paper's frame [m]."""


class Sheet:
    """The picture of one sheet, drawn on as the pen moves."""

    def __init__(self, guide: Lines = ()) -> None:
        """A blank sheet, or one with `guide`, faint lines [m] to be followed."""
        self._image = Image.new("RGB", (SHEET_PIXELS, SHEET_PIXELS), _PAPER_COLOR)
        self._draw = ImageDraw.Draw(self._image)
        self._last: tuple[float, float] | None = None
        self._pixels = np.array(self._image)
        self._changed: Box | None = None
        for line in guide:
            self._line(np.array(line, float), _GUIDE_COLOR)

    def add(self, points: FloatArray) -> None:
        """Ink along `points` (N, 2) [m], going on from the last; an empty array lifts the pen."""
        if len(points) == 0:
            self._last = None
            return
        start = [] if self._last is None else [self._last]
        self._line(np.array([*start, *points], float), _INK_COLOR)
        self._last = (float(points[-1][0]), float(points[-1][1]))

    def pixels(self) -> UInt8Array:
        """The picture, shape (256, 256, 3); what is added later shows in it."""
        return self._pixels

    def take_changed(self) -> Box | None:
        """Where the picture changed since this was last asked; None where it did not."""
        changed, self._changed = self._changed, None
        return changed

    def _line(self, points: FloatArray, color: tuple[int, int, int]) -> None:
        if len(points) == 0:
            return
        width = LINE_WIDTH / (2 * PAPER_HALF[0]) * SHEET_PIXELS
        spots = [(x, y) for x, y in to_pixels(points).tolist()]
        self._draw.line(spots, fill=color, width=round(width), joint="curve")
        for x, y in (spots[0], spots[-1]):
            self._draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=color)
        self._take_over(spots, width / 2 + _MARGIN)

    def _take_over(self, spots: Sequence[tuple[float, float]], reach: float) -> None:
        """Bring the pixels up to date where something was drawn: within `reach` of `spots` [pixels]."""
        columns, rows = zip(*spots, strict=True)
        left, top = (_on_picture(math.floor(min(values) - reach)) for values in (columns, rows))
        right, bottom = (_on_picture(math.ceil(max(values) + reach)) for values in (columns, rows))
        drawn = self._image.crop((left, top, right, bottom)).tobytes()
        there = self._pixels[top:bottom, left:right]
        # A pen at rest draws over what is there already.
        if drawn != there.tobytes():
            there[:] = np.frombuffer(drawn, np.uint8).reshape(there.shape)
            self._changed = union(self._changed, (left, top, right, bottom))


def _on_picture(edge: int) -> int:
    return min(max(edge, 0), SHEET_PIXELS)


def to_pixels(points: FloatArray) -> FloatArray:
    """Points (N, 2) in the paper's frame [m] to pixels (N, 2), column and row, of its texture."""
    share = points / (2 * _HALF) + 0.5
    return np.asarray(np.stack([share[:, 0], 1.0 - share[:, 1]], axis=1) * (SHEET_PIXELS - 1))


def on_sheet(points: FloatArray) -> np.ndarray:
    """Which of the points (N, 2) [m] lie on the paper: shape (N,)."""
    return np.asarray((np.abs(points) <= _HALF).all(axis=1))
