"""Table 1, ours beside the paper's: rates, intervals, and what differs significantly from the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from h2r_bench.reporting.leaderboard import Leaderboard, LeaderboardEntry, Outcomes
from h2r_bench.reporting.paper_results import AVERAGES, HALVES, LABELS, RATES, TRIALS, Half
from h2r_bench.reporting.significance import ALPHA, holm, pair
from h2r_bench.statistics import wilson_interval

MORE_TRIALS = 100
"""Trials behind the cells of the tables that follow Table 1."""

AVERAGE = "average"
"""Key of the column that pools all others."""

Mark = Literal["", "best", "alike", "below"]
"""Best of its column; not significantly different from it; significantly different; or unmarked."""


@dataclass(frozen=True)
class Cell:
    """Outcomes of one row in one column."""

    outcomes: Outcomes = field(default_factory=dict)
    wanted: int = 0
    """How many trials a complete cell has."""
    paper: int | None = None
    """The paper's rate [%]."""
    mark: Mark = ""
    p_value: float | None = None
    """Against the best of the column, Holm-adjusted over the table."""

    @property
    def trials(self) -> int:
        """How many trials there are."""
        return len(self.outcomes)

    @property
    def successes(self) -> int:
        """How many of them succeeded."""
        return sum(self.outcomes.values())

    @property
    def complete(self) -> bool:
        """Whether all wanted trials are there."""
        return 0 < self.wanted <= self.trials

    @property
    def rate(self) -> float:
        """Success rate, 0..1."""
        return self.successes / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the rate."""
        return wilson_interval(self.successes, self.trials)


@dataclass(frozen=True)
class TableRow:
    """One agent in a table."""

    label: str
    entry: LeaderboardEntry | None
    """None for agents that only the paper measured."""
    cells: Mapping[str, Cell]
    """By column."""

    @property
    def competes(self) -> bool:
        """Whether it may be the best: measured here, and not privileged."""
        return self.entry is not None and not self.entry.privileged


@dataclass(frozen=True)
class Table:
    """Rows are agents, best first; columns are tasks and their average."""

    half: Half
    trials: int
    """Trials a cell, from the first on."""
    rows: tuple[TableRow, ...]

    @property
    def columns(self) -> dict[str, str]:
        """Key to heading."""
        return {**self.half.columns, AVERAGE: "average"}

    @property
    def measured(self) -> bool:
        """Whether anything of it was measured here."""
        return any(row.entry is not None for row in self.rows)


def tables(board: Leaderboard) -> list[Table]:
    """Both halves of Table 1 by the paper's protocol, then again with more trials where there are any."""
    first = [table(board, half, TRIALS) for half in HALVES]
    more = [table(board, half, MORE_TRIALS, with_paper=False) for half in HALVES]
    return [*first, *(each for each in more if each.measured)]


def table(board: Leaderboard, half: Half, trials: int, *, with_paper: bool = True) -> Table:
    """One half of Table 1 over trials 0 .. `trials` - 1.

    Without `with_paper` it has no figures of the paper's, and only those agents with a complete cell.
    """
    rows = [_measured_row(board, entry, half, trials, with_paper) for entry in board.entries]
    if with_paper:
        rows = [row for row in rows if any(cell.trials for cell in row.cells.values())]
        rows += _paper_rows(half, {row.entry.policy for row in rows if row.entry})
    else:
        rows = [row for row in rows if any(cell.complete for cell in row.cells.values())]
    rows.sort(key=_rank)
    return Table(half, trials, _marked(rows))


def _measured_row(
    board: Leaderboard, entry: LeaderboardEntry, half: Half, trials: int, with_paper: bool
) -> TableRow:
    cells = {}
    for task in half.columns:
        run = board.run(task, entry)
        outcomes = {key: won for key, won in run.outcomes.items() if key[2] < trials} if run else {}
        cells[task] = Cell(outcomes, trials, RATES.get((entry.policy, task)) if with_paper else None)
    paper = AVERAGES.get(entry.policy) if with_paper and half.average else None
    return TableRow(entry.name, entry, {**cells, AVERAGE: _average(cells, trials, paper)})


def _average(cells: Mapping[str, Cell], trials: int, paper: int | None) -> Cell:
    """All cells pooled; empty unless every one is complete, for else it would be another average."""
    wanted = trials * len(cells)
    if not all(cell.complete for cell in cells.values()):
        return Cell({}, wanted, paper)
    return Cell({key: won for cell in cells.values() for key, won in cell.outcomes.items()}, wanted, paper)


def _paper_rows(half: Half, measured: set[str]) -> list[TableRow]:
    """Agents that the paper has and we have not."""
    rows = []
    for policy in LABELS:
        cells = {task: Cell(paper=RATES.get((policy, task))) for task in half.columns}
        if policy not in measured and any(cell.paper is not None for cell in cells.values()):
            average = Cell(paper=AVERAGES[policy] if half.average else None)
            rows.append(TableRow(policy, None, {**cells, AVERAGE: average}))
    return rows


def _rank(row: TableRow) -> tuple[int, float, str]:
    """Competitors by their average, then privileged agents, then those that only the paper measured."""
    rates = [cell.rate for cell in row.cells.values() if cell.trials]
    group = 0 if row.competes else 1 if row.entry else 2
    return group, -sum(rates) / max(1, len(rates)), row.label if row.entry else ""


def _marked(rows: list[TableRow]) -> tuple[TableRow, ...]:
    """The rows with every competing cell compared to the best of its column."""
    marks: dict[tuple[int, str], tuple[Mark, float | None]] = {}
    for column in rows[0].cells if rows else ():
        competing = {
            place: row.cells[column]
            for place, row in enumerate(rows)
            if row.competes and row.cells[column].complete
        }
        if len(competing) < 2:
            continue
        best = max(competing, key=lambda place: competing[place].rate)
        for place, cell in competing.items():
            if place == best:
                marks[place, column] = ("best", None)
            else:
                marks[place, column] = ("alike", pair(competing[best].outcomes, cell.outcomes).p_value)
    tested = [(at, p) for at, (_, p) in marks.items() if p is not None]
    for (at, _), adjusted in zip(tested, holm([p for _, p in tested]), strict=True):
        marks[at] = ("below" if adjusted < ALPHA else "alike", adjusted)
    return tuple(_with_marks(place, row, marks) for place, row in enumerate(rows))


def _with_marks(
    place: int, row: TableRow, marks: Mapping[tuple[int, str], tuple[Mark, float | None]]
) -> TableRow:
    cells = {}
    for column, cell in row.cells.items():
        mark, p_value = marks.get((place, column), ("", None))
        cells[column] = replace(cell, mark=mark, p_value=p_value)
    return replace(row, cells=cells)
