"""The tables as Markdown and as CSV, for people and programs that want no site."""

from __future__ import annotations

import csv
import html
from io import StringIO
from typing import TYPE_CHECKING

from h2r_bench.reporting.leaderboard import HEADLINE, Leaderboard, Run, task_title
from h2r_bench.reporting.paper_results import HALVES, LABELS, RATES, TRIALS
from h2r_bench.reporting.significance import ALPHA, POWER, trials_needed
from h2r_bench.reporting.tables import Cell, Mark, Table, TableRow, tables
from h2r_bench.statistics import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SIGNS: dict[Mark, str] = {"": "", "best": " ★", "alike": " ≈", "below": " ▽"}
"""What stands behind a rate."""

NEEDED = ((0.95, 0.90), (0.90, 0.80), (0.80, 0.60), (0.70, 0.30))
"""Pairs of rates whose `trials_needed` the pages name."""

CSV_FIELDS = (
    *("world", "task", "policy", "weights", "demo", "cue", "shift_cm", "seed"),
    *("first_trials", "trials", "successes", "rate", "wilson_low", "wilson_high"),
    *("mean_progress", "mean_steps", "mean_seconds", "paper_rate"),
)
"""One row for each run, and one more for its first 20 trials where it has more."""

SHOWN_NOTICES = 40
"""More would bury the tables; the command prints all of them."""


def percent(rate: float) -> str:
    """A rate as a whole percentage, or with one decimal where it has one: 0.85 is "85"."""
    return f"{100 * rate:.1f}".removesuffix(".0")


def bounds(interval: tuple[float, float]) -> str:
    """An interval in whole percentages."""
    return f"{100 * interval[0]:.0f}–{100 * interval[1]:.0f}"


def markdown(board: Leaderboard) -> str:
    """`leaderboard.md`."""
    parts = [
        "# Leaderboard",
        f"World version {board.world}. Made from `trials/` by `python -m h2r_bench.report`; do not edit.",
        *_notices(board),
        *(_table(each) for each in tables(board)),
        _settings(board),
        _other_tasks(board),
        _how_to_read(),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _notices(board: Leaderboard) -> list[str]:
    if not board.notices:
        return []
    lines = [f"- {_escape(str(notice))}" for notice in board.notices[:SHOWN_NOTICES]]
    if len(board.notices) > SHOWN_NOTICES:
        lines.append(f"- and {len(board.notices) - SHOWN_NOTICES} more")
    return ["## About these records", "\n".join(lines)]


def _table(table: Table) -> str:
    protocol = f"trials 0..{table.trials - 1}, `scene` cue, seed {HEADLINE.seed}"
    about = "success rate, 95 % Wilson interval"
    paper = ", then the paper's rate on the authors' robot" if table.trials == TRIALS else ""
    heads = ["agent", *table.columns.values()]
    rows = [[_label(row), *(_cell(cell) for cell in row.cells.values())] for row in table.rows]
    return (
        f"## {table.half.title}, {table.trials} trials\n\n{protocol}: {about}{paper}.\n\n{_grid(heads, rows)}"
    )


def _label(row: TableRow) -> str:
    name = _escape(row.label)
    if row.entry is None:
        return f"{name} (not measured here)"
    return f"{name} †" if row.entry.privileged else name


def _cell(cell: Cell) -> str:
    ours = "—"
    if cell.trials:
        rate = f"{percent(cell.rate)} %" if cell.complete else f"{cell.successes} of only {cell.trials}"
        ours = f"{rate} ({bounds(cell.interval)}){SIGNS[cell.mark]}"
    return ours if cell.paper is None else f"{ours} · paper {cell.paper}"


def _settings(board: Leaderboard) -> str:
    """All runs outside the protocol: cues, shifts, demo controls, other seeds."""
    rows = _pivot(board, board.tasks, [run for run in board.runs.values() if run.setting != HEADLINE])
    return f"## Cues, shifts, demo controls\n\nSuccesses of all trials.\n\n{rows}" if rows else ""


def _other_tasks(board: Leaderboard) -> str:
    in_halves = {task for half in HALVES for task in half.columns}
    tasks = [task for task in board.tasks if task not in in_halves]
    rows = _pivot(board, tasks, [run for run in board.of(setting=HEADLINE) if run.task in tasks])
    return f"## Further tasks\n\nSuccesses of all trials.\n\n{rows}" if rows else ""


def _pivot(board: Leaderboard, tasks: Sequence[str], runs: Sequence[Run]) -> str:
    """Agents and settings by tasks; empty without runs."""
    kinds = dict.fromkeys(
        (entry, run.setting) for entry in board.entries for run in runs if run.entry == entry
    )
    columns = [task for task in tasks if any(run.task == task for run in runs)]
    found = {(run.entry, run.setting, run.task): run for run in runs}
    rows = [
        [_escape(kind[0].name), str(kind[1]), *(_rate(found.get((*kind, task))) for task in columns)]
        for kind in kinds
    ]
    return _grid(["agent", "setting", *map(task_title, columns)], rows) if rows else ""


def _rate(run: Run | None) -> str:
    if run is None:
        return "—"
    others = (f"; by {_escape(name)} {won}/{of}" for name, (won, of) in run.further.items())
    return f"{run.successes}/{len(run)} ({bounds(run.interval)}){''.join(others)}"


def _how_to_read() -> str:
    lines = [
        "- ★ best agent of its column; ≈ no significant difference from it; ▽ differs significantly: exact "
        "McNemar test on the same trials, p-values adjusted by Holm's method over the table, "
        f"level {ALPHA:g}. Unmarked cells lack trials or agents to compare with.",
        "- † privileged: it looks into the simulator, is a ceiling, and does not compete.",
        "- The average pools all trials of its row, where every cell is complete.",
        "- The paper's figures are 20 trials a cell on another robot, so no test compares ours with them.",
        f"- Trials that each of two agents needs for a significant difference with {POWER:.0%} power: "
        f"{needed_in_words()}.",
    ]
    return "## How to read this\n\n" + "\n".join(lines)


def needed_in_words() -> str:
    """How many trials tell which rates apart."""
    parts = (f"{a:.0%} from {b:.0%}: {trials_needed(a, b)}" for a, b in NEEDED)
    return ", ".join(parts)


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    """`text` inside a Markdown table: no markup, no line break, no column."""
    plain = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{letter}" if letter in "\\`*_[]|" and letter != "_" else letter for letter in plain)


def table_csv(board: Leaderboard) -> str:
    """`leaderboard.csv`: a row for each run, and one for its first 20 trials."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    for run in board.runs.values():
        for first in (TRIALS, None) if len(run) > TRIALS else (None,):
            writer.writerow(_csv_row(board.world, run, first))
    return text.getvalue()


def _csv_row(world: int, run: Run, first: int | None) -> list[object]:
    trials = tuple(trial for trial in run.trials if first is None or trial.record.trial < first)
    part = Run(run.task, run.entry, run.setting, trials)
    official = run.setting == HEADLINE and all(trial.record.trial < TRIALS for trial in trials)
    low, high = wilson_interval(part.successes, len(part))
    setting = run.setting
    return [
        *(world, run.task, run.entry.policy, run.entry.weights),
        *(setting.demo, setting.cue, f"{setting.shift_cm:g}", setting.seed, "" if first is None else first),
        *(len(part), part.successes, f"{part.rate:.4f}", f"{low:.4f}", f"{high:.4f}"),
        *(
            f"{part.mean(name):.{digits}f}"
            for name, digits in (("progress", 4), ("steps", 1), ("seconds", 2))
        ),
        RATES.get((run.entry.policy, run.task), "") if official and run.entry.policy in LABELS else "",
    ]
