"""Strokes: the characters that are written and the play that is trained on, and what ink makes of them.

A stroke is one continuous line, shape (N, 2), in a unit square: u to the right, v up, as the writer sees it.
"""

from __future__ import annotations

import itertools
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.spatial import cKDTree

from h2r_bench.types import FloatArray

CHARACTERS_FILE = Path(__file__).parents[1] / "assets" / "characters.json"
TOLERANCE = 0.012
"""Ink within this distance of the target counts, and target within this distance of ink [m]."""
SHARE = 0.85
"""Share of target and of ink that must count."""
SPACING = 0.002
"""Distance between the points at which strokes are compared [m]."""


@lru_cache(maxsize=1)
def characters() -> dict[str, FloatArray]:
    """The characters by name, each one continuous stroke (N, 2) in the unit square. Never trained on."""
    raw = json.loads(CHARACTERS_FILE.read_text())
    return {name: np.array(points, float) for name, points in raw["characters"].items()}


def resample(stroke: FloatArray, spacing: float = SPACING) -> FloatArray:
    """Points at most `spacing` apart along `stroke` (N, D), corners kept: shape (M, D)."""
    parts = [stroke[:1]]
    for start, end in itertools.pairwise(stroke):
        count = max(1, int(np.ceil(np.linalg.norm(end - start) / spacing)))
        parts.append(start + (end - start) * (np.arange(1, count + 1) / count)[:, None])
    return np.concatenate(parts)


def coverage(target: FloatArray, ink: FloatArray) -> tuple[float, float]:
    """Share of `target` (N, 2) near ink, and share of `ink` (M, 2) near the target [m]; 0 without ink."""
    if len(ink) < 2:
        return 0.0, 0.0
    wanted, drawn = resample(target), resample(ink)
    missing, stray = _distances(wanted, drawn)
    return float((missing <= TOLERANCE).mean()), float((stray <= TOLERANCE).mean())


def difference(target: FloatArray, ink: FloatArray) -> float:
    """Mean distance between two strokes, both ways [m]: how unlike they are."""
    if len(ink) < 2:
        return float("inf")
    missing, stray = _distances(resample(target), resample(ink))
    return float(missing.mean() + stray.mean()) / 2


def _distances(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distance of each point of one to the other, and the other way round."""
    return np.asarray(cKDTree(second).query(first)[0]), np.asarray(cKDTree(first).query(second)[0])


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
