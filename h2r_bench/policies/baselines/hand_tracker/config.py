"""Sizes of the hand tracker."""

from __future__ import annotations

from dataclasses import dataclass

from h2r_bench.ranges import Size


@dataclass(frozen=True)
class HandConfig:
    """Sizes of the regressor."""

    image_size: tuple[Size, Size] = (128, 128)
    """Width and height of the images [pixels]."""
    width: Size = 48
    """Channels of the maps, at a quarter of the image's size."""
    points: Size = 16
    """Places it looks for in each image."""
