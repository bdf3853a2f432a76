"""`python -m h2r_bench.real.record`: record the human demonstrations of a session, scene card by scene card.

Cards that have a demonstration already are passed over. With a video file as camera (`--source clip.mp4
--trial 3`) that file becomes the demonstration of one card, resampled to the control rate.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from PIL import Image

from h2r_bench.cli import INTERRUPTED, NOT_FINISHED, parse, refused
from h2r_bench.ranges import Count, Index, NotNegative, Port
from h2r_bench.real.cameras import CameraConfig, View, make_camera
from h2r_bench.real.cameras.base import Camera
from h2r_bench.real.cameras.catalog import load_view
from h2r_bench.real.errors import BridgeError, SetupError
from h2r_bench.real.operator.demo_recorder import Recorder
from h2r_bench.real.operator.human import LiveCard
from h2r_bench.real.operator.live_page import LivePage
from h2r_bench.real.operator.terminal import Terminal
from h2r_bench.real.scene_cards.card_drawing import card_picture
from h2r_bench.real.scene_cards.cards import SceneCard, draw_cards
from h2r_bench.real.session.demos import demo_path


@dataclass(frozen=True)
class RecordConfig:
    """Record human demonstrations."""

    task: str
    """Name of the task."""
    trials: Count = 20
    """How many scenes."""
    trial: Index | None = None
    """Only this one, from 0; recorded again if it is there."""
    seed: Index = 0
    """Seed of the scenes, as in the session."""
    cue: Literal["scene", "video"] = "scene"
    """Who says what to do: the scene itself, or only the video and the words."""
    shift: NotNegative = 0.0
    """Layout shift between the human's scene and the robot's [cm]."""
    demos: Path = Path("lab/demos")
    """Folder to record into."""
    port: Port = 8787
    """Port on loopback of the page that shows the scene over the live view; 0 for no page."""
    camera: Annotated[CameraConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=CameraConfig)


def main(argv: Sequence[str] | None = None, *, terminal: Terminal | None = None) -> int:
    """Run the command line `argv` (without the program's name) and return the exit status."""
    terminal = terminal or Terminal()
    try:
        config = parse(RecordConfig, prog="python -m h2r_bench.real.record", description=__doc__, args=argv)
        return _record(config, terminal)
    except (BridgeError, ValueError, OSError) as error:
        return refused(error)
    except KeyboardInterrupt:
        terminal.say("\nStopped. What was recorded is kept; the same command goes on.")
        return INTERRUPTED


def _record(config: RecordConfig, terminal: Terminal) -> int:
    cards = chosen_cards(config)
    from_file = Path(config.camera.source).is_file()
    if from_file and config.trial is None:
        raise SetupError("a video file is the demonstration of one card: say which with --trial")
    if not (from_file or terminal.interactive):
        raise SetupError("somebody has to show the task: run this in a terminal, or give a file as --source")
    view = View() if from_file and not config.camera.view.exists() else load_view(config.camera)
    camera = make_camera(config.camera)
    camera.open()
    try:
        if from_file:
            Recorder(terminal, camera, view, config.demos).record(cards[0], unattended=True)
            return 0
        return _record_all(config, cards, camera, view, terminal)
    finally:
        camera.close()


def chosen_cards(config: RecordConfig) -> list[SceneCard]:
    """The cards to record."""
    count = config.trials if config.trial is None else config.trial + 1
    cards = draw_cards(config.task, cue=config.cue, shift_cm=config.shift, seed=config.seed, trials=count)
    return cards if config.trial is None else cards[-1:]


def _record_all(
    config: RecordConfig, cards: Sequence[SceneCard], camera: Camera, view: View, terminal: Terminal
) -> int:
    """Every card that has no demonstration yet, or the one asked for."""
    live, recorder = LiveCard(camera, view), Recorder(terminal, camera, view, config.demos)
    todo = [card for card in cards if config.trial is not None or not recorder.has(card)]
    terminal.shopping(todo or cards)
    page = LivePage(live.picture, config.port) if config.port else None
    try:
        for number, card in enumerate(todo, 1):
            title = f"demonstration {number} of {len(todo)}"
            path = demo_path(config.demos, card).with_suffix(".card.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = card_picture(np.asarray(live.frame()), card, card.human_scene, title)
            Image.fromarray(picture).save(path)
            live.show(card, card.human_scene)
            where = [f"picture: {path}"] + ([f"over the live view: {page.url}"] if page else [])
            terminal.card(card, card.human_scene, title, where)
            if not recorder.record(card):
                return NOT_FINISHED
    finally:
        if page is not None:
            page.close()
    terminal.say(f"{len(cards)} demonstrations are in {config.demos}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
