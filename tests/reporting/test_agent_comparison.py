from __future__ import annotations

import re
from pathlib import Path

import pytest

from synthetic import write_run

pytest.importorskip("statsmodels")

from h2r_bench import report
from h2r_bench.registry import UnknownNameError
from h2r_bench.reporting.agent_comparison import comparison
from h2r_bench.reporting.leaderboard import build
from h2r_bench.reporting.record_loading import load
from h2r_bench.reporting.significance import boschloo_p, mcnemar_p


def rows(results: Path, first: str = "h2r", second: str = "vpp") -> list[list[str]]:
    """Cells of the printed table."""
    text = comparison(build(load(results)), first, second)
    return [re.split(r"  +", line) for line in text.split("\n\n")[0].splitlines()[1:]]


def test_trials_are_paired(tmp_path: Path) -> None:
    write_run(tmp_path, "push_pull", "h2r", "+" * 20)
    write_run(tmp_path, "push_pull", "vpp", "+" * 13 + "-" * 7)
    write_run(tmp_path, "pick_place", "h2r", "+-" * 10)
    write_run(tmp_path, "pick_place", "vpp", "-+" * 10)
    assert [" | ".join(row) for row in rows(tmp_path)] == [
        "push & pull | scene cue | 20/20 | 13/20 | 7 | 0 | +35.0 points | 0.0156 | 0.0312 | different",
        "pick & place | scene cue | 10/20 | 10/20 | 10 | 10 | +0.0 points | 1.0000 | 1.0000 | "
        "not significant",
        f"all tasks | scene cue | 30/40 | 23/40 | 17 | 10 | +17.5 points | {mcnemar_p(17, 10):.4f}",
    ]


def test_different_seeds_are_not_paired(tmp_path: Path) -> None:
    write_run(tmp_path, "push_pull", "h2r", "+" * 17 + "-" * 3)
    write_run(tmp_path, "push_pull", "vpp", "+" * 14 + "-" * 6, seed=1)
    (row,) = rows(tmp_path)
    assert row[1] == "scene cue / scene cue, seed 1"
    assert row[4:7] == ["unpaired", "+15.0 points", f"{boschloo_p(17, 20, 14, 20):.4f}"]


def test_settings_stay_apart_and_only_the_protocol_is_pooled(tmp_path: Path) -> None:
    for policy in ("h2r", "vpp"):
        write_run(tmp_path, "push_pull", policy, "+")
        write_run(tmp_path, "push_pull", policy, "-", demo="blank")
    assert [row[1] for row in rows(tmp_path)] == ["scene cue", "scene cue, blank demonstration"]


def test_agents_that_never_met(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, "push_pull", "h2r", "+")
    write_run(tmp_path, "rotation", "vpp", "+")
    assert report.main(["--results", str(tmp_path), "--compare", "h2r", "vpp"]) == 0
    assert "never measured on the same task" in capsys.readouterr().out
    with pytest.raises(UnknownNameError, match="Did you mean 'h2r'"):
        comparison(build(load(tmp_path)), "h2rr", "vpp")


def test_weights_are_part_of_a_name(tmp_path: Path) -> None:
    write_run(tmp_path, "push_pull", "h2r", "+++", weights="a" * 20)
    write_run(tmp_path, "push_pull", "h2r", "---", weights="b" * 20)
    (row,) = rows(tmp_path, "h2r @ aaaaaaaa", "h2r @ bbbbbbbb")
    assert row[2:6] == ["3/3", "0/3", "3", "0"]


def test_it_says_how_many_trials_would_tell(tmp_path: Path) -> None:
    write_run(tmp_path, "push_pull", "h2r", "+" * 15 + "-" * 5)
    write_run(tmp_path, "push_pull", "vpp", "+" * 10 + "-" * 10)
    text = comparison(build(load(tmp_path)), "h2r", "vpp")
    assert "To tell 75 % from 50 % with 80% power takes about 58 trials each" in text
