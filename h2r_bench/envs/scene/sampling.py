"""Drawing scenes: colours that can be told apart, places that are free."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from h2r_bench.envs.scene.arena import LAMP_COLOR, LAMP_DIRECTION
from h2r_bench.envs.scene.compiled import Lamp, PropSpec, SceneSpec
from h2r_bench.envs.scene.props import KINDS
from h2r_bench.envs.scene.splits import CLUTTER_AREA, CLUTTER_KINDS, Light, Region, SceneDistribution
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
    "walnut": ("black", "brown"),
    "marble": ("white",),
    "terrazzo": ("white",),
    "gingham": ("white", "red", "pink", "coral"),
    "felt": ("green",),
    "cork": ("brown", "orange"),
    "granite": (),
    "tiles": ("blue", "cyan"),
}
"""Colours that do not stand out from a table top."""


class NoFreePlaceError(RuntimeError):
    """The props asked for do not fit on the table."""


def sample_colors(
    rng: np.random.Generator, kinds: Sequence[str], table: str, distribution: SceneDistribution
) -> list[str]:
    """A colour for each kind, all different, that stands out from `table` and from its own parts."""
    names = [name for name in distribution.colors if name not in _TOO_ALIKE.get(table, ())]
    for _ in range(_TRIES):
        colors = [str(name) for name in rng.choice(names, len(kinds), replace=False)]
        if all(color not in KINDS.get(kind).clashes for kind, color in zip(kinds, colors, strict=True)):
            return colors
    raise NoFreePlaceError(f"no {len(kinds)} colours of {', '.join(names)} suit {', '.join(kinds)}")


def sample_lamp(rng: np.random.Generator, light: Light) -> Lamp:
    """The lamp somewhere within `light`."""
    bright, warm = rng.uniform(*light.brightness), rng.uniform(*light.warmth)
    red, green, blue = (bright * level for level in LAMP_COLOR)
    dx, dy = rng.uniform(-light.sway, light.sway, 2)
    x, y, z = LAMP_DIRECTION
    return Lamp((float(red + warm), float(green), float(blue - warm)), (float(x + dx), float(y + dy), z))


def sample_places(
    rng: np.random.Generator,
    kinds: Sequence[str],
    regions: Sequence[Region],
    accept: Callable[[list[tuple[float, float]]], bool] = lambda _: True,
) -> list[tuple[float, float]]:
    """A free place (x, y) [m] for each kind in its region. Raises NoFreePlaceError when there is none."""
    for _ in range(_TRIES):
        places = _place_all(rng, kinds, regions)
        if places and accept(places):
            return places
    raise NoFreePlaceError(f"no free place on the table for {', '.join(kinds)}; ask for fewer things")


def _place_all(
    rng: np.random.Generator, kinds: Sequence[str], regions: Sequence[Region]
) -> list[tuple[float, float]]:
    """One attempt at `sample_places`, the widest first; empty when it got stuck."""
    placed: dict[int, tuple[float, float]] = {}
    for index in sorted(range(len(kinds)), key=lambda i: -KINDS.get(kinds[i]).radius):
        for _ in range(_TRIES_EACH):
            place = regions[index].inside.sample(rng)
            if regions[index].allows(*place) and _is_free(place, kinds[index], placed, kinds):
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


def regions_for(distribution: SceneDistribution, count: int, *wanted: int) -> list[Region]:
    """The region of each of `count` props: those `wanted` by the goal rest in the look's own region."""
    return [distribution.region if index in wanted else distribution.elsewhere for index in range(count)]


def dress_scene(
    rng: np.random.Generator,
    kinds: Sequence[str],
    places: Sequence[tuple[float, float]],
    yaws: Sequence[float] | FloatArray,
    distribution: SceneDistribution,
) -> SceneSpec:
    """Give placed props colours, finishes and surroundings, and put the look's clutter around them."""
    table = str(rng.choice(distribution.tables))
    walls = list(distribution.walls.values())
    wall = walls[rng.integers(len(walls))]
    colors = sample_colors(rng, kinds, table, distribution)
    finishes = rng.choice(distribution.finishes, len(kinds))
    props = [
        PropSpec(kind, color, distribution.colors[color], x, y, float(yaw), str(finish))
        for kind, color, (x, y), yaw, finish in zip(kinds, colors, places, yaws, finishes, strict=True)
    ]
    lamp = sample_lamp(rng, distribution.light)
    return SceneSpec((*props, *_clutter(rng, props, distribution)), table, wall, lamp, distribution.clutter)


def _clutter(
    rng: np.random.Generator, props: Sequence[PropSpec], distribution: SceneDistribution
) -> list[PropSpec]:
    """Things that stand about, none where it would hide under a prop."""
    if not distribution.clutter:
        return []
    kinds = [str(kind) for kind in rng.choice(CLUTTER_KINDS, distribution.clutter, replace=False)]
    region = CLUTTER_AREA
    around: list[PropSpec] = []
    for _ in range(_TRIES):
        kind = kinds[len(around)]
        x, y = region.inside.sample(rng)
        near = [
            p
            for p in (*props, *around)
            if np.hypot(p.x - x, p.y - y) < p.shape.radius + KINDS.get(kind).radius
        ]
        if region.allows(x, y) and not near:
            color = str(rng.choice(list(distribution.colors)))
            around.append(
                PropSpec(kind, color, distribution.colors[color], x, y, float(rng.uniform(-np.pi, np.pi)))
            )
        if len(around) == distribution.clutter:
            return around
    raise NoFreePlaceError(f"no room for {', '.join(kinds)} around the workspace")
