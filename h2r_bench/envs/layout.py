"""Drawing scenes: colours that can be told apart, places that are free."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from h2r_bench.envs.props import KINDS
from h2r_bench.envs.scene import PropSpec, SceneSpec
from h2r_bench.envs.splits import HELD_OUT_AREA, RGB, TABLE_AREA, TRAIN_COLORS, TRAIN_TABLES, TRAIN_WALLS
from h2r_bench.types import FloatArray

_TRIES = 3000
_TRIES_EACH = 12
_GAP_RAISED = 0.028
"""Free room between the footprints of things that stand up [m], so that fingers pass."""
_GAP_PAINTED = 0.01
"""Free room around mats and marks [m]."""

_VISIBLE_HALF_WIDTH = 0.235
"""No footprint reaches further to the side than this [m]: there the square image ends."""

_TOO_ALIKE: dict[str, tuple[str, ...]] = {
    "linen": ("white",),
    "beech": ("white", "yellow", "orange"),
    "oak": ("orange",),
    "slate": ("black",),
}
"""Colours that do not stand out from a table top."""


class NoFreePlaceError(RuntimeError):
    """The props asked for do not fit on the table."""


@dataclass(frozen=True)
class Surroundings:
    """Table top and wall."""

    table: str
    wall: RGB


def sample_surroundings(rng: np.random.Generator) -> Surroundings:
    """A table top and a wall seen in training."""
    walls = list(TRAIN_WALLS.values())
    return Surroundings(str(rng.choice(TRAIN_TABLES)), walls[rng.integers(len(walls))])


def sample_colors(rng: np.random.Generator, kinds: Sequence[str], table: str) -> list[str]:
    """A training colour for each kind, all different, that stands out from `table` and from its own parts."""
    while True:
        names = [name for name in TRAIN_COLORS if name not in _TOO_ALIKE[table]]
        colors = [str(name) for name in rng.choice(names, len(kinds), replace=False)]
        if all(color not in KINDS.get(kind).clashes for kind, color in zip(kinds, colors, strict=True)):
            return colors


def allowed_in_training(x: float, y: float) -> bool:
    """Whether something may rest at (x, y) [m] in training."""
    return TABLE_AREA.contains(x, y) and not HELD_OUT_AREA.contains(x, y)


def sample_places(
    rng: np.random.Generator,
    kinds: Sequence[str],
    accept: Callable[[list[tuple[float, float]]], bool] = lambda _: True,
) -> list[tuple[float, float]]:
    """A free place (x, y) [m] for each kind. Raises NoFreePlaceError when there is none."""
    for _ in range(_TRIES):
        places = _place_all(rng, kinds)
        if places and accept(places):
            return places
    raise NoFreePlaceError(f"no free place on the table for {', '.join(kinds)}; ask for fewer things")


def _place_all(rng: np.random.Generator, kinds: Sequence[str]) -> list[tuple[float, float]]:
    """One attempt at `sample_places`, the widest first; empty when it got stuck."""
    placed: dict[int, tuple[float, float]] = {}
    for index in sorted(range(len(kinds)), key=lambda i: -KINDS.get(kinds[i]).radius):
        for _ in range(_TRIES_EACH):
            place = TABLE_AREA.sample(rng)
            if allowed_in_training(*place) and _is_free(place, kinds[index], placed, kinds):
                placed[index] = place
                break
        else:
            return []
    return [placed[index] for index in range(len(kinds))]


def _is_free(
    place: tuple[float, float], kind: str, placed: dict[int, tuple[float, float]], kinds: Sequence[str]
) -> bool:
    shape = KINDS.get(kind)
    if abs(place[1]) + shape.radius > _VISIBLE_HALF_WIDTH:
        return False
    for other, where in placed.items():
        neighbour = KINDS.get(kinds[other])
        gap = _GAP_RAISED if shape.free and neighbour.free else _GAP_PAINTED
        if np.hypot(place[0] - where[0], place[1] - where[1]) < shape.radius + neighbour.radius + gap:
            return False
    return True


def dress_scene(
    rng: np.random.Generator,
    kinds: Sequence[str],
    places: Sequence[tuple[float, float]],
    yaws: Sequence[float] | FloatArray,
) -> SceneSpec:
    """Give placed props colours and surroundings. Props that share colour and kind never occur."""
    around = sample_surroundings(rng)
    colors = sample_colors(rng, kinds, around.table)
    props = tuple(
        PropSpec(kind, color, TRAIN_COLORS[color], x, y, float(yaw))
        for kind, color, (x, y), yaw in zip(kinds, colors, places, yaws, strict=True)
    )
    return SceneSpec(props, around.table, around.wall)
