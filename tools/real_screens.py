"""The pictures of docs/real.md, made by a session in the twin: `python tools/real_screens.py`.

Needs the extra `real` and OpenGL. The commands themselves print everything on the screens; arm and camera are
the twin's, and a script answers in the operator's place.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI

from h2r_bench.real import aim, calibrate, record, scenes, trials
from h2r_bench.real.arms import make_arm
from h2r_bench.real.cameras import Frame, View
from h2r_bench.real.cameras.catalog import CAMERAS
from h2r_bench.real.operator import demo_recorder as recorder
from h2r_bench.real.operator.human import HumanOperator
from h2r_bench.real.operator.terminal import Terminal
from h2r_bench.real.scene_cards.cards import draw_cards
from h2r_bench.real.session.demos import save_demo
from h2r_bench.real.setup.aiming import live_view, mixed, simulated_reference

OUT = Path("docs/images/real")
WIDTH = 104
RUNS = 4
"""Of the session that is shown: two policies in two scenes."""
SCENE = {"task": "pick_place", "cue": "scene", "shift_cm": 0.0, "seed": 0}


Reply = str | Callable[[], str]
"""What the operator types, or what finds out what to type."""


class Screen:
    """A terminal whose answers come from a list; what it showed is saved as a picture."""

    def __init__(self, command: str, answers: Sequence[Reply] = ()) -> None:
        self.console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
        self.prompt(command)
        self._answers = iter(answers)
        self.terminal = Terminal(self.console, ask=self._answer)

    def prompt(self, command: str) -> None:
        """Show a command as it is typed."""
        typed = " \\\n      ".join(textwrap.wrap(command, WIDTH - 8, break_on_hyphens=False))
        self.console.print(f"[bold green]$[/] {typed}", highlight=False)

    def _answer(self, prompt: str) -> str:
        reply = next(self._answers)
        answer = reply if isinstance(reply, str) else reply()
        self.console.print(f"{prompt}[bold]{answer}[/]", highlight=False)
        return answer

    def save(self, name: str) -> None:
        """Save what was shown since the last time as SVG."""
        self.console.save_svg(str(OUT / f"{name}.svg"), title="", theme=MONOKAI)

    def forget(self) -> None:
        """Leave what was shown since the last time out of the next picture."""
        self.console.export_text()


class Eye:
    """The twin's camera as if it were a camera of its own, standing a little beside where it should."""

    name = "opencv 0"

    def __init__(self, arm: Any, aside: int = 0) -> None:
        self._arm, self._aside = arm, aside

    def open(self) -> None:
        """Nothing to do."""

    def latest(self, newer_than: int = -1, timeout_s: float = 0.2) -> Frame:
        """What the twin's camera sees now."""
        frame = self._arm.twin.frame()
        image = np.roll(frame.image, self._aside, axis=1)
        return Frame(image, frame.time_s, frame.number)

    def newest_s(self) -> float:
        """When that was [s]."""
        return float(self._arm.twin.newest_frame_s())

    def close(self) -> None:
        """Nothing to do."""


class Hidden:
    """The twin's arm without its world: a person has to set up and judge."""

    def __init__(self, arm: Any) -> None:
        self._arm = arm
        self.name, self.clock = "franka", arm.clock

    def __getattr__(self, name: str) -> Any:
        if name == "twin":
            raise AttributeError(name)
        return getattr(self._arm, name)

    def close(self) -> None:
        """Stay connected: it is used again."""


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A folder of its own to work in, with the lab's files at their usual places."""
    out = OUT.absolute()
    with tempfile.TemporaryDirectory() as name:
        before = Path.cwd()
        os.chdir(name)
        Path("docs/images").mkdir(parents=True)
        Path("docs/images/real").symlink_to(out)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def main() -> None:
    """Make all pictures."""
    OUT.mkdir(parents=True, exist_ok=True)
    with workplace():
        cards()
        arm = make_arm("twin", options={"width": "424", "height": "240"})
        arm.twin.set_scene("pick_place", 0, 0, film=False)  # type: ignore[attr-defined]
        CAMERAS._values["opencv"] = lambda config: Eye(arm)
        try:
            aiming(arm)
            calibration()
            recording(arm)
            session(arm)
        finally:
            arm.close()
        refusals()


def cards() -> None:
    """What to have on the table."""
    screen = Screen("python -m h2r_bench.real.scenes --task pick_place --trials 20 --out lab/cards")
    scenes.main(["--task", "pick_place", "--trials", "20", "--out", "lab/cards"], terminal=screen.terminal)
    screen.save("scenes")
    shutil.copy("lab/cards/card_002.png", OUT / "card.png")


def aiming(arm: Any) -> None:
    """The camera over the reference view."""
    screen = Screen("python -m h2r_bench.real.aim --camera opencv --source 0", [""])
    aim.main(["--port", "8787"], terminal=screen.terminal)
    screen.save("aim")
    beside = Eye(arm, aside=25)
    picture = mixed(live_view(beside, View()), simulated_reference())
    Image.fromarray(picture).resize((1272, 240), Image.Resampling.LANCZOS).save(OUT / "aim.png")


def calibration() -> None:
    """Touch and look."""
    screen = Screen("python -m h2r_bench.real.calibrate --arm twin")
    calibrate.main(["--arm", "twin"], terminal=screen.terminal)
    screen.save("calibrate")


def recording(arm: Any) -> None:
    """The first card's demonstration; the twin's hand shows it."""
    screen = Screen("python -m h2r_bench.real.record --task pick_place --trials 2", ["", "", "", "q"])
    card = draw_cards(trials=1, **SCENE)[0]  # type: ignore[arg-type]
    film = arm.twin.set_scene("pick_place", card.seed, 0).demonstration
    with patched(recorder, "record_frames", lambda *_: list(film.frames)):
        record.main(["--task", "pick_place", "--trials", "2"], terminal=screen.terminal)
    screen.save("record")


def session(arm: Any) -> None:
    """Two policies, two scenes, a person who judges as the twin does."""
    drawn = draw_cards(trials=2, **SCENE)  # type: ignore[arg-type]
    for card in drawn:
        scene = arm.twin.set_scene("pick_place", card.seed, card.trial)
        save_demo(Path("lab/demos"), card, list(scene.demonstration.frames), "opencv 0")
    known = json.loads(Path("lab/calibration.json").read_text())
    Path("lab/calibration.json").write_text(json.dumps({**known, "arm": "franka", "host": "172.16.0.2"}))
    command = "--arm franka --host 172.16.0.2 --task pick_place --policy h2r --policy random --trials 2"
    answers: list[Reply] = []
    for run in range(RUNS):
        answers += [lambda run=run: set_up(run // 2), lambda run=run: judge(run // 2)]
        answers.append(lambda run=run: note(run))
    screen = Screen(f"python -m h2r_bench.real.trials {command}", answers)

    def set_up(trial: int) -> str:
        arm.twin.set_scene("pick_place", drawn[trial].seed, trial, film=False)
        if not (OUT / "trials.svg").exists():
            screen.save("trials")
        return ""

    def judge(trial: int) -> str:
        found, rubric = arm.twin.verdict(), drawn[trial].rubric
        return "s" if found["is_success"] else str(rubric.index(found["failure"]) + 1)

    def note(run: int) -> str:
        if run == 0:
            screen.save("verdict")
        elif run == RUNS - 1:
            screen.forget()  # what follows is the end of the session
        return ""

    (OUT / "trials.svg").unlink(missing_ok=True)
    with patched(HumanOperator, "progress", last_step_only):
        trials.main(
            [*command.split(), "--out", "results/real"], make=lambda _: Hidden(arm), terminal=screen.terminal
        )
    screen.save("results")
    shutil.copy(next(Path("results/real/sessions").glob("*/run_001/card.png")), OUT / "trial_card.png")


def last_step_only(person: Any, label: str, step: int, horizon: int, note: str) -> None:
    """Of a line that is written over, what stays."""
    if step == horizon:
        person._terminal.console.print(f"{label}: step {step} of {horizon}  {note}", highlight=False)


@contextlib.contextmanager
def patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    """`owner.name` is `value` meanwhile."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def refusals() -> None:
    """What is refused, and how."""
    commands = (
        "--task background_gen --policy h2r",
        "--task pick_place --policy h2rr",
        "--task pick_place --policy random --arm frnaka",
        "--task pick_place --policy random --arm xarm --host 192.168.1.9",
    )
    screen = Screen(f"python -m h2r_bench.real.trials {commands[0]}")
    for number, command in enumerate(commands):
        if number:
            screen.prompt(f"python -m h2r_bench.real.trials {command}")
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            trials.main(command.split(), terminal=screen.terminal)
        screen.console.print(errors.getvalue().strip(), highlight=False, markup=False)
    screen.save("refused")


if __name__ == "__main__":
    main()
