"""Whether anything held out of training shows in the description of an episode."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from h2r_bench.envs.scene.arena import LAMP_COLOR, LAMP_DIRECTION
from h2r_bench.envs.scene.splits import (
    CLUTTER_KINDS,
    HELD_OUT_AREA,
    HELD_OUT_COLORS,
    HELD_OUT_FINISHES,
    HELD_OUT_GRASP_KINDS,
    HELD_OUT_TABLES,
    HELD_OUT_WALLS,
)
from h2r_bench.envs.tasks.combination_gen import COMBINATIONS
from h2r_bench.envs.tasks.long_horizon import LONG_HORIZON
from h2r_bench.envs.tasks.writing import on_paper
from h2r_bench.envs.writing.strokes import SHARE, characters, covered


def find_leaks(facts: Mapping[str, Any]) -> list[str]:
    """What is held out and yet in an episode with these facts (`task`, `scene`); empty when all is well."""
    scene = facts["scene"]
    found = [leak for name in ("human", "robot") for leak in _in_scene(scene[name])]
    return [*found, *_in_order(facts["task"]), *_in_writing(scene["goal"])]


def _in_scene(scene: Mapping[str, Any]) -> Iterator[str]:
    for prop in scene["props"]:
        for key, held_out in (
            ("color", HELD_OUT_COLORS),
            ("finish", HELD_OUT_FINISHES),
            ("kind", (*HELD_OUT_GRASP_KINDS, *CLUTTER_KINDS)),
        ):
            if prop[key] in held_out:
                yield f"{key} {prop[key]}"
        if HELD_OUT_AREA.contains(prop["x"], prop["y"]):
            yield f"{prop['kind']} at ({prop['x']:.3f}, {prop['y']:.3f}) m"
    if scene["table"] in HELD_OUT_TABLES:
        yield f"table {scene['table']}"
    if tuple(scene["wall"]) in HELD_OUT_WALLS.values():
        yield f"wall {scene['wall']}"
    lamp = scene["lamp"]
    if not np.allclose(lamp["color"], LAMP_COLOR) or not np.allclose(lamp["direction"], LAMP_DIRECTION):
        yield "light"


def _in_order(task: str) -> Iterator[str]:
    """Ordered pairs of skill and kind that are left for `combination_gen`."""
    recipes = {recipe.name: recipe for recipe in LONG_HORIZON}
    if task in recipes:
        held_out = set(itertools.chain.from_iterable(recipe.pairs for recipe in COMBINATIONS))
        yield from (f"pair {pair}" for pair in recipes[task].pairs & held_out)


def _in_writing(goal: Mapping[str, Any]) -> Iterator[str]:
    """Characters that a stroke happens to be."""
    ink = [np.array(line) for line in goal["strokes"]]
    if not ink:
        return
    for name, stroke in characters().items():
        target = [on_paper(stroke)]
        if covered(target, ink) >= SHARE and covered(ink, target) >= SHARE:
            yield f"character {name}"
