"""What training may see, in one place. Everything marked held out never enters a training scene."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

RGB = tuple[float, float, float]
"""sRGB, 0..1."""

TRAIN_COLORS: dict[str, RGB] = {
    "red": (0.80, 0.10, 0.08),
    "green": (0.10, 0.55, 0.16),
    "blue": (0.08, 0.22, 0.75),
    "yellow": (0.92, 0.76, 0.06),
    "orange": (0.93, 0.42, 0.04),
    "purple": (0.42, 0.12, 0.62),
    "white": (0.93, 0.93, 0.92),
    "black": (0.07, 0.07, 0.08),
}
"""Colours of props in training, by the name the instruction uses."""

HELD_OUT_COLORS: dict[str, RGB] = {
    "pink": (0.95, 0.45, 0.65),
    "cyan": (0.10, 0.75, 0.80),
    "brown": (0.42, 0.24, 0.10),
    "lime": (0.62, 0.88, 0.12),
    "navy": (0.04, 0.08, 0.30),
    "coral": (0.98, 0.50, 0.38),
}

TRAIN_FINISHES = ("plain",)
"""Surfaces of props in training, see `h2r_bench.envs.scene.textures.FINISHES`."""

HELD_OUT_FINISHES = ("striped", "checkered", "dotted", "marbled", "metallic")

TRAIN_TABLES = ("oak", "beech", "slate", "linen")
"""Table tops in training, see `h2r_bench.envs.scene.textures.TABLES`."""

HELD_OUT_TABLES = ("walnut", "marble", "terrazzo", "gingham", "felt", "cork", "granite", "tiles")

TRAIN_WALLS: dict[str, RGB] = {
    "grey": (0.62, 0.64, 0.66),
    "cream": (0.80, 0.76, 0.68),
    "blue_grey": (0.50, 0.57, 0.64),
}
HELD_OUT_WALLS: dict[str, RGB] = {
    "brick": (0.60, 0.28, 0.20),
    "sage": (0.45, 0.58, 0.42),
    "night": (0.10, 0.12, 0.20),
    "rose": (0.86, 0.62, 0.64),
}

TRAIN_GRASP_KINDS = ("cube", "pen")
"""What is picked in training, as in the paper (section 5.4: blocks and pens)."""

HELD_OUT_GRASP_KINDS = ("ball", "banana", "lemon", "can", "egg", "bottle")

CLUTTER_KINDS = ("mug", "book", "plant", "apple", "speaker", "tape")
"""Things that stand about in `background_gen` and nowhere else."""


@dataclass(frozen=True)
class Rect:
    """An axis-aligned part of the table [m], robot base frame."""

    x: tuple[float, float]
    y: tuple[float, float]

    def contains(self, x: float, y: float) -> bool:
        """Whether the point lies inside."""
        return self.x[0] <= x <= self.x[1] and self.y[0] <= y <= self.y[1]

    def sample(self, rng: np.random.Generator) -> tuple[float, float]:
        """A uniform point [m]."""
        return float(rng.uniform(*self.x)), float(rng.uniform(*self.y))


TABLE_AREA = Rect(x=(0.36, 0.63), y=(-0.18, 0.19))
"""Where objects and goals may rest."""

HELD_OUT_AREA = Rect(x=(0.36, 0.63), y=(0.03, 0.12))
"""The band of `TABLE_AREA`, a little to the robot's left, in which nothing rests in training."""


@dataclass(frozen=True)
class Region:
    """Where things may rest: inside one rectangle, outside another."""

    inside: Rect
    outside: Rect | None = None

    def allows(self, x: float, y: float) -> bool:
        """Whether something may rest at (x, y) [m]."""
        return self.inside.contains(x, y) and not (self.outside and self.outside.contains(x, y))


@dataclass(frozen=True)
class Light:
    """Range of lamp settings."""

    brightness: tuple[float, float] = (1.0, 1.0)
    """Factor on the lamp's colour."""
    warmth: tuple[float, float] = (0.0, 0.0)
    """Shift from blue (-) to red (+), added to the lamp's red and taken from its blue."""
    sway: float = 0.0
    """Largest offset of the lamp's direction on each axis."""


@dataclass(frozen=True)
class SceneDistribution:
    """From what a scene is drawn. Tasks are given one; `TRAIN` is all that training ever uses."""

    colors: dict[str, RGB] = field(default_factory=lambda: TRAIN_COLORS)
    """Colours of props."""
    finishes: tuple[str, ...] = TRAIN_FINISHES
    """Surfaces of props."""
    tables: tuple[str, ...] = TRAIN_TABLES
    walls: dict[str, RGB] = field(default_factory=lambda: TRAIN_WALLS)
    light: Light = Light()
    region: Region = Region(TABLE_AREA, HELD_OUT_AREA)
    """Where the moved object and its goal rest."""
    elsewhere: Region = Region(TABLE_AREA, HELD_OUT_AREA)
    """Where other things rest."""
    clutter: int = 0
    """How many things stand about."""


TRAIN = SceneDistribution()
NEW_APPEARANCE = replace(TRAIN, colors=HELD_OUT_COLORS, finishes=HELD_OUT_FINISHES)
NEW_POSITION = replace(TRAIN, region=Region(HELD_OUT_AREA), elsewhere=Region(TABLE_AREA))
CLUTTER_AREA = Region(Rect(x=(0.17, 0.76), y=(-0.30, 0.30)), Rect(x=(0.33, 0.68), y=(-0.245, 0.245)))
"""Where clutter stands: around the workspace, in the way of the eye at most."""

NEW_BACKGROUND = replace(
    TRAIN,
    tables=HELD_OUT_TABLES,
    walls=HELD_OUT_WALLS,
    light=Light(brightness=(0.55, 1.35), warmth=(-0.12, 0.12), sway=0.35),
    clutter=3,
)
