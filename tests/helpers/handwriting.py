"""Ink as tests look at it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from h2r_bench.types import FloatArray


def ink_lines(steps: Sequence[FloatArray]) -> list[FloatArray]:
    """The ink of steps, each (M, 2) [m], as one line (N, 2) for each time the pen was down."""
    runs = itertools.groupby(steps, key=lambda ink: len(ink) > 0)
    return [np.concatenate(list(inks)) for down, inks in runs if down]
