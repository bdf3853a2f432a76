"""The operator as supervisor: scene cards on the screen, verdicts from the keyboard."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from h2r_bench.envs.scene.compiled import SceneSpec
from h2r_bench.real.cameras import Camera, View
from h2r_bench.real.operator.base import Answer, Void
from h2r_bench.real.operator.demo_recorder import Recorder
from h2r_bench.real.operator.live_page import LivePage
from h2r_bench.real.operator.terminal import Terminal
from h2r_bench.real.operator.verdict import Verdict
from h2r_bench.real.scene_cards.card_drawing import card_picture, overlay
from h2r_bench.real.scene_cards.cards import SceneCard
from h2r_bench.real.session.demos import STORED_SIZE, load_demo
from h2r_bench.types import Demonstration, UInt8Array


class LiveCard:
    """The camera's view with the scene to be set up drawn over it."""

    def __init__(self, camera: Camera, view: View) -> None:
        self._camera, self._view = camera, view
        self._lock = threading.Lock()
        self._shown: tuple[SceneCard, SceneSpec] | None = None

    def show(self, card: SceneCard | None, scene: SceneSpec | None) -> None:
        """Draw `scene` of `card` from now on; None draws nothing."""
        with self._lock:
            self._shown = None if card is None or scene is None else (card, scene)

    def frame(self) -> UInt8Array:
        """The view alone, shape (H, W, 3). Raises CameraError."""
        return self._view.image(self._camera.latest(timeout_s=1.0).image, STORED_SIZE)

    def picture(self) -> UInt8Array:
        """The view with the scene over it, shape (H, W, 3). Raises CameraError."""
        with self._lock:
            shown = self._shown
        return overlay(self.frame(), *shown, opacity=0.45) if shown else self.frame()


class HumanOperator:
    """A `Supervisor` who sits at a terminal, here or over ssh."""

    scene_handle: Any = None

    def __init__(
        self, terminal: Terminal, live: LiveCard, page: LivePage | None, recorder: Recorder, demos: Path
    ) -> None:
        """Serve a session; `demos` is the folder of demonstrations, `page` shows the `live` card."""
        self._terminal, self._live, self._page = terminal, live, page
        self._recorder, self._demos = recorder, demos

    def check(self, cards: Sequence[SceneCard]) -> None:
        """Look at the demonstrations that exist; missing ones are recorded when their scene stands."""
        missing = sum(not self._recorder.has(card) for card in cards)
        self._terminal.shopping(cards)
        if missing:
            self._terminal.say(
                f"{missing} of {len(cards)} demonstrations are missing: you record them on the way"
            )

    def demonstration(self, card: SceneCard) -> Demonstration:
        """The recorded video of `card`."""
        return load_demo(self._demos, card)

    def set_up(self, card: SceneCard, label: str, folder: Path) -> Answer:
        """Record the demonstration if it is missing, then have the robot's scene set up."""
        if not self._recorder.has(card):
            self._show(
                card, card.human_scene, f"{label}: scene for the demonstration", folder / "human_card.png"
            )
            recorded = self._recorder.record(card)
            self._live.show(None, None)
            if not recorded:
                return Answer.QUIT
        self._show(card, card.robot_scene, f"{label}: scene for the robot", folder / "card.png")
        answers = {
            "": "the scene stands, hands are off the table",
            "u": "undo the last verdict",
            "q": "stop here",
        }
        answer = self._terminal.choose("Set up the scene.", answers)
        self._live.show(None, None)
        return {"": Answer.GO, "u": Answer.UNDO, "q": Answer.QUIT}[answer]

    def judge(self, card: SceneCard, folder: Path, *, fresh: bool, stopped: bool) -> Verdict | Void | Answer:
        """Ask for the verdict; the video helps with an old run."""
        if not fresh:
            self._terminal.say(f"Judge again what {folder / 'video.mp4'} shows: {card.instruction}")
        verdict = self._terminal.verdict(card, stopped=stopped)
        if verdict is None:
            return Answer.QUIT
        return Void(verdict) if isinstance(verdict, str) else verdict

    def tell(self, message: str) -> None:
        """Say it."""
        self._terminal.say(message)

    def progress(self, label: str, step: int, horizon: int, note: str) -> None:
        """One line that is written over."""
        self._terminal.console.print(
            f"{label}: step {step} of {horizon}  {note}   ", end="\r", highlight=False
        )

    def _show(self, card: SceneCard, scene: SceneSpec, title: str, path: Path) -> None:
        picture = card_picture(np.asarray(self._live.frame()), card, scene, title)
        Image.fromarray(picture).save(path)
        self._live.show(card, scene)
        where = [f"picture: {path}"] + ([f"over the live view: {self._page.url}"] if self._page else [])
        self._terminal.card(card, scene, title, where)
