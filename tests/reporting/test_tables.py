from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

import pytest

from synthetic import draw, write_run

pytest.importorskip("statsmodels")

from h2r_bench.reporting.changes import changes, unchanged
from h2r_bench.reporting.leaderboard import HEADLINE, Leaderboard, Setting, UnknownWorldError, build
from h2r_bench.reporting.paper_results import AVERAGES, BASIC, GENERALIZATION, LABELS, RATES
from h2r_bench.reporting.record_loading import load
from h2r_bench.reporting.significance import holm, mcnemar_p
from h2r_bench.reporting.tables import AVERAGE, TableRow, table, tables
from h2r_bench.reporting.text_tables import CSV_FIELDS, markdown, percent, table_csv

GOOD, POOR = "+" * 20, "+" * 6 + "-" * 14


def board_of(results: Path, world: int | None = None) -> Leaderboard:
    return build(load(results), world)


def row_of(board: Leaderboard, name: str) -> TableRow:
    return next(row for row in table(board, BASIC, 20).rows if row.label == name)


# --- the paper's numbers ---------------------------------------------------------------------------------


def test_the_papers_averages_are_those_of_its_cells() -> None:
    for policy, average in AVERAGES.items():
        rates = [RATES[policy, task] for task in BASIC.columns]
        assert round(sum(rates) / len(rates)) == average


def test_the_paper_has_seven_agents_on_the_left_and_three_on_the_right() -> None:
    right = {policy for policy, task in RATES if task in GENERALIZATION.columns}
    assert {policy for policy, task in RATES if task in BASIC.columns} == set(LABELS)
    assert right == {"xskill", "vpp", "h2r"}
    assert RATES["h2r", "brand_new"] == 70
    assert len(RATES) == 7 * 3 + 3 * 6


# --- the board -------------------------------------------------------------------------------------------


def test_worlds_are_never_mixed(tmp_path: Path) -> None:
    write_run(tmp_path, "push_pull", "h2r", POOR, world=0)
    write_run(tmp_path, "push_pull", "h2r", GOOD)
    newest, oldest = board_of(tmp_path), board_of(tmp_path, 0)
    assert (newest.world, oldest.world) == (1, 0)
    assert row_of(newest, "h2r").cells["push_pull"].successes == 20
    assert row_of(oldest, "h2r").cells["push_pull"].successes == 6
    notice = (
        "trials/push_pull/h2r.jsonl, lines 1–20: 20 records of world 0, left out of the tables of world 1"
    )
    assert [str(each) for each in newest.notices] == [notice]
    assert notice in markdown(newest)
    with pytest.raises(UnknownWorldError, match="there are: 0, 1"):
        board_of(tmp_path, 7)


def test_weights_under_one_name_get_a_row_each(tmp_path: Path) -> None:
    write_run(tmp_path, "push_pull", "h2r", POOR, weights="aaaaaaaaaa")
    write_run(tmp_path, "push_pull", "h2r", GOOD, weights="bbbbbbbbbb")
    board = board_of(tmp_path)
    assert [entry.name for entry in board.entries] == ["h2r @ aaaaaaaa", "h2r @ bbbbbbbb"]
    assert len({entry.slug for entry in board.entries}) == 2
    assert row_of(board, "h2r @ aaaaaaaa").cells["push_pull"].successes == 6
    assert row_of(board, "h2r @ bbbbbbbb").cells["push_pull"].successes == 20
    words = [str(notice) for notice in board.notices]
    assert words[0] == (
        "trials/push_pull/h2r.jsonl, lines 1–20: "
        "h2r with weights aaaaaaaaaa: one of 2 kinds, each a row of its own"
    )


def test_versions_of_packages_are_named_when_they_differ(tmp_path: Path) -> None:
    write_run(tmp_path, "push_pull", "h2r", "++", versions={"mujoco": "3.17.0"})
    write_run(tmp_path, "pick_place", "h2r", "+", versions={"mujoco": "3.18.0"})
    assert [str(notice) for notice in board_of(tmp_path).notices] == [
        "trials/push_pull/h2r.jsonl, lines 1–2: h2r with mujoco 3.17.0, one of 2 versions",
        "trials/pick_place/h2r.jsonl, line 1: h2r with mujoco 3.18.0, one of 2 versions",
    ]


def test_two_servers_get_a_row_each_with_host_and_port(tmp_path: Path) -> None:
    write_run(tmp_path, "push_pull", "remote", POOR, weights="at localhost:8000")
    write_run(tmp_path, "push_pull", "remote", GOOD, weights="at localhost:8001")
    board = board_of(tmp_path)
    assert [entry.name for entry in board.entries] == ["remote @ localhost:8000", "remote @ localhost:8001"]
    assert len({entry.slug for entry in board.entries}) == 2
    assert row_of(board, "remote @ localhost:8000").cells["push_pull"].successes == 6


def test_slugs_are_file_names_of_their_own(tmp_path: Path) -> None:
    for policy in ("a:b", "../../x", "<b>", "x" * 200):
        write_run(tmp_path, "push_pull", policy, "+")
    slugs = [entry.slug for entry in board_of(tmp_path).entries]
    assert len(set(slugs)) == len(slugs) == 4
    assert max(map(len, slugs)) <= 80
    assert not any("/" in slug or slug.startswith(".") or "<" in slug for slug in slugs)


# --- tables ----------------------------------------------------------------------------------------------


def test_cells_are_the_first_twenty_trials_of_the_protocol(tmp_path: Path) -> None:
    write_run(tmp_path, "push_pull", "h2r", POOR + "+" * 80)
    write_run(tmp_path, "push_pull", "h2r", GOOD, cue="video")
    write_run(tmp_path, "push_pull", "h2r", GOOD, shift_cm=2.0)
    write_run(tmp_path, "push_pull", "h2r", GOOD, demo="blank")
    write_run(tmp_path, "push_pull", "h2r", GOOD, seed=1)
    board = board_of(tmp_path)
    cell = row_of(board, "h2r").cells["push_pull"]
    assert (cell.successes, cell.trials, cell.paper) == (6, 20, 100)
    more = table(board, BASIC, 100, with_paper=False).rows[0].cells["push_pull"]
    assert (more.successes, more.trials, more.paper) == (86, 100, None)


def test_averages_want_every_cell_complete(tmp_path: Path) -> None:
    for task, outcomes in (("push_pull", GOOD), ("pick_place", POOR), ("rotation", "+" * 19)):
        write_run(tmp_path, task, "h2r", outcomes)
    average = row_of(board_of(tmp_path), "h2r").cells[AVERAGE]
    assert (average.trials, average.paper) == (0, 95)
    write_run(tmp_path, "rotation", "h2r", "+" * 19 + "-")
    average = row_of(board_of(tmp_path), "h2r").cells[AVERAGE]
    assert (average.successes, average.trials) == (20 + 6 + 19, 60)


def test_marks_follow_mcnemar_and_holm(tmp_path: Path) -> None:
    runs = {"h2r": GOOD, "vpp": "+" * 19 + "-", "xskill": POOR, "diffusion_policy": "+" * 13 + "-" * 7}
    for policy, outcomes in runs.items():
        write_run(tmp_path, "push_pull", policy, outcomes)
    write_run(tmp_path, "push_pull", "expert", GOOD)
    board = board_of(tmp_path)
    cells = {row.label: row.cells["push_pull"] for row in table(board, BASIC, 20).rows}
    raw = [mcnemar_p(7, 0), mcnemar_p(1, 0), mcnemar_p(14, 0)]
    adjusted = dict(zip(("diffusion_policy", "vpp", "xskill"), holm(raw), strict=True))
    assert {name: cells[name].p_value for name in adjusted} == pytest.approx(adjusted)
    marks = {name: cell.mark for name, cell in cells.items() if cell.trials}
    assert marks == {
        "h2r": "best",
        "vpp": "alike",
        "diffusion_policy": "below",
        "xskill": "below",
        "expert": "",
    }


def test_incomplete_cells_and_lone_agents_are_not_ranked(tmp_path: Path) -> None:
    write_run(tmp_path, "push_pull", "h2r", POOR)
    write_run(tmp_path, "push_pull", "vpp", "+")
    board = board_of(tmp_path)
    assert row_of(board, "h2r").cells["push_pull"].mark == ""
    assert row_of(board, "vpp").cells["push_pull"].mark == ""
    assert "1 of only 1 (21–100)" in markdown(board)


def test_rows_go_from_best_to_ceilings_to_the_unmeasured(tmp_path: Path) -> None:
    for policy, outcomes in (("vpp", POOR), ("my.mod:New", GOOD), ("expert", GOOD)):
        write_run(tmp_path, "push_pull", policy, outcomes)
    labels = [row.label for row in table(board_of(tmp_path), BASIC, 20).rows]
    assert labels[:3] == ["my.mod:New", "vpp", "expert"]
    assert labels[3:] == [policy for policy in LABELS if policy != "vpp"]


def test_the_second_tables_show_complete_hundreds_only(tmp_path: Path) -> None:
    write_run(tmp_path, "push_pull", "h2r", draw(0.8, 100, 1))
    write_run(tmp_path, "push_pull", "vpp", GOOD)
    made = tables(board_of(tmp_path))
    assert [(each.half.key, each.trials) for each in made] == [
        ("basic", 20),
        ("generalization", 20),
        ("basic", 100),
    ]
    assert [row.label for row in made[2].rows] == ["h2r"]


# --- settings --------------------------------------------------------------------------------------------


def test_each_setting_is_compared_to_the_one_it_changes() -> None:
    assert unchanged(Setting(demo="blank", cue="video")) == Setting(cue="video")
    assert unchanged(Setting(shift_cm=4.0, seed=3)) == Setting(seed=3)
    assert unchanged(Setting(cue="video")) == HEADLINE
    assert str(Setting("wrong", "video", 2.0, 7)) == "video cue, 2 cm shift, wrong demonstration, seed 7"


def test_changes_are_differences_on_the_same_scenes(tmp_path: Path) -> None:
    write_run(tmp_path, "push_pull", "h2r", GOOD)
    write_run(tmp_path, "push_pull", "h2r", POOR, shift_cm=4.0)
    write_run(tmp_path, "push_pull", "h2r", "-" * 20, cue="video", demo="blank")
    board = board_of(tmp_path)
    shift, blank = changes(board, board.of(), lambda run: run.entry.name)
    assert (shift.change, shift.p_value) == (pytest.approx(-0.7), pytest.approx(mcnemar_p(14, 0)))
    assert (blank.change, blank.p_value) == (None, None)  # no matched run with that cue


def test_further_successes_stand_beside(tmp_path: Path) -> None:
    from synthetic import edit_line

    write_run(tmp_path, "push_pull", "h2r", "++--", demo="counterfactual", cue="video")
    log = tmp_path / "trials/push_pull/h2r.jsonl"
    for line in range(1, 5):
        edit_line(log, line, success_original=line == 1)
    board = board_of(tmp_path)
    assert board.of()[0].further == {"success_original": (1, 4)}
    assert "2/4 (15–85); by success_original 1/4" in markdown(board)


# --- Markdown and CSV ------------------------------------------------------------------------------------


def test_markdown_escapes_names(tmp_path: Path) -> None:
    write_run(tmp_path, "push_pull", "<b>|*x*</b>", GOOD)
    text = markdown(board_of(tmp_path))
    assert "<b>" not in text
    assert r"&lt;b&gt;\|\*x\*&lt;/b&gt;" in text


def test_csv_has_a_row_for_each_run_and_its_first_twenty(tmp_path: Path) -> None:
    write_run(tmp_path, "push_pull", "h2r", POOR + "+" * 80)
    write_run(tmp_path, "push_pull", "h2r", "+-", cue="video")
    rows = list(csv.DictReader(StringIO(table_csv(board_of(tmp_path)))))
    assert list(rows[0]) == list(CSV_FIELDS)
    assert [(row["cue"], row["first_trials"], row["trials"], row["successes"]) for row in rows] == [
        ("scene", "20", "20", "6"),
        ("scene", "", "100", "86"),
        ("video", "", "2", "1"),
    ]
    assert [row["paper_rate"] for row in rows] == ["100", "", ""]
    assert (rows[0]["rate"], rows[0]["wilson_low"], rows[0]["wilson_high"]) == ("0.3000", "0.1455", "0.5190")


@pytest.mark.parametrize(("rate", "text"), [(0.85, "85"), (1.0, "100"), (0.0, "0"), (119 / 120, "99.2")])
def test_percent(rate: float, text: str) -> None:
    assert percent(rate) == text


def test_the_order_of_lines_in_a_log_does_not_matter(tmp_path: Path) -> None:
    records = write_run(tmp_path, "push_pull", "h2r", draw(0.5, 40, 2))
    first = board_of(tmp_path)
    log = tmp_path / "trials/push_pull/h2r.jsonl"
    log.write_text("".join(record.to_json() + "\n" for record in reversed(records)))
    assert (markdown(first), table_csv(first)) == (
        markdown(board_of(tmp_path)),
        table_csv(board_of(tmp_path)),
    )
