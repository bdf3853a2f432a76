"""Clutter: things that stand about in `background_gen`, seen and never touched.

Body frames are at the bottom centre, x forward; lengths in metres.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from h2r_bench.envs.scene.prop_kind import PropKind
from h2r_bench.envs.scene.props import INK, KINDS, PAPER, PLAIN, add_box, paint

if TYPE_CHECKING:
    from dm_control import mjcf


def _mug(body: mjcf.Element) -> None:
    body.add(
        "geom", name="tint", type="cylinder", size=(0.036, 0.045), pos=(0, 0, 0.045), rgba=PLAIN, **paint()
    )
    body.add(
        "geom", name="coffee", type="cylinder", size=(0.031, 0.0005), pos=(0, 0, 0.0905), rgba=INK, **paint()
    )
    for z in (0.025, 0.065):
        add_box(body, f"tint{z}", (0.013, 0.005, 0.005), (0.046, 0, z), **paint())
    add_box(body, "tint_grip", (0.005, 0.005, 0.025), (0.058, 0, 0.045), **paint())


def _book(body: mjcf.Element) -> None:
    add_box(body, "tint", (0.075, 0.055, 0.012), (0, 0, 0.012), **paint())
    add_box(body, "pages", (0.0735, 0.0556, 0.009), (0.0022, 0, 0.012), **paint() | {"rgba": PAPER})


def _plant(body: mjcf.Element) -> None:
    body.add(
        "geom", name="tint", type="cylinder", size=(0.035, 0.03), pos=(0, 0, 0.03), rgba=PLAIN, **paint()
    )
    leaf = (0.16, 0.42, 0.16, 1.0)
    for k in range(7):
        angle = 2 * np.pi * k / 7
        tip = (0.05 * np.cos(angle), 0.05 * np.sin(angle), 0.115 + 0.012 * (k % 3))
        body.add(
            "geom",
            name=f"leaf{k}",
            type="capsule",
            fromto=(0, 0, 0.06, *tip),
            size=(0.009,),
            rgba=leaf,
            **paint(),
        )


def _apple(body: mjcf.Element) -> None:
    body.add(
        "geom",
        name="tint",
        type="ellipsoid",
        size=(0.037, 0.037, 0.033),
        pos=(0, 0, 0.033),
        rgba=PLAIN,
        **paint(),
    )
    body.add(
        "geom",
        name="stalk",
        type="capsule",
        fromto=(0, 0, 0.062, 0.004, 0, 0.078),
        size=(0.002,),
        rgba=INK,
        **paint(),
    )


def _speaker(body: mjcf.Element) -> None:
    add_box(body, "tint", (0.032, 0.04, 0.06), (0, 0, 0.06), **paint())
    for name, radius, z in (("woofer", 0.027, 0.042), ("tweeter", 0.013, 0.092)):
        body.add(
            "geom",
            name=name,
            type="cylinder",
            size=(radius, 0.001),
            pos=(0.0325, 0, z),
            euler=(0, np.pi / 2, 0),
            rgba=INK,
            **paint(),
        )


def _tape(body: mjcf.Element) -> None:
    """A roll of adhesive tape."""
    body.add(
        "geom", name="tint", type="cylinder", size=(0.042, 0.012), pos=(0, 0, 0.012), rgba=PLAIN, **paint()
    )
    body.add(
        "geom", name="core", type="cylinder", size=(0.026, 0.0122), pos=(0, 0, 0.0122), rgba=PAPER, **paint()
    )
    body.add(
        "geom", name="hole", type="cylinder", size=(0.023, 0.0124), pos=(0, 0, 0.0124), rgba=INK, **paint()
    )


for _kind in (
    PropKind("mug", _mug, 0.06, 0.0, free=False),
    PropKind("book", _book, 0.093, 0.0, free=False),
    PropKind("plant", _plant, 0.06, 0.0, free=False),
    PropKind("apple", _apple, 0.037, 0.0, free=False),
    PropKind("speaker", _speaker, 0.052, 0.0, free=False),
    PropKind("tape", _tape, 0.042, 0.0, free=False),
):
    KINDS.add(_kind.name, _kind)
