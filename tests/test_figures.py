"""Tables of successes in the documentation say what the committed records say."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import pytest

from h2r_bench.reporting.records import load
from h2r_bench.trials import TrialRecord

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "docs/rivals.md")
HEADER = re.compile(r"^\| of (?P<trials>\d+) \|(?P<tasks>.*)\|$")
ROW = re.compile(r"^\| `(?P<policy>\w+)`(?P<setting>[^|]*)\|(?P<cells>.*)\|$")
CUES = {"": "scene", ", cue `video`": "video"}
"""What a row says beside its agent, to the cue of its trials. Other rows are measured elsewhere."""


def cells_of(line: str) -> list[str]:
    """The cells of a table's line without its bars, stripped of spaces and code marks."""
    return [cell.strip().strip("`") for cell in line.split("|")]


def figures(text: str) -> list[tuple[str, str, str, int, str]]:
    """(agent, cue, task, trials, what the cell says) of all tables `| of N | task | ...` in `text`."""
    found: list[tuple[str, str, str, int, str]] = []
    tasks: list[str] = []
    trials = 0
    for line in text.splitlines():
        if header := HEADER.match(line):
            trials, tasks = int(header["trials"]), cells_of(header["tasks"])
        elif not line.startswith("|"):
            tasks = []
        elif tasks and (row := ROW.match(line)) and row["setting"].strip() in CUES:
            cue = CUES[row["setting"].strip()]
            cells = cells_of(row["cells"])
            found += [
                (row["policy"], cue, task, trials, cell) for task, cell in zip(tasks, cells, strict=True)
            ]
    return found


@lru_cache(maxsize=1)
def recorded() -> tuple[TrialRecord, ...]:
    """The committed records of the protocol's seed."""
    records = (trial.record for trial in load(ROOT / "results").trials)
    return tuple(
        record for record in records if record.seed == 0 and record.demo == "matched" and record.shift_cm == 0
    )


def successes(policy: str, cue: str, task: str, trials: int) -> str:
    """What a cell has to say: successes of trials 0 to `trials` - 1, nothing where not all were run."""
    outcomes = [
        record.success
        for record in recorded()
        if (record.policy, record.cue, record.task) == (policy, cue, task) and record.trial < trials
    ]
    return str(sum(outcomes)) if len(outcomes) == trials else ""


@pytest.mark.parametrize("name", DOCUMENTS)
def test_tables_say_what_the_records_say(name: str) -> None:
    stated = figures((ROOT / name).read_text())
    assert len(stated) > 20
    wrong = [
        f"{policy} with cue {cue} on {task}, trials 0..{trials - 1}: {cell or 'nothing'}, "
        f"not {successes(policy, cue, task, trials) or 'recorded'}"
        for policy, cue, task, trials, cell in stated
        if cell != successes(policy, cue, task, trials)
    ]
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
        ("h2r", "scene", "push_pull", 20, "3"),
        ("h2r", "scene", "rotation", 20, ""),
        ("h2r", "video", "push_pull", 20, "2"),
        ("h2r", "video", "rotation", 20, "1"),
    ]
