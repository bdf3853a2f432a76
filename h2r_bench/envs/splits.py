"""What training may see, in one place. Everything marked held out never enters a training scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

RGB = tuple[float, float, float]

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
"""Colours of props in training, sRGB 0..1, by the name the instruction uses."""

HELD_OUT_COLORS: dict[str, RGB] = {
    "pink": (0.95, 0.45, 0.65),
    "cyan": (0.10, 0.75, 0.80),
    "brown": (0.42, 0.24, 0.10),
    "lime": (0.62, 0.88, 0.12),
}

TRAIN_TABLES = ("oak", "beech", "slate", "linen")
"""Table tops of training scenes, by the name of their texture."""

TRAIN_WALLS: dict[str, RGB] = {
    "grey": (0.62, 0.64, 0.66),
    "cream": (0.80, 0.76, 0.68),
    "blue_grey": (0.50, 0.57, 0.64),
}

TRAIN_GRASP_KINDS = ("cube", "pen")
"""What is picked in training, as in the paper (section 5.4: blocks and pens)."""

HELD_OUT_GRASP_KINDS = ("ball", "banana", "lemon", "can")


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


TABLE_AREA = Rect(x=(0.36, 0.63), y=(-0.18, 0.18))
"""Where objects and goals may rest."""

HELD_OUT_AREA = Rect(x=(0.51, 0.63), y=(0.06, 0.18))
"""The part of `TABLE_AREA` in which nothing rests in training (left of the robot, far side)."""
