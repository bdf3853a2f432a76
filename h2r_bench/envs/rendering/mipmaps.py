"""Mipmaps: a texture at half its size, a quarter, and so on, kept up to date where it is painted on."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from h2r_bench.types import UInt8Array

Box = tuple[int, int, int, int]
"""Left, top, right and bottom of a part of a picture [pixels]; the last column and row are outside."""


def halved(pixels: UInt8Array) -> UInt8Array:
    """A picture (2H, 2W, C) at half its size (H, W, C).

    The mean of two neighbours in a row, then of two in a column, each rounded up: so Mesa's software renderer
    does it.
    """
    wide = pixels.astype(np.uint16)  # sums of two need a ninth bit
    rows = (wide[:, ::2] + wide[:, 1::2] + 1) >> 1
    return ((rows[::2] + rows[1::2] + 1) >> 1).astype(np.uint8)


def union(first: Box | None, second: Box) -> Box:
    """The smallest box around both."""
    if first is None:
        return second
    (left, top), (right, bottom) = map(min, first[:2], second[:2]), map(max, first[2:], second[2:])
    return left, top, right, bottom


class Patch(NamedTuple):
    """What changed of one level."""

    level: int
    """0 for the picture itself, 1 for the level of half its size, and so on."""
    box: Box
    pixels: UInt8Array
    """What is in the box now, shape (H, W, C)."""


class Mipmaps:
    """A square picture whose side is a power of two, and the levels below it, down to a single pixel."""

    def __init__(self, pixels: UInt8Array) -> None:
        """The levels of `pixels`, shape (P, P, C), which are kept to be painted on."""
        self.levels: list[UInt8Array] = [pixels]
        """Shapes (P, P, C), (P/2, P/2, C) .. (1, 1, C)."""
        while len(self.levels[-1]) > 1:
            self.levels.append(halved(self.levels[-1]))

    def update(self, box: Box) -> list[Patch]:
        """Bring the levels up to date where the picture was painted on; returns what changed of each."""
        left, top, right, bottom = box
        patches = [Patch(0, box, self.levels[0][top:bottom, left:right].copy())]
        for number, (above, level) in enumerate(itertools.pairwise(self.levels), 1):
            left, top, right, bottom = left // 2, top // 2, (right + 1) // 2, (bottom + 1) // 2
            part = halved(above[2 * top : 2 * bottom, 2 * left : 2 * right])
            level[top:bottom, left:right] = part
            patches.append(Patch(number, (left, top, right, bottom), part))
        return patches
