"""Things on the table. Each kind is data plus a function that adds its geoms to a body.

Conventions: the body frame is at the bottom centre for goals and at the centre of mass for objects; the
long axis is x; a gripper at yaw 0 relative to the body closes across the narrow side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from h2r_bench.envs.scene.prop_kind import PropKind
from h2r_bench.registry import Registry

if TYPE_CHECKING:
    from dm_control import mjcf

Tint = tuple[float, float, float, float]
PLAIN: Tint = (0.5, 0.5, 0.5, 1.0)
INK: Tint = (0.10, 0.10, 0.11, 1.0)
PAPER: Tint = (0.95, 0.95, 0.93, 1.0)

PEN_TIP = 0.03
"""The held pen's tip below the tool frame [m]."""
PAPER_HALF = (0.13, 0.11)
"""Half extents of the sheet of paper [m]."""
TINTED = "tint"
"""Geoms whose name starts with this take the prop's colour; the others keep their own."""


KINDS: Registry[PropKind] = Registry("prop kind")


def add_box(
    body: mjcf.Element,
    name: str,
    half: tuple[float, float, float],
    pos: tuple[float, float, float],
    **extra: object,
) -> mjcf.Element:
    """Add a box with half extents `half` at `pos` [m], in the body frame."""
    return body.add("geom", name=name, type="box", size=half, pos=pos, **{"rgba": PLAIN, **extra})


def _solid(mass: float) -> dict[str, object]:
    """Contact values of a solid object of `mass` [kg]."""
    return {"mass": mass, "friction": (0.8, 0.01, 0.0005), "condim": 4}


def _smooth(mass: float) -> dict[str, object]:
    """As `_solid`, and fingers slide on it too: rubber that sticks to a rim presses it down and jams it."""
    return {**_solid(mass), "priority": 2}


def paint() -> dict[str, object]:
    """A geom that is only seen."""
    return {"contype": 0, "conaffinity": 0, "mass": 0, "group": 1}


def _cube(body: mjcf.Element) -> None:
    add_box(body, "tint", (0.02, 0.02, 0.02), (0, 0, 0), **_solid(0.06))


def _pen(body: mjcf.Element) -> None:
    add_box(body, "tint", (0.05, 0.0075, 0.0075), (0, 0, 0), **_solid(0.03))
    add_box(body, "clip", (0.014, 0.002, 0.0079), (-0.032, 0, 0), **paint() | {"rgba": INK})
    body.add(
        "geom",
        name="tip",
        type="capsule",
        fromto=(0.05, 0, 0, 0.06, 0, 0),
        size=(0.004,),
        **paint(),
        rgba=INK,
    )


def _block(body: mjcf.Element) -> None:
    add_box(body, "tint", (0.035, 0.035, 0.025), (0, 0, 0), **_solid(0.15))
    add_box(body, "label", (0.022, 0.022, 0.0004), (0, 0, 0.0252), **paint() | {"rgba": PAPER})


def _puck(body: mjcf.Element) -> None:
    body.add("geom", name="tint", type="cylinder", size=(0.038, 0.02), rgba=PLAIN, **_solid(0.15))
    body.add(
        "geom", name="top", type="cylinder", size=(0.022, 0.0004), pos=(0, 0, 0.0202), **paint(), rgba=PAPER
    )


def _key(body: mjcf.Element) -> None:
    """A bar with one dark head: asymmetric at a glance."""
    add_box(body, "tint", (0.055, 0.0125, 0.02), (0, 0, 0), **_solid(0.12))
    add_box(body, "head", (0.0125, 0.025, 0.0195), (0.0425, 0, 0), **_solid(0.03) | {"rgba": INK})
    add_box(body, "dot", (0.006, 0.006, 0.0004), (0.0425, 0, 0.0199), **paint() | {"rgba": PAPER})


def _ball(body: mjcf.Element) -> None:
    body.add(
        "geom",
        name="tint",
        type="sphere",
        size=(0.02,),
        rgba=PLAIN,
        mass=0.0027,
        friction=(0.8, 0.01, 0.0015),
        condim=6,
        solref=(0.01, 1),
    )


def _banana(body: mjcf.Element) -> None:
    """Five capsules along an arc of 14 cm, lying on its side."""
    bend_radius, spread = 0.11, 0.62
    angles = np.linspace(-spread, spread, 6)
    points = np.stack([bend_radius * np.sin(angles), bend_radius * (np.cos(angles) - 0.93)], axis=1)
    thickness = (0.012, 0.016, 0.0175, 0.016, 0.012)
    for i, radius in enumerate(thickness):
        ends = (*points[i], 0.0, *points[i + 1], 0.0)
        name = f"tint{i}"
        body.add("geom", name=name, type="capsule", fromto=ends, size=(radius,), rgba=PLAIN, **_solid(0.024))
    body.add(
        "geom",
        name="stalk",
        type="capsule",
        fromto=(*points[5], 0, *(points[5] * 1.14), 0),
        size=(0.005,),
        rgba=INK,
        **paint(),
    )


def _lemon(body: mjcf.Element) -> None:
    body.add(
        "geom",
        name="tint",
        type="ellipsoid",
        size=(0.034, 0.024, 0.024),
        rgba=PLAIN,
        mass=0.09,
        friction=(0.9, 0.02, 0.002),
        condim=6,
    )


def _can(body: mjcf.Element) -> None:
    body.add("geom", name="tint", type="cylinder", size=(0.026, 0.035), rgba=PLAIN, **_solid(0.09))
    body.add(
        "geom", name="lid", type="cylinder", size=(0.023, 0.0005), pos=(0, 0, 0.0353), **paint(), rgba=PAPER
    )


def _egg(body: mjcf.Element) -> None:
    """An egg of a hen, lying."""
    body.add(
        "geom",
        name="tint",
        type="ellipsoid",
        size=(0.028, 0.0215, 0.0215),
        rgba=PLAIN,
        mass=0.058,
        friction=(0.8, 0.02, 0.002),
        condim=6,
    )


def _bottle(body: mjcf.Element) -> None:
    """A small medicine bottle, standing."""
    body.add("geom", name="tint", type="cylinder", size=(0.021, 0.028), rgba=PLAIN, **_solid(0.07))
    body.add(
        "geom",
        name="neck",
        type="cylinder",
        size=(0.011, 0.009),
        pos=(0, 0, 0.036),
        rgba=PAPER,
        **_solid(0.005),
    )
    body.add(
        "geom",
        name="label",
        type="cylinder",
        size=(0.0213, 0.012),
        pos=(0, 0, -0.004),
        rgba=PAPER,
        **paint(),
    )


def _ring(
    body: mjcf.Element, radius: float, low: float, high: float, thickness: float, count: int, mass: float
) -> None:
    """A wall of `count` boxes around the z axis, from `low` to `high` [m]."""
    half_width = radius * np.tan(np.pi / count) + thickness
    for i in range(count):
        angle = 2 * np.pi * i / count
        body.add(
            "geom",
            name=f"tint{i}",
            type="box",
            size=(thickness, half_width, (high - low) / 2),
            pos=(radius * np.cos(angle), radius * np.sin(angle), (high + low) / 2),
            euler=(0, 0, angle),
            rgba=PLAIN,
            **_smooth(mass / count),
        )


def _plate(body: mjcf.Element) -> None:
    body.add(
        "geom",
        name="tint",
        type="cylinder",
        size=(0.068, 0.003),
        pos=(0, 0, 0.003),
        rgba=PLAIN,
        **_smooth(0.4),
    )
    body.add(
        "geom", name="well", type="cylinder", size=(0.05, 0.0004), pos=(0, 0, 0.0062), **paint(), rgba=PAPER
    )
    _ring(body, 0.068, 0.003, 0.011, 0.003, 16, 0.1)


def _tray(body: mjcf.Element) -> None:
    """An open box, 14 x 11 cm inside."""
    add_box(body, "floor", (0.072, 0.057, 0.002), (0, 0, 0.002), **_solid(0.3) | {"rgba": PAPER})
    for sign, name in ((1, "a"), (-1, "b")):
        add_box(body, f"tint_x{name}", (0.002, 0.059, 0.012), (sign * 0.072, 0, 0.013), **_smooth(0.05))
        add_box(body, f"tint_y{name}", (0.074, 0.002, 0.012), (0, sign * 0.057, 0.013), **_smooth(0.05))


def _cup(body: mjcf.Element) -> None:
    body.add(
        "geom",
        name="floor",
        type="cylinder",
        size=(0.044, 0.002),
        pos=(0, 0, 0.002),
        rgba=PAPER,
        **_solid(0.25),
    )
    _ring(body, 0.045, 0.001, 0.045, 0.002, 16, 0.15)


def _mat(body: mjcf.Element) -> None:
    add_box(body, "tint", (0.046, 0.046, 0.0006), (0, 0, 0.0006), **paint())
    add_box(body, "edge", (0.051, 0.051, 0.0003), (0, 0, 0.0003), **paint() | {"rgba": PAPER})


def _paper(body: mjcf.Element) -> None:
    """A sheet of 26 x 22 cm; ink is painted into the texture of its top."""
    add_box(
        body, "sheet", (PAPER_HALF[0], PAPER_HALF[1], 0.0004), (0, 0, 0.0004), **paint() | {"rgba": PAPER}
    )


def _marker(body: mjcf.Element) -> None:
    """A felt pen held upright: the body frame is the tool frame, the tip `PEN_TIP` below it."""
    body.add(
        "geom",
        name="tint",
        type="capsule",
        fromto=(0, 0, -0.016, 0, 0, 0.075),
        size=(0.0065,),
        rgba=PLAIN,
        **paint(),
    )
    body.add(
        "geom",
        name="collar",
        type="capsule",
        fromto=(0, 0, -0.022, 0, 0, -0.014),
        size=(0.005,),
        rgba=PAPER,
        **paint(),
    )
    body.add(
        "geom",
        name="nib",
        type="capsule",
        fromto=(0, 0, -PEN_TIP + 0.002, 0, 0, -0.02),
        size=(0.002,),
        rgba=INK,
        **paint(),
    )


def _dial(body: mjcf.Element) -> None:
    """A painted disc with a pointer along +x: the mark an object is turned to."""
    body.add(
        "geom", name="disc", type="cylinder", size=(0.085, 0.0003), pos=(0, 0, 0.0003), **paint(), rgba=PAPER
    )
    add_box(body, "tint", (0.028, 0.011, 0.0006), (0.056, 0, 0.0006), **paint())
    add_box(body, "tint_line", (0.084, 0.0035, 0.0005), (0, 0, 0.0005), **paint())


_QUARTER, _HALF = np.pi / 2, np.pi
for _kind in (
    PropKind("cube", _cube, 0.029, 0.02, symmetry=_QUARTER, half_height=0.02, support=0.02),
    PropKind("pen", _pen, 0.05, 0.0075, symmetry=_HALF, half_height=0.0075, grasp_below=0.003),
    PropKind(
        "block",
        _block,
        0.05,
        0.025,
        symmetry=_QUARTER,
        half_height=0.025,
        support=0.035,
        inner=(0.025, 0.025),
        surface=0.025,
    ),
    PropKind("puck", _puck, 0.038, 0.02, symmetry=0.0, half_height=0.02, support=0.038),
    PropKind("key", _key, 0.06, 0.02, symmetry=_HALF, half_height=0.02, clashes=("black", "white")),
    PropKind("ball", _ball, 0.02, 0.02, symmetry=0.0, half_height=0.02),
    PropKind("banana", _banana, 0.085, 0.0175, symmetry=_HALF, half_height=0.0175),
    PropKind("lemon", _lemon, 0.034, 0.024, symmetry=_HALF, half_height=0.024),
    PropKind("can", _can, 0.026, 0.035, symmetry=0.0, half_height=0.035, grasp_below=0.005),
    PropKind("egg", _egg, 0.028, 0.0215, symmetry=_HALF, half_height=0.0215),
    PropKind("bottle", _bottle, 0.021, 0.028, symmetry=0.0, half_height=0.028),
    PropKind(
        "plate",
        _plate,
        0.072,
        0.0,
        symmetry=0.0,
        inner=(0.055, 0.055),
        surface=0.006,
        rim=0.011,
        support=0.058,
        wide=True,
    ),
    PropKind(
        "tray",
        _tray,
        0.086,
        0.0,
        symmetry=_HALF,
        inner=(0.068, 0.053),
        surface=0.004,
        rim=0.025,
        support=0.059,
        push_yaw=_QUARTER,
        wide=True,
        preposition="in",
    ),
    PropKind(
        "cup",
        _cup,
        0.048,
        0.0,
        symmetry=0.0,
        inner=(0.043, 0.043),
        surface=0.004,
        rim=0.045,
        support=0.047,
        preposition="in",
    ),
    PropKind("mat", _mat, 0.065, 0.0, free=False, symmetry=_QUARTER, inner=(0.03, 0.03), preposition="on"),
    PropKind("paper", _paper, 0.13, 0.0, free=False, symmetry=_HALF, inner=PAPER_HALF),
    PropKind("marker", _marker, 0.01, 0.0, free=False),
    PropKind("dial", _dial, 0.085, 0.0, free=False, clashes=("white",)),
):
    KINDS.add(_kind.name, _kind)
