"""Human demonstrations as files: one video per scene card, with what it shows beside it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import imageio.v3
import numpy as np

from h2r_bench.files import replacing, write_whole
from h2r_bench.real.errors import SetupError
from h2r_bench.types import CONTROL_HZ, Demonstration, UInt8Array

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.real.scene_cards.cards import SceneCard

SHORTEST_S, LONGEST_S = 2.0, 60.0
"""Demonstrations of other lengths are refused [s]."""
STORED_SIZE = (848, 480)
"""Width and height [pixels] of a stored demonstration: the paper's shape, at twice its size."""
_AGAIN = "record it with python -m h2r_bench.real.record"
_RATE_TOLERANCE = 0.02
"""Frames per second may be off by this share."""


@dataclass(frozen=True)
class DemoNote:
    """What is written beside the video."""

    task: str
    cue: str
    shift_cm: float
    trial: int
    seed: int
    """Of the trial."""
    instruction: str
    rate_hz: float
    """Frames per second [Hz]."""
    frames: int
    camera: str


def demo_path(folder: Path, card: SceneCard) -> Path:
    """Where the video for `card` is kept below `folder`."""
    name = f"{card.cue}_shift{card.shift_cm:g}_{card.seed:010d}.mp4"
    return folder / card.task / name


def save_demo(folder: Path, card: SceneCard, frames: list[UInt8Array], camera: str) -> Path:
    """Keep a demonstration of `card`: frames (H, W, 3) at the control rate, even sides; all or nothing."""
    path = demo_path(folder, card)
    names = ("task", "cue", "shift_cm", "trial", "seed", "instruction")
    known = {name: getattr(card, name) for name in names}
    note = DemoNote(**known, rate_hz=CONTROL_HZ, frames=len(frames), camera=camera)
    with replacing(path) as unfinished:
        imageio.v3.imwrite(
            unfinished,
            np.stack(frames),
            plugin="pyav",
            extension=".mp4",
            codec="libx264",
            fps=int(CONTROL_HZ),
            out_pixel_format="yuv420p",
        )
    # A demonstration without its note does not count, so the note comes last.
    write_whole(path.with_suffix(".json"), json.dumps(asdict(note), indent=2, ensure_ascii=False) + "\n")
    return path


def load_demo(folder: Path, card: SceneCard) -> Demonstration:
    """The demonstration of `card` as it was recorded, at full size.

    Raises SetupError, with the remedy, when there is none, or its rate, length or scene do not fit.
    """
    note = check_demo(folder, card)
    path = demo_path(folder, card)
    try:
        frames = imageio.v3.imread(path, plugin="pyav")
    except OSError as error:
        raise SetupError(f"{path} cannot be read ({error}): {_AGAIN}") from None
    return Demonstration(frames, CONTROL_HZ, note.instruction)


def check_demo(folder: Path, card: SceneCard) -> DemoNote:
    """Look whether the demonstration of `card` fits it, without reading the video itself.

    Raises SetupError, with the remedy, when there is none, or its rate, length or scene do not fit.
    """
    path = demo_path(folder, card)
    note = _read_note(path)
    for name in ("task", "cue", "shift_cm", "seed"):
        if getattr(note, name) != getattr(card, name):
            was = f"{name} {getattr(note, name)!r}, not {getattr(card, name)!r}"
            raise SetupError(f"{path} shows {was}: {_AGAIN}")
    try:
        facts = imageio.v3.immeta(path, plugin="pyav")
        rate_hz, seconds = float(facts["fps"]), float(facts["duration"])
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise SetupError(f"{path} cannot be read ({error}): {_AGAIN}") from None
    if not abs(rate_hz - CONTROL_HZ) <= _RATE_TOLERANCE * CONTROL_HZ:
        raise SetupError(
            f"{path} has {rate_hz:g} frames per second, not {CONTROL_HZ:g}: {_AGAIN} (with --source a file "
            "is resampled)"
        )
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise SetupError(f"{path} lasts {seconds:g} s, not {SHORTEST_S:g} to {LONGEST_S:g} s: {_AGAIN}")
    return note


def resized(demonstration: Demonstration, size: tuple[int, int]) -> Demonstration:
    """The demonstration in an agent's `size` (width, height) [pixels], its sides cut where it is wider."""
    if demonstration.frames.shape[2:0:-1] == size:
        return demonstration
    from h2r_bench.real.cameras.view import View

    whole = View()
    frames = np.stack([whole.image(frame, size) for frame in demonstration.frames])
    return Demonstration(frames, demonstration.rate_hz, demonstration.instruction, demonstration.truth)


def _read_note(path: Path) -> DemoNote:
    try:
        fields: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
        return DemoNote(**fields)
    except FileNotFoundError:
        raise SetupError(f"there is no demonstration {path}: {_AGAIN}") from None
    except (ValueError, TypeError) as error:
        raise SetupError(f"{path.with_suffix('.json')} is damaged ({error}): {_AGAIN}") from None
