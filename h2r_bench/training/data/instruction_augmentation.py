"""Instructions that name other things and colours than any that were recorded, as `repaint` shows others.

Where the scene itself says what to do, nothing hangs on these names; a policy that has read no others takes
a new one for a new task. Verbs and sides stay as they are.
"""

from __future__ import annotations

import random
import re
import zlib
from typing import TYPE_CHECKING

from h2r_bench.types import decode_instruction

if TYPE_CHECKING:
    import numpy as np

    from h2r_bench.training.data.frames import Frames, Int

# fmt: off
COLORS = (
    "red", "green", "blue", "yellow", "orange", "purple", "white", "black", "grey", "turquoise", "beige",
    "golden", "silver", "maroon", "olive", "teal", "violet", "magenta", "crimson", "tan", "amber",
    "ivory", "indigo", "khaki",
)
"""Names of colours; none that the benchmark holds out."""
THINGS = (
    "cube", "pen", "puck", "block", "key", "mat", "plate", "tray", "cup", "mark", "box", "spoon",
    "brick", "candle", "stone", "coin", "ring", "bowl", "dish", "basket", "card", "jar", "sponge",
    "shell", "brush", "cap", "toy", "lid",
)
# fmt: on
"""Names of things to be moved and of places to move them to; none that the benchmark holds out."""
VARIANTS = 8
"""Other wordings of an instruction: each is embedded once."""

_NAMES = re.compile(rf"\b({'|'.join(COLORS + THINGS)})\b")


def reworded(instruction: str, variant: int) -> str:
    """`instruction` with other names, one for each that it has; always the same ones for a `variant`."""
    draw = random.Random(zlib.crc32(f"{variant} {instruction}".encode()))
    other: dict[str, str] = {}
    for name in _NAMES.findall(instruction):
        other.setdefault(name, draw.choice(COLORS if name in COLORS else THINGS))
    return _NAMES.sub(lambda found: other[found[0]], instruction)


def instructions(frames: Frames, rows: Int, share: float, rng: np.random.Generator) -> list[str]:
    """What is said at frames `rows` (B,), a `share` of it reworded where the scene says it as well."""
    texts = [decode_instruction(codes) for codes in frames.instructions(rows)]
    drawn = rng.random(len(rows)) < share
    variants = rng.integers(VARIANTS, size=len(rows))
    return [
        reworded(text, int(variant)) if other and frames.cues[episode] == "scene" else text
        for text, variant, other, episode in zip(texts, variants, drawn, frames.episode_of(rows), strict=True)
    ]
