from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.evaluation.log import log_path
from h2r_bench.reporting.record_loading import LoadedRecords, NoRecordsError, load, spans

from synthetic import edit_line, make_record, write_run

LOG = "trials/push_pull/h2r.jsonl"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_run(tmp_path, "push_pull", "h2r", "++--")
    return tmp_path


def notes(loaded: LoadedRecords) -> list[str]:
    return [str(notice) for notice in loaded.notices]


def test_sound_records_come_with_their_places(results: Path) -> None:
    loaded = load(results)
    assert loaded.notices == ()
    assert [(trial.path, trial.line) for trial in loaded.trials] == [(LOG, line) for line in range(1, 5)]
    assert [trial.record.success for trial in loaded.trials] == [True, True, False, False]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"success": "yes"}, 'success is true or false, got "yes"'),
        ({"success": 1}, "success is true or false, got 1"),
        ({"trial": True}, "trial is a whole number, got true"),
        ({"trial": -1}, "trial is 0 or more, got -1"),
        ({"progress": 1.5}, "progress lies in 0..1, got 1.5"),
        ({"seconds": "fast"}, 'seconds is a number, got "fast"'),
        ({"policy": " "}, "policy is empty"),
        ({"versions": []}, "versions is an object, got []"),
        ({"trial_seed": 5}, "trial_seed does not follow from seed and trial"),
        ({"weights": ...}, "a trial record has the fields task, policy"),
    ],
    ids=str,
)
def test_fields_of_the_wrong_kind(results: Path, changes: dict[str, Any], what: str) -> None:
    edit_line(results / LOG, 2, **changes)
    loaded = load(results)
    assert len(loaded.trials) == 3
    assert len(loaded.notices) == 1
    assert notes(loaded)[0].startswith(f"{LOG}, line 2: not a trial record, left out: ")
    assert what in notes(loaded)[0]


@pytest.mark.parametrize("line", [b"rubbish", b"", b"\xff\xfe", b"NaN", b'{"progress": NaN}', b"[" * 100_000])
def test_lines_that_are_no_json(results: Path, line: bytes) -> None:
    with (results / LOG).open("ab") as file:
        file.write(line + b"\n")
    loaded = load(results)
    assert len(loaded.trials) == 4
    assert notes(loaded) == [f"{LOG}, line 5: not JSON, left out"]


@given(st.binary(max_size=60).filter(lambda line: b"\n" not in line and line.strip() not in (b"", b"{}")))
def test_no_line_is_believed_or_fatal(line: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write_run(Path(folder), "push_pull", "h2r", "+")
        with (Path(folder) / LOG).open("ab") as file:
            file.write(line + b"\n")
        loaded = load(Path(folder))
    assert len(loaded.trials) == len(loaded.notices) == 1


def test_a_torn_end_is_left_out_and_left_alone(results: Path) -> None:
    with (results / LOG).open("a") as file:
        file.write(make_record(trial=4).to_json()[:50])
    before = (results / LOG).read_bytes()
    assert notes(load(results)) == [f"{LOG}, line 5: torn by a crash, left out"]
    assert (results / LOG).read_bytes() == before
    assert [path.name for path in (results / LOG).parent.iterdir()] == ["h2r.jsonl"]


def test_of_equal_trials_the_first_counts(results: Path) -> None:
    write_run(results, "push_pull", "h2r", "+++")
    loaded = load(results)
    assert [trial.record.success for trial in loaded.trials] == [True, True, False, False]
    assert notes(loaded) == [
        f"{LOG}, lines 5–6: the same trial again, with the same result; the first counts",
        f"{LOG}, line 7: the same trial again, with another result; the first counts",
    ]


def test_unknown_tasks_are_named_with_the_nearest(results: Path) -> None:
    write_run(results, "push_pul", "h2r", "++")
    loaded = load(results)
    assert len(loaded.trials) == 4
    assert notes(loaded) == [
        "trials/push_pul/h2r.jsonl, lines 1–2: unknown task \"push_pul\", left out. Did you mean 'push_pull'?"
    ]


def test_records_in_another_log_are_left_out(results: Path) -> None:
    shutil.copy(results / LOG, results / "trials/push_pull/vpp.jsonl")
    loaded = load(results)
    assert len(loaded.trials) == 4
    assert notes(loaded) == [f"trials/push_pull/vpp.jsonl, lines 1–4: belongs in {LOG}, left out"]


def test_further_successes_and_later_fields_are_welcome(results: Path) -> None:
    edit_line(results / LOG, 1, success_original=False, mood="good", success_note="no")
    trial = load(results).trials[0]
    assert trial.further == {"success_original": False}
    assert trial.record == make_record()


def test_policies_whose_names_need_care(tmp_path: Path) -> None:
    for policy in ("pkg.mod:Class", "<script>alert(1)</script>", "../../etc", "手|x"):
        write_run(tmp_path, "push_pull", policy, "+")
    loaded = load(tmp_path)
    assert len(loaded.trials) == 4
    assert loaded.notices == ()
    assert all(log_path(tmp_path, "push_pull", t.record.policy).is_file() for t in loaded.trials)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(NoRecordsError, match=r"python -m h2r_bench\.run"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([3], "line 3"),
        ([1, 2, 3], "lines 1–3"),
        ([7, 1, 2], "lines 1–2, 7"),
        (range(1, 40, 2), "lines 1, 3, 5, 7, 9, 11, 13, 15, …"),
    ],
    ids=str,
)
def test_spans(lines: Any, words: str) -> None:
    assert spans(lines) == words


def test_extra_fields_do_not_disturb_the_log_of_the_runner(results: Path) -> None:
    from h2r_bench.evaluation.log import TrialLog

    edit_line(results / LOG, 1, success_original=True)
    assert len(TrialLog(results / LOG).load()) == 4
    assert json.loads((results / LOG).read_text().splitlines()[0])["success_original"] is True
