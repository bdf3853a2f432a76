from __future__ import annotations

import functools
import json
from pathlib import Path

import imageio.v3
import numpy as np
import pytest
from rich.console import Console

from h2r_bench.cli import BAD_INPUT
from h2r_bench.real import aim, record, scenes
from h2r_bench.real.arms.base import MonotonicClock
from h2r_bench.real.cameras import View
from h2r_bench.real.cameras.catalog import CAMERAS
from h2r_bench.real.errors import SetupError
from h2r_bench.real.operator.demo_recorder import record_frames
from h2r_bench.real.operator.terminal import Terminal
from h2r_bench.real.scene_cards.cards import draw_cards
from h2r_bench.real.session.demos import check_demo, demo_path, load_demo, resized, save_demo
from h2r_bench.real.setup import aiming

from arm_fakes import HandClock
from bench_fakes import ClockCamera, demonstration

CARDS = functools.cache(draw_cards)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gc.collect", lambda *_: 0)
    monkeypatch.setattr(record, "draw_cards", CARDS)
    monkeypatch.setattr("h2r_bench.real.operator.demo_recorder.COUNTDOWN_S", 0)


def card(trial: int = 0):  # noqa: ANN201
    return CARDS("pick_place", cue="scene", shift_cm=0.0, seed=0, trials=2)[trial]


def frames(length: int = 30) -> list[np.ndarray]:
    return list(demonstration(length, (64, 48)).frames)


def answering(answers: list[str] | None) -> Terminal:
    console = Console(width=110, quiet=True)
    if answers is None:
        return Terminal(console)
    left = iter(answers)
    return Terminal(console, ask=lambda _: next(left))


# --- files -------------------------------------------------------------------------------------------------


def test_demonstration_survives_its_file(tmp_path: Path) -> None:
    save_demo(tmp_path, card(), frames(), "test")
    loaded = load_demo(tmp_path, card())
    assert (len(loaded), loaded.rate_hz, loaded.instruction) == (30, 10.0, card().instruction)
    off = np.abs(loaded.frames.astype(int) - np.stack(frames()))
    assert off.mean() < 3


def test_missing_demonstration_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"python -m h2r_bench.real.record"):
        load_demo(tmp_path, card())


@pytest.mark.parametrize("length", [5, 700])
def test_demonstration_of_the_wrong_length_is_refused(tmp_path: Path, length: int) -> None:
    save_demo(tmp_path, card(), list(demonstration(length, (32, 32)).frames), "test")
    with pytest.raises(SetupError, match=r"2 to 60 s.*real.record"):
        check_demo(tmp_path, card())


def test_demonstration_of_the_wrong_rate_is_refused(tmp_path: Path) -> None:
    path = save_demo(tmp_path, card(), frames(), "test")
    imageio.v3.imwrite(path, np.stack(frames(90)), plugin="pyav", codec="libx264", fps=30)
    with pytest.raises(SetupError, match=r"30 frames per second, not 10.*resampled"):
        check_demo(tmp_path, card())


def test_demonstration_of_another_scene_is_refused(tmp_path: Path) -> None:
    path = save_demo(tmp_path, card(0), frames(), "test")
    other = demo_path(tmp_path, card(1))
    path.rename(other)
    path.with_suffix(".json").rename(other.with_suffix(".json"))
    with pytest.raises(SetupError, match="seed"):
        check_demo(tmp_path, card(1))


@pytest.mark.parametrize("damage", ["note", "video"])
def test_damaged_demonstration_is_refused(tmp_path: Path, damage: str) -> None:
    path = save_demo(tmp_path, card(), frames(), "test")
    (path if damage == "video" else path.with_suffix(".json")).write_bytes(b"x")
    with pytest.raises(SetupError, match=r"real.record"):
        check_demo(tmp_path, card())


def test_resized_keeps_the_shape_of_what_is_seen() -> None:
    wide = demonstration(4, (96, 48))
    assert resized(wide, (24, 24)).frames.shape == (4, 24, 24, 3)
    assert resized(wide, (96, 48)) is wide


# --- recording ---------------------------------------------------------------------------------------------


def test_recording_keeps_the_control_rate_whatever_the_cameras() -> None:
    class Fast(ClockCamera):
        """60 frames a second of its own time."""

        def latest(self, newer_than: int = -1, timeout_s: float = 0.2):  # noqa: ANN202
            self._clock.sleep_until(self._clock.now() + 1 / 60)
            return super().latest(newer_than, timeout_s)

    clock = HandClock()
    taken = record_frames(Fast(clock, (64, 48)), View(), over=lambda: clock.now() > 3.0)
    assert len(taken) in (30, 31)
    assert taken[0].shape == (480, 848, 3)


def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    View().save(tmp_path / "view.json")
    monkeypatch.setitem(CAMERAS._values, "fake", lambda config: ClockCamera(MonotonicClock()))  # type: ignore[arg-type]
    where = ["--demos", str(tmp_path / "demos"), "--view", str(tmp_path / "view.json"), "--port", "0"]
    return ["--task", "pick_place", "--trials", "2", "--camera", "fake", *where]


def test_cards_that_have_a_demonstration_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = lab(tmp_path, monkeypatch)
    monkeypatch.setattr("h2r_bench.real.operator.demo_recorder.record_frames", lambda *_: frames())
    save_demo(tmp_path / "demos", card(0), frames(), "test")
    # Ready, Enter to end, record again, ready, Enter to end, keep.
    assert record.main(command, terminal=answering(["", "", "r", "", "", ""])) == 0
    check_demo(tmp_path / "demos", card(1))
    assert record.main(command, terminal=answering([])) == 0


def test_leaving_keeps_what_was_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = lab(tmp_path, monkeypatch)
    monkeypatch.setattr("h2r_bench.real.operator.demo_recorder.record_frames", lambda *_: frames())
    assert record.main(command, terminal=answering(["", "", "", "q"])) == record.NOT_FINISHED
    check_demo(tmp_path / "demos", card(0))
    assert not demo_path(tmp_path / "demos", card(1)).exists()


def test_video_file_becomes_a_demonstration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    clip = tmp_path / "clip.mp4"
    imageio.v3.imwrite(clip, np.stack(frames(75)), plugin="pyav", codec="libx264", fps=30)
    demos = ["--demos", str(tmp_path / "demos"), "--view", str(tmp_path / "none.json")]
    command = ["--task", "pick_place", "--trial", "1", "--source", str(clip), *demos]
    assert record.main(command, terminal=answering(None)) == 0
    note = json.loads(demo_path(tmp_path / "demos", card(1)).with_suffix(".json").read_text())
    assert note["rate_hz"] == 10.0
    assert 24 <= note["frames"] <= 26


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--trials", "0"], "--trials must be at least 1"),
        (["--task", "writing"], "no protocol on an arm"),
        (["--camera", "fakee"], "Did you mean 'fake'"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    message: str,
) -> None:
    assert record.main([*lab(tmp_path, monkeypatch), *more], terminal=answering([])) == BAD_INPUT
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_nobody_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert record.main(lab(tmp_path, monkeypatch), terminal=answering(None)) == BAD_INPUT
    assert "in a terminal" in capsys.readouterr().err


# --- aiming, cards -----------------------------------------------------------------------------------------


def test_aiming_saves_what_the_agents_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab(tmp_path, monkeypatch)
    reference = tmp_path / "reference.png"
    imageio.v3.imwrite(reference, np.full((48, 64, 3), 90, np.uint8))
    where = ["--view", str(tmp_path / "new" / "view.json"), "--reference", str(reference), "--port", "0"]
    command = ["--camera", "fake", "--fovy", "42", *where, "--save-reference", str(tmp_path / "mine.png")]
    assert aim.main(command, terminal=answering(["q"])) == 0
    assert not (tmp_path / "new").exists()
    assert aim.main(command, terminal=answering([""])) == 0
    assert View.load(tmp_path / "new" / "view.json") == View.of_angle(42.0, 28.0)
    assert imageio.v3.imread(tmp_path / "mine.png").shape == (480, 848, 3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--fovy", "20"], "move it back"),
        (["--fovy", "40", "--crop", "0", "0", "1", "1"], "give one of them"),
        (["--crop", "0", "0", "2", "1"], "shares of the frame"),
        (["--reference", "nowhere.png"], "no picture"),
    ],
)
def test_bad_aim_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    message: str,
) -> None:
    lab(tmp_path, monkeypatch)
    assert aim.main(["--camera", "fake", *more], terminal=answering([])) == BAD_INPUT
    assert message in capsys.readouterr().err


def test_views_are_mixed_side_by_side() -> None:
    live, reference = np.zeros((48, 64, 3), np.uint8), np.full((48, 64, 3), 200, np.uint8)
    picture = aiming.mixed(live, reference)
    assert picture.shape == (48, 192, 3)
    assert [picture[0, column, 0] for column in (0, 64, 128)] == [0, 100, 200]


def test_cards_are_printed_without_arm_and_camera(tmp_path: Path) -> None:
    command = ["--task", "push_pull", "--trials", "2", "--out", str(tmp_path)]
    assert scenes.main(command, terminal=answering(None)) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card_001.png", "card_002.png"]


def test_cards_of_a_task_without_protocol_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert scenes.main(["--task", "background_gen"], terminal=answering(None)) == BAD_INPUT
    assert "no protocol on an arm" in capsys.readouterr().err
