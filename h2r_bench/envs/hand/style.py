"""What one person's hand looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

Side = Literal["right", "left"]
SIDES: tuple[Side, Side] = ("right", "left")
Rgb = tuple[float, float, float]
Rgba = tuple[float, float, float, float]

TONES: dict[str, Rgb] = {
    "porcelain": (0.99, 0.83, 0.74),
    "light": (0.96, 0.76, 0.63),
    "medium": (0.87, 0.64, 0.48),
    "olive": (0.76, 0.56, 0.40),
    "brown": (0.56, 0.38, 0.26),
    "dark": (0.37, 0.24, 0.17),
}
"""Skin colours, RGB in 0..1."""

SIZES: dict[str, float] = {"small": 0.90, "medium": 1.0, "large": 1.08}
"""Scales of hand and arm; 1 is a hand 19 cm long."""

SLEEVES: dict[str, Rgba] = {
    "navy": (0.16, 0.21, 0.36, 1.0),
    "grey": (0.42, 0.43, 0.45, 1.0),
    "white": (0.86, 0.86, 0.84, 1.0),
    "burgundy": (0.42, 0.13, 0.17, 1.0),
    "green": (0.24, 0.36, 0.27, 1.0),
}
"""Colours of long sleeves, RGBA in 0..1."""

BARE_ARM_SHARE = 0.4
"""Share of sampled people with a bare forearm."""

LEFT_SHARE = 0.2
"""Share of sampled people who use the left hand."""


@dataclass(frozen=True)
class HandStyle:
    """Size, colour, clothing and side of one hand."""

    scale: float = 1.0
    """Size of hand and arm; 1 is a hand 19 cm long."""
    tone: str | Rgb = "light"
    """A name in `TONES` or RGB in 0..1."""
    sleeve_rgba: Rgba | None = None
    """Colour of a long sleeve; None for a bare arm."""
    side: Side = "right"

    def __post_init__(self) -> None:
        if isinstance(self.tone, str) and self.tone not in TONES:
            raise ValueError(f"unknown tone {self.tone!r}; known: {', '.join(TONES)}, or RGB in 0..1")
        if not 0.8 <= self.scale <= 1.25:
            raise ValueError(f"hand scale must lie in 0.8..1.25, got {self.scale}")
        if self.side not in SIDES:
            raise ValueError(f"side must be 'right' or 'left', got {self.side!r}")

    @property
    def rgb(self) -> Rgb:
        """The skin colour, RGB in 0..1."""
        return TONES[self.tone] if isinstance(self.tone, str) else self.tone

    @staticmethod
    def sample(rng: np.random.Generator, side: Side | None = None) -> HandStyle:
        """A random person; `side` fixes the hand."""
        scale = float(rng.choice(list(SIZES.values())))
        tone = str(rng.choice(list(TONES)))
        sleeve = str(rng.choice(list(SLEEVES)))
        bare, left = rng.random() < BARE_ARM_SHARE, rng.random() < LEFT_SHARE
        return HandStyle(
            scale, tone, None if bare else SLEEVES[sleeve], side or ("left" if left else "right")
        )
