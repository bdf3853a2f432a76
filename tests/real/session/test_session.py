from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2r_bench.real.errors import SetupError
from h2r_bench.real.operator.verdict import UNSAFE, Verdict, judged, stopped_as_unsafe
from h2r_bench.real.session.session import (
    CLOSED,
    DONE,
    FAULT,
    STARTED,
    UNDO,
    VERDICT,
    VOID,
    Session,
    SessionPlan,
    only_writer,
)

PLAN = SessionPlan("push_pull", "scene", 0.0, 0, 3, ("a", "b"), ("none", "none"), "arm", "", 1, key="5")
GOOD, BAD = Verdict(True, 1.0, ""), Verdict(False, 0.5, "missed")
RUBRIC = ("never touched", "never lifted", "not there")


def events(session: Session) -> list[str]:
    text = (session.folder / "journal.jsonl").read_text()
    return [json.loads(line)["event"] for line in text.splitlines()]


def play(session: Session, run: int, verdict: Verdict = GOOD) -> None:
    session.note(STARTED, run)
    session.note(DONE, run, result={"steps": 1})
    session.note(VERDICT, run, verdict=verdict.to_dict())


@given(st.integers(1, 6), st.integers(1, 30), st.integers(0, 2**64))
def test_every_policy_has_every_scene_once_block_by_block(policies: int, trials: int, key: int) -> None:
    names = tuple(f"p{index}" for index in range(policies))
    plan = replace(PLAN, policies=names, weights=("none",) * policies, trials=trials, key=f"{key:x}")
    runs = [plan.run(number) for number in range(plan.runs)]
    assert Counter(runs) == Counter((trial, who) for trial in range(trials) for who in range(policies))
    assert [trial for trial, _ in runs] == sorted(trial for trial, _ in runs)


def test_order_differs_from_session_to_session() -> None:
    orders = {
        tuple(who for _, who in map(replace(PLAN, key=f"{key:x}", trials=20).run, range(40)))
        for key in range(20)
    }
    assert len(orders) == 20
    first = [replace(PLAN, key=f"{key:x}").run(0)[1] for key in range(400)]
    assert 140 < sum(first) < 260


def test_keys_are_drawn_anew() -> None:
    fields = {name: value for name, value in vars(PLAN).items() if name != "key"}
    assert SessionPlan(**fields).key != SessionPlan(**fields).key


def test_session_goes_on_where_it_was(tmp_path: Path) -> None:
    session = Session.open(tmp_path, PLAN)
    play(session, 0, BAD)
    session.note(STARTED, 1)
    session.note(DONE, 1, result={"steps": 7})
    again = Session.open(tmp_path, replace(PLAN, key="77"))
    assert again.plan.key == "5"
    assert again.standing.verdicts == {0: BAD}
    assert next(iter(again.open_runs())) == 1
    assert again.standing.awaiting == 1
    again.note(VERDICT, 1, verdict=GOOD.to_dict())
    assert next(iter(again.open_runs())) == 2


def test_undo_asks_again_for_the_last_verdict_alone(tmp_path: Path) -> None:
    session = Session.open(tmp_path, PLAN)
    play(session, 0)
    play(session, 1)
    session.note(UNDO, 1)
    assert session.standing.awaiting == 1
    assert next(iter(session.open_runs())) == 1
    session.note(VERDICT, 1, verdict=BAD.to_dict())
    assert session.standing.verdicts == {0: GOOD, 1: BAD}


@pytest.mark.parametrize("event", [FAULT, VOID])
def test_what_does_not_count_is_repeated(tmp_path: Path, event: str) -> None:
    session = Session.open(tmp_path, PLAN)
    session.note(STARTED, 0)
    if event == VOID:
        session.note(DONE, 0, result={})
    session.note(event, 0, reason="bump")
    assert session.standing.awaiting is None
    assert next(iter(session.open_runs())) == 0
    assert session.standing.void == 1
    play(session, 0)
    assert session.standing.attempts[0] == 2


@pytest.mark.parametrize(
    "change", [{"policies": ("a", "c")}, {"seed": 1}, {"trials": 4}, {"limits": "max_speed"}]
)
def test_other_session_in_the_same_place_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    Session.open(tmp_path, PLAN)
    with pytest.raises(SetupError, match=next(iter(change))):
        Session.open(tmp_path, replace(PLAN, **change))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"task": 1}'])
def test_damaged_plan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(SetupError, match="no plan of a session"):
        Session.open(tmp_path, PLAN)


def test_damaged_line_in_the_middle_is_refused(tmp_path: Path) -> None:
    session = Session.open(tmp_path, PLAN)
    play(session, 0)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"{" + path.read_bytes())
    with pytest.raises(SetupError, match="damaged"):
        Session.open(tmp_path, PLAN)


@settings(max_examples=30)
@given(st.floats(0, 1))
def test_cut_at_any_byte_loses_at_most_the_last_line(share: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        cut_and_go_on(Path(name), share)


def cut_and_go_on(folder: Path, share: float) -> None:
    session = Session.open(folder, PLAN)
    for run in range(3):
        play(session, run)
    path = folder / "journal.jsonl"
    whole = path.read_bytes()
    cut = round(share * len(whole))
    path.write_bytes(whole[:cut])
    again = Session.open(folder, PLAN)
    assert events(again) == [json.loads(line)["event"] for line in whole[:cut].split(b"\n")[:-1]]
    for run in again.open_runs():
        again.note(VERDICT, run, verdict=GOOD.to_dict()) if again.standing.awaiting == run else play(
            again, run
        )
    assert sorted(again.standing.verdicts) == list(range(PLAN.runs))
    assert Counter(again.standing.order).most_common(1)[0][1] == 1


# --- verdicts ----------------------------------------------------------------------------------------------


@given(st.integers(0, 3))
def test_verdict_by_stages(reached: int) -> None:
    verdict = judged(RUBRIC, reached, "a note")
    assert verdict.progress == pytest.approx(reached / 3)
    assert verdict.success == (reached == 3)
    assert verdict.failure == ("" if reached == 3 else RUBRIC[reached])
    assert verdict.note == "a note"


def test_stopped_trial_is_a_failure_whatever_it_reached() -> None:
    assert stopped_as_unsafe(RUBRIC, 3) == Verdict(False, 1.0, UNSAFE)


@pytest.mark.parametrize("reached", [-1, 4])
def test_there_are_only_so_many_stages(reached: int) -> None:
    with pytest.raises(ValueError, match=r"0\.\.3"):
        judged(RUBRIC, reached)


@pytest.mark.parametrize("fields", [(True, 1.0, "missed"), (False, 0.5, ""), (False, 1.5, "missed")])
def test_verdict_that_contradicts_itself_is_refused(fields: tuple[bool, float, str]) -> None:
    with pytest.raises(ValueError, match="verdict"):
        Verdict(*fields)


# --- two at once -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "event"),
    [
        ([], (DONE, 0, {"result": {}})),
        ([], (FAULT, 0, {})),
        ([], (VERDICT, 0, {"verdict": GOOD.to_dict()})),
        ([], (VOID, 0, {})),
        ([], (UNDO, 0, {})),
        ([], (STARTED, 99, {})),
        ([], ("danced", 0, {})),
        ([], (CLOSED, -1, {})),
        ([(STARTED, 0, {})], (DONE, 0, {"result": None})),
        ([(STARTED, 0, {}), (DONE, 0, {"result": {}})], (DONE, 0, {"result": {}})),
        ([(STARTED, 0, {}), (DONE, 0, {"result": {}})], (STARTED, 0, {})),
        ([(STARTED, 0, {}), (DONE, 0, {"result": {}})], (VERDICT, 0, {"verdict": {"success": 1}})),
    ],
)
def test_an_impossible_event_is_refused_and_not_written(
    tmp_path: Path, before: list[Any], event: tuple[str, int, dict[str, Any]]
) -> None:
    session = Session.open(tmp_path, PLAN)
    for name, run, more in before:
        session.note(name, run, **more)
    name, run, more = event
    with pytest.raises(SetupError, match="impossible"):
        session.note(name, run, **more)
    assert Session.open(tmp_path, PLAN).standing == session.standing
    assert len(events(session) if before else []) == len(before)


def test_a_journal_that_two_processes_spoilt_still_opens(tmp_path: Path) -> None:
    first, second = Session.open(tmp_path, PLAN), Session.open(tmp_path, PLAN)
    play(first, 0)
    play(second, 0)
    first.note(UNDO, 0)
    second.note(UNDO, 0)
    again = Session.open(tmp_path, PLAN)
    assert again.standing.awaiting == 0
    assert [line.split(":")[0] for line in again.passed_over] == ["line 4", "line 5", "line 6", "line 8"]
    again.note(VERDICT, 0, verdict=BAD.to_dict())
    assert Session.open(tmp_path, PLAN).standing.verdicts == {0: BAD}


def test_one_process_runs_a_session(tmp_path: Path) -> None:
    with only_writer(tmp_path), pytest.raises(SetupError, match="another process"), only_writer(tmp_path):
        pass
    with only_writer(tmp_path):
        pass


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session.open(tmp_path, PLAN)
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, raw: write(handle, raw[: len(raw) // 2]))
    with pytest.raises(OSError, match="only part"):
        session.note(STARTED, 0)
    monkeypatch.undo()
    session.note(STARTED, 0)
    assert events(session) == [STARTED]
