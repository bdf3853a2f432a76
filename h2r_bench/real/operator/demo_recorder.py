"""Recording a human demonstration from a camera, at the control rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from h2r_bench.real.cameras import Camera, StaleFrameError, VideoOverError, View
from h2r_bench.real.errors import SetupError
from h2r_bench.real.operator.terminal import Terminal
from h2r_bench.real.scene_cards.cards import SceneCard
from h2r_bench.real.session.demos import LONGEST_S, SHORTEST_S, STORED_SIZE, check_demo, demo_path, save_demo
from h2r_bench.types import CONTROL_HZ, UInt8Array

COUNTDOWN_S = 3


def record_frames(camera: Camera, view: View, over: Callable[[], bool]) -> list[UInt8Array]:
    """Frames (H, W, 3) of `STORED_SIZE` at the control rate, until `over()` or the longest a clip may be.

    A video file as the camera ends it too. Raises StaleFrameError when a live camera stops.
    """
    frames: list[UInt8Array] = []
    first = camera.latest(timeout_s=2.0)
    start = due = first.time_s
    while not over() and due - start < LONGEST_S:
        try:
            frame = camera.latest(timeout_s=1.0)
        except VideoOverError:
            break
        # Times are the frames' own, so that a file is sampled as evenly as a live camera.
        if frame.time_s < due:
            time.sleep(0.002)
            continue
        frames.append(view.image(frame.image, STORED_SIZE))
        due += 1.0 / CONTROL_HZ
    return frames


class Recorder:
    """Guides a person through recording the demonstration of a card."""

    def __init__(self, terminal: Terminal, camera: Camera, view: View, folder: Path) -> None:
        """Record from `camera` into `folder`."""
        self._terminal, self._camera, self._view, self._folder = terminal, camera, view, folder

    def record(self, card: SceneCard, *, unattended: bool = False) -> bool:
        """Record `card`'s demonstration; False when the person wants to stop here.

        `unattended` takes whatever a video file shows, without asking.
        """
        while True:
            if not unattended and not self._count_down():
                return False
            frames = self._take(unattended)
            seconds = len(frames) / CONTROL_HZ
            fits = SHORTEST_S <= seconds <= LONGEST_S
            self._terminal.say(f"recorded {seconds:.1f} s", "green" if fits else "yellow")
            if not fits:
                problem = f"a demonstration lasts {SHORTEST_S:g} to {LONGEST_S:g} s, this one {seconds:.1f}"
                if unattended:
                    raise SetupError(f"{problem}: record a longer one, or cut the file")
                self._terminal.say(problem, "yellow")
                continue
            path = save_demo(self._folder, card, frames, self._camera.name)
            self._terminal.say(f"saved {path}")
            if unattended or self._keep():
                return True

    def has(self, card: SceneCard) -> bool:
        """Whether there is a demonstration of `card`. Raises SetupError for one that does not fit."""
        if not demo_path(self._folder, card).exists():
            return False
        check_demo(self._folder, card)
        return True

    def _keep(self) -> bool:
        answers = {"": "keep it (look at the file first)", "r": "record again"}
        return self._terminal.choose("Is it good?", answers) == ""

    def _count_down(self) -> bool:
        answers = {"": f"record after {COUNTDOWN_S} s", "q": "stop here"}
        if self._terminal.choose("Scene set up, hand out of the picture?", answers) == "q":
            return False
        for left in range(COUNTDOWN_S, 0, -1):
            self._terminal.say(f"{left} ...")
            time.sleep(1.0)
        return True

    def _take(self, unattended: bool) -> list[UInt8Array]:
        done = threading.Event()
        if not unattended:
            self._terminal.say("recording: show it, take your hand away, then press Enter", "bold red")
            threading.Thread(target=self._wait_for_enter, args=(done,), daemon=True).start()
        try:
            return record_frames(self._camera, self._view, done.is_set)
        except StaleFrameError as error:
            self._terminal.say(str(error), "yellow")
            return []
        finally:
            if not unattended and not done.is_set():
                self._terminal.say("that was the longest a demonstration may be: press Enter")
                done.wait()

    def _wait_for_enter(self, done: threading.Event) -> None:
        try:
            self._terminal.line("")
        finally:
            done.set()
