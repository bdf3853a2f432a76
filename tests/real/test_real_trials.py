from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from h2r_bench.cli import BAD_INPUT, INTERRUPTED, NOT_FINISHED
from h2r_bench.envs.robot.model import FINGER_TIP_BELOW_TOOL
from h2r_bench.evaluation.log import TrialLog, log_path, video_path
from h2r_bench.evaluation.trial import trial_seed
from h2r_bench.real import trials
from h2r_bench.real.cameras import View
from h2r_bench.real.cameras.catalog import CAMERAS
from h2r_bench.real.operator.terminal import Terminal
from h2r_bench.real.scene_cards.cards import draw_cards
from h2r_bench.real.scene_cards.projection import ReferenceCamera
from h2r_bench.real.session import preparation
from h2r_bench.real.session.demos import save_demo
from h2r_bench.real.session.session import only_writer
from h2r_bench.real.setup.calibration import FINGER_ABOVE_TOOL, MARKS, Calibration, HandEye, fit_mount
from h2r_bench.real.trials import main

from bench_fakes import BareArm, ClockCamera, StillAgent, WorldArm, demonstration

CARDS = functools.cache(draw_cards)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The video library collects garbage at every file, and a frozen camera is waited for in real time."""
    monkeypatch.setattr("gc.collect", lambda *_: 0)
    monkeypatch.setattr(preparation, "draw_cards", CARDS)
    monkeypatch.setattr("h2r_bench.real.session.control_loop.PATIENCE_S", 0.25)


STILL, TWO = (
    "still=bench_fakes:StillAgent",
    ["--policy", "still=bench_fakes:StillAgent", "--policy", "expert"],
)


def silent(answers: list[str] | None = None) -> Terminal:
    """A terminal into nothing; without answers nobody is there."""
    console = Console(file=open("/dev/null", "w"), width=110)  # noqa: SIM115
    if answers is None:
        return Terminal(console)
    left = iter(answers)
    return Terminal(console, ask=lambda _: next(left))


def run(out: Path, *more: str, arm: Any = None, terminal: Terminal | None = None, trials: int = 2) -> int:
    argv = ["--task", "pick_place", "--trials", str(trials), "--out", str(out), *more]
    return main(argv, make=lambda config: arm or WorldArm(), terminal=terminal or silent())


def records(out: Path, policy: str) -> list[Any]:
    return TrialLog(log_path(out, "pick_place", policy)).load()


def test_session_with_two_policies_runs_by_itself(tmp_path: Path) -> None:
    arm = WorldArm()
    assert run(tmp_path, *TWO, arm=arm) == 0
    for policy in ("still", "expert"):
        mine = records(tmp_path, policy)
        assert [record.trial for record in mine] == [0, 1]
        assert [record.trial_seed for record in mine] == [trial_seed(0, 0), trial_seed(0, 1)]
        assert [record.success for record in mine] == [record.trial_seed % 2 == 0 for record in mine]
        assert all(record.steps == 25 + 20 for record in mine)
        assert mine[0].versions["arm"] == "small"
        assert mine[0].versions["limits"] == "default"
        assert video_path(tmp_path, mine[1], 1).exists()
    # Every policy had each scene once, and the scenes are the simulator's.
    assert sorted(trial for _, _, trial in arm.twin.scenes) == [0, 0, 1, 1]
    assert arm.twin.expert_calls == 2 * 45
    assert arm.calls[-1] == "close"


def test_finished_session_is_left_alone(tmp_path: Path) -> None:
    assert run(tmp_path, "--policy", STILL) == 0
    arm = WorldArm()
    assert run(tmp_path, "--policy", STILL, arm=arm) == 0
    assert arm.calls == []
    assert len(records(tmp_path, "still")) == 2


def test_nothing_tells_the_policy_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "unblind", lambda *_: pytest.fail("unblinded too early"))
    arm = WorldArm()
    arm.twin.frozen_after = 60
    assert run(tmp_path, *TWO, arm=arm) == NOT_FINISHED
    assert not (tmp_path / "trials").exists()
    assert not (tmp_path / "videos").exists()
    session = next((tmp_path / "sessions").iterdir())
    runs = [path for path in session.rglob("*") if path.name not in ("plan.json", "journal.jsonl")]
    assert runs
    assert not [path for path in runs if "still" in path.name or "expert" in path.name]
    journal = (session / "journal.jsonl").read_text()
    assert "still" not in journal
    assert "expert" not in journal


def test_frozen_camera_stops_and_resumes_without_losing_or_doubling(tmp_path: Path) -> None:
    arm = WorldArm()
    arm.twin.frozen_after = 70  # in the second run
    assert run(tmp_path, "--policy", STILL, arm=arm, trials=3) == NOT_FINISHED
    assert arm.calls[-2:] == ["stop", "close"]
    assert records(tmp_path, "still") == []
    assert run(tmp_path, "--policy", STILL, trials=3) == 0
    mine = records(tmp_path, "still")
    assert [record.trial for record in mine] == [0, 1, 2]


def test_lost_server_repeats_the_run(tmp_path: Path) -> None:
    assert run(tmp_path, "--policy", "lossy=bench_fakes:BreakingAgent") == 0
    assert len(records(tmp_path, "lossy")) == 2
    journal = next((tmp_path / "sessions").iterdir()) / "journal.jsonl"
    events = [json.loads(line)["event"] for line in journal.read_text().splitlines()]
    assert events == ["started", "fault", *["started", "done", "verdict"] * 2, "closed"]


def test_kill_at_any_line_of_the_journal_resumes_to_the_same_count(tmp_path: Path) -> None:
    assert run(tmp_path / "whole", *TWO) == 0
    name = next((tmp_path / "whole" / "sessions").iterdir()).name
    whole = (tmp_path / "whole" / "sessions" / name / "journal.jsonl").read_bytes()
    plan = (tmp_path / "whole" / "sessions" / name / "plan.json").read_text()
    for number, cut in enumerate((10, len(whole) // 3, len(whole) // 2, len(whole) - 5)):
        out = tmp_path / f"cut{number}"
        folder = out / "sessions" / name
        folder.mkdir(parents=True)
        (folder / "plan.json").write_text(plan)
        (folder / "journal.jsonl").write_bytes(whole[:cut])
        assert run(out, *TWO) == 0
        for policy in ("still", "expert"):
            assert [record.trial for record in records(out, policy)] == [0, 1]


def test_interrupt_holds_the_arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Any, *_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(StillAgent, "predict", interrupt)
    arm = WorldArm()
    assert run(tmp_path, "--policy", STILL, arm=arm) == INTERRUPTED
    assert arm.calls[-2:] == ["stop", "close"]


# --- a person ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded demonstrations of the first two scenes."""
    folder = tmp_path_factory.mktemp("demos")
    for card in draw_cards("pick_place", cue="scene", shift_cm=0.0, seed=0, trials=2):
        save_demo(folder, card, list(demonstration(22, (424, 240)).frames), "test")
    return folder


def calibrated() -> Calibration:
    """Of an arm that stands where it should, under a camera that looks where it should."""
    touched = np.array(MARKS) + np.array([0.0, 0.0, FINGER_TIP_BELOW_TOOL])
    places = np.array([(0.42, -0.12, 0.15), (0.42, 0.12, 0.15), (0.56, -0.12, 0.10), (0.56, 0.12, 0.10)])
    seen = ReferenceCamera((128, 128)).pixels(places + np.array([0.0, 0.0, FINGER_ABOVE_TOOL]))
    eye = HandEye(tuple(map(tuple, places.tolist())), tuple(map(tuple, seen.tolist())), (128, 128))
    return Calibration("xarm", "", "2030-01-01", fit_mount(touched), tuple(map(tuple, touched.tolist())), eye)


@pytest.fixture
def lab(tmp_path: Path, demos: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """A bare arm, an aimed camera and recorded demonstrations; returns how to run a session there."""
    View().save(tmp_path / "view.json")
    calibrated().save(tmp_path / "calibration.json")
    arm = BareArm()
    monkeypatch.setitem(CAMERAS._values, "fake", lambda config: ClockCamera(arm.clock))

    def session(answers: list[str] | None, *more: str) -> int:
        where = [
            "--demos",
            str(demos),
            "--view",
            str(tmp_path / "view.json"),
            "--camera",
            "fake",
        ]
        where += ["--arm", "xarm", "--calibration", str(tmp_path / "calibration.json")]
        terminal = silent(answers)
        return run(tmp_path / "out", *where, "--port", "0", *more, arm=arm, terminal=terminal)

    return session


def test_person_judges_by_the_rubric(tmp_path: Path, lab: Callable[..., int]) -> None:
    answers = ["", "s", "", "", "2", "slipped"]
    assert lab(answers, "--policy", STILL) == 0
    first, second = records(tmp_path / "out", "still")
    assert first.success
    assert first.progress == 1.0
    assert (second.success, second.failure) == (False, "object never lifted")
    assert second.progress == pytest.approx(1 / 6)
    run_folder = next((tmp_path / "out" / "sessions").iterdir()) / "run_001"
    assert {path.name for path in run_folder.iterdir()} == {
        "card.json",
        "card.png",
        "steps.jsonl",
        "video.mp4",
    }
    steps = [json.loads(line) for line in (run_folder / "steps.jsonl").read_text().splitlines()]
    assert [step["step"] for step in steps] == list(range(22 + 20))


def test_undo_asks_for_the_last_verdict_again(tmp_path: Path, lab: Callable[..., int]) -> None:
    answers = ["", "s", "", "u", "1", "was wrong", "", "s", ""]
    assert lab(answers, "--policy", STILL) == 0
    assert [record.success for record in records(tmp_path / "out", "still")] == [False, True]


def test_quit_and_go_on_in_the_evening(tmp_path: Path, lab: Callable[..., int]) -> None:
    assert lab(["", "q"], "--policy", STILL) == NOT_FINISHED  # at the verdict: it is asked for again
    assert lab(["s", "", "q"], "--policy", STILL) == NOT_FINISHED
    assert lab(["", "s", ""], "--policy", STILL) == 0
    assert [record.trial for record in records(tmp_path / "out", "still")] == [0, 1]


def test_void_run_is_repeated_and_counted_once(tmp_path: Path, lab: Callable[..., int]) -> None:
    assert lab(["", "v", "table bumped", "", "s", "", "", "s", ""], "--policy", STILL) == 0
    assert len(records(tmp_path / "out", "still")) == 2


def test_missing_demonstration_needs_somebody_to_record_it(
    tmp_path: Path, lab: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab(None, "--policy", STILL) == BAD_INPUT
    assert "a person has to set up" in capsys.readouterr().err


# --- refused before anything moves -------------------------------------------------------------------------

REFUSED = {
    "unknown task": (["--task", "pick_plase", "--policy", STILL], "Did you mean 'pick_place'"),
    "no protocol": (["--task", "brand_new", "--policy", STILL], "no protocol on an arm"),
    "unknown policy": (["--policy", "exprt"], "Did you mean 'expert'"),
    "no policy": ([], "at least one --policy"),
    "same names": (["--policy", STILL, "--policy", STILL], "LABEL=NAME"),
    "no trials": (["--policy", STILL, "--trials", "0"], "--trials must be at least 1"),
    "wrist camera": (["--policy", "bench_fakes:WristAgent"], "wrist_image"),
    "too few pixels": (["--policy", "bench_fakes:HugeAgent"], "1920 x 1080"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_before_anything_moves(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more, message = REFUSED[name]
    arm = WorldArm()
    assert run(tmp_path, *more, arm=arm) == BAD_INPUT
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert "stream" not in arm.calls


def test_privileged_policy_is_refused_on_a_physical_arm(
    lab: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab([], "--policy", "expert") == BAD_INPUT
    assert "looks into the simulator" in capsys.readouterr().err


def test_camera_that_was_never_aimed_is_refused(
    tmp_path: Path, lab: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "view.json").unlink()
    assert lab([], "--policy", STILL) == BAD_INPUT
    assert "python -m h2r_bench.real.aim" in capsys.readouterr().err


def test_arm_that_was_never_calibrated_is_refused(
    tmp_path: Path, lab: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "calibration.json").unlink()
    assert lab([], "--policy", STILL) == BAD_INPUT
    assert "python -m h2r_bench.real.calibrate --arm xarm" in capsys.readouterr().err


def test_session_of_other_policies_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arm = WorldArm()
    arm.twin.frozen_after = 60
    assert run(tmp_path, "--policy", STILL, arm=arm) == NOT_FINISHED
    assert run(tmp_path, "--policy", "expert") == BAD_INPUT
    assert "another session" in capsys.readouterr().err


def test_trials_that_another_session_recorded_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--policy", STILL) == 0
    sessions = tmp_path / "sessions"
    sessions.rename(tmp_path / "elsewhere")
    assert run(tmp_path, "--policy", STILL) == BAD_INPUT
    assert "already holds these trials" in capsys.readouterr().err


def test_agents_see_what_the_seam_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from h2r_bench.types import observation_space

    seen: list[Any] = []
    predict = StillAgent.predict

    def spy(self: StillAgent, observation: Any, *rest: Any, **more: Any) -> Any:
        seen.append(observation)
        return predict(self, observation, *rest, **more)

    monkeypatch.setattr(StillAgent, "predict", spy)
    assert run(tmp_path, "--policy", STILL, trials=1) == 0
    space = observation_space((32, 24))
    assert all(space.contains(observation) for observation in seen)
    assert len({observation["image"].tobytes() for observation in seen}) == len(seen)  # no frame twice
    assert not np.array_equal(seen[0]["human_clip"], seen[-1]["human_clip"])


def test_dry_run_moves_and_records_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arm = WorldArm()
    console = Console(width=110)
    assert run(tmp_path, *TWO, "--dry-run", arm=arm, terminal=Terminal(console)) == 0
    assert arm.calls == ["connect", "close"]
    assert list(tmp_path.iterdir()) == []
    out = capsys.readouterr().out
    assert "still: " in out
    assert "expert: " in out
    assert "0 of 25 steps missed" in out


def test_a_second_session_on_one_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with only_writer(tmp_path / "sessions" / "pick_place_scene_shift0_seed0"):
        assert run(tmp_path, "--policy", "expert") == BAD_INPUT
    assert "is being run by another process" in capsys.readouterr().err
