"""`python -m h2r_bench.real.scenes`: what a session needs on the table, and its scene cards to print.

Needs neither arm nor camera: the cards are drawn over the reference view.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from h2r_bench.cli import parse, refused
from h2r_bench.ranges import Count, Index, NotNegative
from h2r_bench.real.operator.terminal import Terminal
from h2r_bench.real.scene_cards.card_drawing import card_picture, guides
from h2r_bench.real.scene_cards.cards import draw_cards
from h2r_bench.real.session.demos import STORED_SIZE


@dataclass(frozen=True)
class ScenesConfig:
    """Show the scene cards of a session."""

    task: str
    """Name of the task."""
    trials: Count = 20
    """How many scenes."""
    seed: Index = 0
    """Seed of the scenes, as in the session."""
    cue: Literal["scene", "video"] = "scene"
    """Who says what to do: the scene itself, or only the video and the words."""
    shift: NotNegative = 0.0
    """Layout shift between the human's scene and the robot's [cm]."""
    out: Path | None = None
    """Folder for the pictures; without it only the list of things is printed."""


def main(argv: Sequence[str] | None = None, *, terminal: Terminal | None = None) -> int:
    """Run the command line `argv` (without the program's name) and return the exit status."""
    terminal = terminal or Terminal()
    try:
        config = parse(ScenesConfig, prog="python -m h2r_bench.real.scenes", description=__doc__, args=argv)
        numbers = {"shift_cm": config.shift, "seed": config.seed, "trials": config.trials}
        cards = draw_cards(config.task, cue=config.cue, **numbers)  # type: ignore[arg-type]
    except ValueError as error:
        return refused(error)
    terminal.shopping(cards)
    if config.out is not None:
        config.out.mkdir(parents=True, exist_ok=True)
        blank = guides(np.full((STORED_SIZE[1], STORED_SIZE[0], 3), 236, np.uint8))
        for card in cards:
            title = f"{card.task}, scene {card.trial + 1} of {config.trials}"
            picture = card_picture(blank, card, card.robot_scene, title)
            Image.fromarray(picture).save(config.out / f"card_{card.trial + 1:03d}.png")
        terminal.say(f"{len(cards)} cards are in {config.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
