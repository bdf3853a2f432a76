"""Surfaces, drawn from fixed seeds: no image files are shipped. Arrays are RGB in 0..1, shape (P, P, 3)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter

from h2r_bench.types import FloatArray, UInt8Array

TABLE_PIXELS = 256
FINISH_PIXELS = 64

_GRID = np.indices((TABLE_PIXELS, TABLE_PIXELS)) / TABLE_PIXELS
_SMALL = np.indices((FINISH_PIXELS, FINISH_PIXELS)) / FINISH_PIXELS


def _noise(seed: int, sigma: tuple[float, float], pixels: int = TABLE_PIXELS) -> FloatArray:
    """Smooth noise that wraps around, of unit amplitude, shape (P, P)."""
    field = np.random.default_rng(seed).standard_normal((pixels, pixels))
    field = gaussian_filter(field, sigma, mode="wrap")
    return np.asarray(field / np.abs(field).max())


def _shade(base: tuple[float, float, float], tone: FloatArray) -> FloatArray:
    """`base` lightened and darkened by `tone`, shape (P, P)."""
    return np.clip(np.array(base) + tone[..., None], 0, 1)


def _wood(base: tuple[float, float, float], seed: int) -> FloatArray:
    return _shade(base, 0.10 * _noise(seed, (2, 40)) + 0.05 * _noise(seed + 1, (0.7, 18)))


def _stone(
    base: tuple[float, float, float], seed: int, coarse: float = 0.06, fine: float = 0.03
) -> FloatArray:
    return _shade(base, coarse * _noise(seed, (6, 6)) + fine * _noise(seed + 1, (1, 1)))


def _linen() -> FloatArray:
    weave = np.sin(np.arange(TABLE_PIXELS) * np.pi / 4)
    return _shade((0.83, 0.82, 0.78), 0.03 * (weave[:, None] + weave[None, :]) + 0.03 * _noise(5, (1, 1)))


def _marble() -> FloatArray:
    veins = np.abs(np.sin(2 * np.pi * (2 * _GRID[0] + _GRID[1]) + 5 * _noise(7, (14, 14))))
    return _shade((0.90, 0.90, 0.91), -0.35 * (1 - veins) ** 6 + 0.03 * _noise(8, (5, 5)))


def _terrazzo() -> FloatArray:
    image = np.full((TABLE_PIXELS, TABLE_PIXELS, 3), (0.86, 0.83, 0.78))
    chips = ((0.70, 0.35, 0.28), (0.30, 0.38, 0.42), (0.86, 0.66, 0.36), (0.25, 0.24, 0.24))
    for seed, chip in enumerate(chips):
        image[_noise(20 + seed, (3, 3)) > 0.48] = chip
    return image


def _gingham() -> FloatArray:
    bands = [(np.floor(axis * 8) % 2) for axis in _GRID]
    return np.asarray(0.92 - 0.3 * (bands[0] + bands[1])[..., None] * (0.1, 1.0, 1.0))


def _cork() -> FloatArray:
    return _shade((0.72, 0.54, 0.36), 0.16 * _noise(31, (1.5, 1.5)) + 0.08 * _noise(32, (4, 4)))


def _tiles() -> FloatArray:
    gaps = np.minimum.reduce([np.minimum(axis * 4 % 1, 1 - axis * 4 % 1) for axis in _GRID]) < 0.03
    image = _shade((0.30, 0.52, 0.60), 0.05 * _noise(41, (10, 10)))
    image[gaps] = (0.85, 0.86, 0.85)
    return image


TABLES: dict[str, Callable[[], FloatArray]] = {
    "oak": lambda: _wood((0.62, 0.45, 0.29), 100),
    "beech": lambda: _wood((0.80, 0.66, 0.49), 110),
    "slate": lambda: _stone((0.36, 0.38, 0.40), 120),
    "linen": _linen,
    "walnut": lambda: _wood((0.34, 0.21, 0.14), 130),
    "marble": _marble,
    "terrazzo": _terrazzo,
    "gingham": _gingham,
    "felt": lambda: _stone((0.10, 0.34, 0.20), 140, 0.02, 0.04),
    "cork": _cork,
    "granite": lambda: _stone((0.50, 0.47, 0.47), 150, 0.05, 0.16),
    "tiles": _tiles,
}
"""Table tops by name."""


def _plain() -> FloatArray:
    return np.ones((FINISH_PIXELS, FINISH_PIXELS, 3))


def _two_tone(mask: FloatArray | UInt8Array) -> FloatArray:
    """The prop's own colour where `mask` is 0, a much lighter or darker one where it is 1."""
    return np.where(np.asarray(mask, bool)[..., None], 0.35, 1.0) * np.ones(3)


def _dotted() -> FloatArray:
    cells = _SMALL * 4 % 1 - 0.5
    return _two_tone(np.hypot(*cells) < 0.28)


def _marbled() -> FloatArray:
    return np.clip(0.75 + 0.45 * _noise(61, (4, 4), FINISH_PIXELS), 0, 1)[..., None] * np.ones(3)


FINISHES: dict[str, Callable[[], FloatArray]] = {
    "plain": _plain,
    "striped": lambda: _two_tone(np.floor(_SMALL[1] * 6) % 2),
    "checkered": lambda: _two_tone((np.floor(_SMALL[0] * 4) + np.floor(_SMALL[1] * 4)) % 2),
    "dotted": _dotted,
    "marbled": _marbled,
    "metallic": _plain,
}
"""Surfaces of props by name; they multiply the prop's colour."""

GLOSS: dict[str, tuple[float, float, float]] = {"metallic": (1.0, 0.9, 0.25)}
"""Specular, shininess and reflectance of finishes that differ from `PLAIN_GLOSS`."""
PLAIN_GLOSS = (0.35, 0.4, 0.0)


@lru_cache(maxsize=64)
def table_pixels(name: str) -> UInt8Array:
    """The table top `name`, shape (256, 256, 3) uint8."""
    return _to_uint8(TABLES[name]())


@lru_cache(maxsize=64)
def finish_pixels(name: str) -> UInt8Array:
    """The finish `name`, shape (64, 64, 3) uint8."""
    return _to_uint8(FINISHES[name]())


def _to_uint8(image: FloatArray) -> UInt8Array:
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
