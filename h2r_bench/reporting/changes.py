"""What one change of setting does to an agent: each run beside the one it differs from in that alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from h2r_bench.reporting.leaderboard import HEADLINE, MATCHED, Leaderboard, Run, Setting
from h2r_bench.reporting.significance import boschloo_p, holm, pair


@dataclass(frozen=True)
class Change:
    """A run outside the protocol and how it compares."""

    label: str
    run: Run
    change: float | None
    """Difference of rates on the trials that both have, -1..1; None without such trials."""
    p_value: float | None
    """Exact McNemar test on equal scenes, Boschloo's on others; Holm-adjusted over all rows."""


def unchanged(setting: Setting) -> Setting:
    """The setting to compare to: the same with one thing as usual, the rarest first."""
    if setting.demo != MATCHED:
        return replace(setting, demo=MATCHED)
    if setting.shift_cm:
        return replace(setting, shift_cm=0.0)
    return replace(setting, cue=HEADLINE.cue)


def changes(board: Leaderboard, runs: Sequence[Run], label: Callable[[Run], str]) -> list[Change]:
    """Every run that is not of the protocol, with what its one change did."""
    rows = [
        Change(label(run), run, *_compare(run, board.run(run.task, run.entry, unchanged(run.setting))))
        for run in runs
        if run.setting != HEADLINE
    ]
    adjusted = iter(holm([row.p_value for row in rows if row.p_value is not None]))
    return [row if row.p_value is None else replace(row, p_value=next(adjusted)) for row in rows]


def _compare(run: Run, before: Run | None) -> tuple[float | None, float | None]:
    """Difference of rates and p-value; nothing where there is nothing to compare to."""
    if before is None or before is run:
        return None, None
    if run.setting.cue != before.setting.cue:  # other scenes, so trials of equal index are no pairs
        p_value = boschloo_p(run.successes, len(run), before.successes, len(before))
        return run.rate - before.rate, p_value
    pairs = pair(run.outcomes, before.outcomes)
    return (pairs.difference, pairs.p_value) if len(pairs) else (None, None)
