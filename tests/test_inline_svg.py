"""Tables of successes in the documentation say what the committed records say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from h2r_bench.reporting.leaderboard import HEADLINE, Leaderboard, Setting, build
from h2r_bench.reporting.record_loading import load

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "docs/baselines.md")
HEADER = re.compile(r"^\| of (?P<trials>\d+) \|(?P<tasks>.*)\|$")
ROW = re.compile(r"^\| `(?P<policy>\w+)`(?P<setting>[^|]*)\|(?P<cells>.*)\|$")
SETTINGS = {"": HEADLINE, ", cue `video`": Setting(cue="video")}
"""What a row says beside its agent, to the setting of its trials. Other rows are measured elsewhere."""


def cells_of(line: str) -> list[str]:
    """The cells of a table's line without its bars, stripped of spaces and code marks."""
    return [cell.strip().strip("`") for cell in line.split("|")]


def figures(text: str) -> list[tuple[str, Setting, str, int, str]]:
    """(agent, setting, task, trials, what the cell says) of all tables `| of N | task | ...` in `text`."""
    found: list[tuple[str, Setting, str, int, str]] = []
    tasks: list[str] = []
    trials = 0
    for line in text.splitlines():
        if header := HEADER.match(line):
            trials, tasks = int(header["trials"]), cells_of(header["tasks"])
        elif not line.startswith("|"):
            tasks = []
        elif tasks and (row := ROW.match(line)) and (setting := SETTINGS.get(row["setting"].strip())):
            cells = zip(tasks, cells_of(row["cells"]), strict=True)
            found += [(row["policy"], setting, task, trials, cell) for task, cell in cells]
    return found


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    """The committed records."""
    return build(load(ROOT / "results"))


def successes(board: Leaderboard, policy: str, setting: Setting, task: str, trials: int) -> str:
    """What a cell has to say: successes of trials 0 to `trials` - 1, nothing where not all were run."""
    (entry,) = (entry for entry in board.entries if entry.policy == policy)
    run = board.run(task, entry, setting)
    outcomes = [record.success for record in run.records if record.trial < trials] if run else []
    return str(sum(outcomes)) if len(outcomes) == trials else ""


@pytest.mark.parametrize("name", DOCUMENTS)
def test_tables_say_what_the_records_say(name: str, board: Leaderboard) -> None:
    stated = figures((ROOT / name).read_text())
    assert len(stated) > 20
    wrong = []
    for policy, setting, task, trials, cell in stated:
        recorded = successes(board, policy, setting, task, trials)
        if cell != recorded:
            wrong.append(
                f"{policy}, {setting}, {task}, of {trials}: {cell or 'blank'}, not {recorded or 'blank'}"
            )
    assert not wrong


def test_tables_are_found() -> None:
    text = "\n".join(
        (
            "| of 20 | `push_pull` | `rotation` |",
            "|---|---|---|",
            "| `h2r` | 3 | |",
            "| `h2r`, cue `video` | 2 | 1 |",
            "| `h2r`, training scenes | 9 | 9 |",
            "",
            "| `h2r` | 7 | 7 |",
        )
    )
    assert figures(text) == [
        ("h2r", HEADLINE, "push_pull", 20, "3"),
        ("h2r", HEADLINE, "rotation", 20, ""),
        ("h2r", SETTINGS[", cue `video`"], "push_pull", 20, "2"),
        ("h2r", SETTINGS[", cue `video`"], "rotation", 20, "1"),
    ]
