"""Two agents beside each other, trial by trial."""

from __future__ import annotations

from dataclasses import dataclass

from h2r_bench.registry import UnknownNameError
from h2r_bench.reporting.leaderboard import HEADLINE, Leaderboard, LeaderboardEntry, Outcomes, Run, task_title
from h2r_bench.reporting.significance import ALPHA, POWER, Pairs, boschloo_p, holm, pair, trials_needed
from h2r_bench.reporting.text_tables import percent


@dataclass(frozen=True)
class Line:
    """One task and setting, or all of them pooled."""

    task: str
    setting: str
    first: Outcomes
    second: Outcomes

    @property
    def pairs(self) -> Pairs:
        """Outcomes on the same trials."""
        return pair(self.first, self.second)

    @property
    def paired(self) -> bool:
        """Whether there are same trials at all."""
        return len(self.pairs) > 0

    @property
    def p_value(self) -> float:
        """Exact McNemar test on the same trials; without any, Boschloo's on all."""
        if self.paired:
            return self.pairs.p_value
        return boschloo_p(*_count(self.first), *_count(self.second))


def comparison(board: Leaderboard, first: str, second: str) -> str:
    """A table in words. Raises UnknownNameError for an agent that has no records."""
    entries = find(board, first), find(board, second)
    lines = shared(board, *entries)
    if not lines:
        return f"{first} and {second} were never measured on the same task and setting.\n"
    adjusted = holm([line.p_value for line in lines])
    heads = (
        "task",
        "setting",
        entries[0].name,
        entries[1].name,
        "only 1st",
        "only 2nd",
        "difference",
        "p",
        "p (Holm)",
        "",
    )
    rows = [_row(line, p) for line, p in zip(lines, adjusted, strict=True)]
    if pooled := _pooled(lines):
        rows.append(_row(pooled, None))
    return "\n".join([*_columns([heads, *rows]), "", *_explain(lines)]) + "\n"


def find(board: Leaderboard, name: str) -> LeaderboardEntry:
    """The entry with this name in the tables. Raises UnknownNameError."""
    for entry in board.entries:
        if name == entry.name:
            return entry
    raise UnknownNameError("measured agent", name, [entry.name for entry in board.entries])


def shared(board: Leaderboard, first: LeaderboardEntry, second: LeaderboardEntry) -> list[Line]:
    """Tasks and settings that both were measured in; seeds that differ are put together, and not paired."""
    lines = []
    for run in board.of(entry=first):
        other = board.run(run.task, second, run.setting)
        if other is not None:
            lines.append(Line(task_title(run.task), str(run.setting), run.outcomes, other.outcomes))
    return lines or _other_seeds(board, first, second)


def _other_seeds(board: Leaderboard, first: LeaderboardEntry, second: LeaderboardEntry) -> list[Line]:
    """Pairs of runs that differ in their seed alone."""

    def kind(run: Run) -> tuple[object, ...]:
        return run.task, run.setting.demo, run.setting.cue, run.setting.shift_cm

    return [
        Line(task_title(run.task), f"{run.setting} / {other.setting}", run.outcomes, other.outcomes)
        for run in board.of(entry=first)
        for other in board.of(entry=second)
        if kind(run) == kind(other)
    ]


def _pooled(lines: list[Line]) -> Line | None:
    """All tasks of the paper's protocol as one; None unless there are several."""
    parts = [line for line in lines if line.setting == str(HEADLINE)]
    if len(parts) < 2:
        return None
    first = {key: won for part in parts for key, won in part.first.items()}
    second = {key: won for part in parts for key, won in part.second.items()}
    return Line("all tasks", str(HEADLINE), first, second)


def _row(line: Line, adjusted: float | None) -> tuple[str, ...]:
    pairs = line.pairs
    (won_1, of_1), (won_2, of_2) = _count(line.first), _count(line.second)
    difference = pairs.difference if line.paired else won_1 / of_1 - won_2 / of_2
    return (
        *(line.task, line.setting, f"{won_1}/{of_1}", f"{won_2}/{of_2}"),
        *((str(pairs.only_first), str(pairs.only_second)) if line.paired else ("unpaired", "")),
        *(f"{100 * difference:+.1f} points", _p(line.p_value), "" if adjusted is None else _p(adjusted)),
        "" if adjusted is None else "different" if adjusted < ALPHA else "not significant",
    )


def _explain(lines: list[Line]) -> list[str]:
    overall = _pooled(lines) or lines[0]
    (won_1, of_1), (won_2, of_2) = _count(overall.first), _count(overall.second)
    rates = won_1 / of_1, won_2 / of_2
    words = [
        "Two-sided exact McNemar test on the same trials (Boschloo's where there are none), level "
        f"{ALPHA:g} after Holm's correction over {len(lines)} rows."
    ]
    if rates[0] != rates[1]:
        words.append(
            f"To tell {percent(rates[0])} % from {percent(rates[1])} % with {POWER:.0%} power takes about "
            f"{trials_needed(*rates)} trials each, unpaired and uncorrected."
        )
    return words


def _count(outcomes: Outcomes) -> tuple[int, int]:
    return sum(outcomes.values()), len(outcomes)


def _p(value: float) -> str:
    return "<0.0001" if value < 1e-4 else f"{value:.4f}"


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows as text with aligned columns."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
