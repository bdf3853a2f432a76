"""Strokes: the characters that are written and the play that is trained on, and what ink makes of them.

A stroke is one continuous line, shape (N, 2), in a unit square: u to the right, v up, as the writer sees it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.spatial import cKDTree

import h2r_bench
from h2r_bench.types import FloatArray

CHARACTERS_FILE = Path(h2r_bench.__file__).parent / "assets" / "characters.json"
TOLERANCE = 0.012
"""Ink within this distance of the target counts, and target within this distance of ink [m]."""
SHARE = 0.85
"""Share of target and of ink that must count."""
_UNIT_SPACING = 0.01
"""Spacing at which strokes in the unit square are compared with themselves."""
SPACING = 0.002
"""Distance between the points at which strokes are compared [m]."""


@lru_cache(maxsize=1)
def characters() -> dict[str, FloatArray]:
    """The characters by name, each one continuous stroke (N, 2) in the unit square. Never trained on."""
    raw = json.loads(CHARACTERS_FILE.read_text())
    return {name: np.array(points, float) for name, points in raw["characters"].items()}


def resample(stroke: FloatArray, spacing: float = SPACING) -> FloatArray:
    """Points at most `spacing` apart along `stroke` (N, D), corners kept: shape (M, D)."""
    steps = stroke[1:] - stroke[:-1]
    counts = np.maximum(np.ceil(np.linalg.norm(steps, axis=1) / spacing).astype(int), 1)
    nth = np.arange(counts.sum()) - (counts.cumsum() - counts).repeat(counts) + 1
    share = (nth / counts.repeat(counts))[:, None]
    between = stroke[:-1].repeat(counts, axis=0) + share * steps.repeat(counts, axis=0)
    return np.concatenate([stroke[:1], between])


def resample_all(lines: Sequence[FloatArray]) -> FloatArray:
    """Points at most `SPACING` apart along each of `lines`, each (N, 2): shape (M, 2)."""
    return np.concatenate([np.zeros((0, 2)), *(resample(line) for line in lines)])


def covered(lines: Sequence[FloatArray], by: Sequence[FloatArray]) -> float:
    """Share of `lines`, each (N, 2), within the tolerance of the lines `by` [m]; 0 where there are none."""
    wanted, there = resample_all(lines), resample_all(by)
    if len(wanted) < 2 or len(there) < 2:
        return 0.0
    away, _ = cKDTree(there).query(wanted, distance_upper_bound=1.01 * TOLERANCE)
    return float((away <= TOLERANCE).mean())


def difference(target: Sequence[FloatArray], ink: Sequence[FloatArray]) -> float:
    """Mean distance between two sets of lines, both ways [m]: how unlike they are."""
    wanted, drawn = resample_all(target), resample_all(ink)
    if len(drawn) < 2:
        return float("inf")
    missing, stray = cKDTree(drawn).query(wanted)[0], cKDTree(wanted).query(drawn)[0]
    return float(missing.mean() + stray.mean()) / 2


def without_retracing(stroke: FloatArray) -> list[FloatArray]:
    """One continuous stroke (N, 2) as it is written when the pen may be lifted: retraced parts left out."""
    lines: list[list[FloatArray]] = [[stroke[0]]]
    drawn = stroke[:1]
    for start, end in itertools.pairwise(stroke):
        way = resample(np.stack([start, end]), _UNIT_SPACING)
        if cKDTree(drawn).query(way)[0].max() > 2 * _UNIT_SPACING:
            lines[-1].append(end)
        elif len(lines[-1]) > 1:
            lines.append([end])
        else:
            lines[-1] = [end]
        drawn = np.concatenate([drawn, way])
    return [np.array(line) for line in lines if len(line) > 1]


def play_stroke(rng: np.random.Generator) -> FloatArray:
    """A stroke of the training play, never a character: a closed figure or a smooth random curve, (N, 2)."""
    kind = rng.choice(("circle", "rectangle", "triangle", "zigzag", "curve", "curve", "curve"))
    centre, turn = rng.uniform(0.4, 0.6, 2), rng.uniform(-np.pi, np.pi)
    size = rng.uniform(0.25, 0.45)
    if kind == "curve":
        return _random_curve(rng)
    if kind == "zigzag":
        return np.stack([np.linspace(0.05, 0.95, 6), rng.uniform(0.1, 0.9, 6)], axis=1)[
            :, :: rng.choice((1, -1))
        ]
    corners = {"circle": 48, "rectangle": 4, "triangle": 3}[str(kind)]
    angles = turn + np.arange(corners + 1) * 2 * np.pi / corners
    ratio = rng.uniform(0.6, 1.0)
    return np.asarray(centre + size * np.stack([np.cos(angles), ratio * np.sin(angles)], axis=1))


def _random_curve(rng: np.random.Generator) -> FloatArray:
    """A smooth curve through a few random points, kept inside the square."""
    count = int(rng.integers(4, 8))
    knots = rng.uniform(0.08, 0.92, (count, 2))
    curve = make_interp_spline(np.linspace(0, 1, count), knots, k=3)(np.linspace(0, 1, 60))
    return np.clip(np.asarray(curve), 0.02, 0.98)
