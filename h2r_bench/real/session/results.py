"""From a session's verdicts to trial records and tables: unblinding, once everything is judged."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from h2r_bench.evaluation.log import TrialLog, log_path, video_path
from h2r_bench.evaluation.trial import Condition, TrialRecord, package_versions, trial_seed
from h2r_bench.real.errors import SetupError
from h2r_bench.real.session.session import CLOSED, Session, SessionPlan, write_json
from h2r_bench.statistics import wilson_interval


def condition_of(plan: SessionPlan, who: int) -> Condition:
    """What the trials of policy number `who` are recorded under."""
    return Condition(
        task=plan.task,
        policy=plan.policies[who],
        demo="matched",
        cue=plan.cue,
        shift_cm=plan.shift_cm,
        seed=plan.seed,
        weights=plan.weights[who],
        world=plan.world,
    )


def refuse_overlap(out: Path, session: Session) -> None:
    """Raise SetupError when a log in `out` already holds trials of an unfinished `session`.

    They are of another session: two of them under one key would be counted as one.
    """
    plan = session.plan
    if len(session.standing.verdicts) == plan.runs:
        return
    for who, policy in enumerate(plan.policies):
        condition = condition_of(plan, who)
        wanted = {condition.key(trial) for trial in range(plan.trials)}
        log = TrialLog(log_path(out, plan.task, policy))
        if any(record.key() in wanted for record in log.load()):
            raise SetupError(f"{log.path} already holds these trials: give another --seed or --out")


def unblind(session: Session, out: Path) -> list[list[TrialRecord]]:
    """Write what everybody may see now: records and videos by policy. Returns the records, by policy.

    Safe to repeat: what is written already is left alone.
    """
    records = [_records(session, who) for who in range(len(session.plan.policies))]
    for who, mine in enumerate(records):
        log = TrialLog(log_path(out, session.plan.task, session.plan.policies[who]))
        with log.only_writer():
            there = {record.key() for record in log.load()}
            for record in mine:
                if record.key() not in there:
                    log.append(record)
    _link_videos(session, records, out)
    if not session.standing.closed:
        session.note(CLOSED, -1)
    return records


def show_results(session: Session, records: Sequence[Sequence[TrialRecord]], console: Console) -> None:
    """The table of the session, and each pair of policies on the same scenes."""
    table = Table(title=f"{session.plan.task} on {session.plan.arm}", title_justify="left")
    for heading in (
        "policy",
        "success",
        "rate",
        "95 % interval",
        "latency (ms)",
        "rate (Hz)",
        "interventions",
    ):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    for who, mine in enumerate(records):
        successes = sum(record.success for record in mine)
        low, high = wilson_interval(successes, len(mine))
        measured = [session.standing.results[run] for run in _runs_of(session, who)]
        table.add_row(
            session.plan.policies[who],
            f"{successes}/{len(mine)}",
            f"{successes / len(mine):.1%}",
            f"{low:.1%} to {high:.1%}",
            f"{_median(measured, 'latency_ms'):.0f}",
            f"{_median(measured, 'rate_hz'):.2f}",
            str(sum(sum(each["interventions"].values()) for each in measured)),
        )
    console.print(table)
    for first, second in itertools.combinations(range(len(records)), 2):
        console.print(_pair(session.plan.policies, first, second, records), highlight=False)
    if session.standing.void:
        console.print(f"{session.standing.void} attempts did not count and were repeated.", highlight=False)


def _records(session: Session, who: int) -> list[TrialRecord]:
    return [_record(session, run, who) for run in _runs_of(session, who)]


def _record(session: Session, run: int, who: int) -> TrialRecord:
    plan, standing = session.plan, session.standing
    condition, verdict, result = condition_of(plan, who), standing.verdicts[run], standing.results[run]
    trial, _ = plan.run(run)
    shared = {
        name: getattr(condition, name) for name in ("task", "policy", "demo", "cue", "shift_cm", "seed")
    }
    return TrialRecord(
        **shared,
        trial=trial,
        trial_seed=trial_seed(plan.seed, trial),
        success=verdict.success,
        progress=verdict.progress,
        failure=verdict.failure,
        steps=int(result["steps"]),
        seconds=float(result["seconds"]),
        world=condition.world,
        weights=condition.weights,
        versions={**package_versions(), **result["versions"]},
    )


def _runs_of(session: Session, who: int) -> list[int]:
    """The runs of policy number `who`, by trial."""
    return [run for run in range(session.plan.runs) if session.plan.run(run)[1] == who]


def _link_videos(session: Session, records: Sequence[Sequence[TrialRecord]], out: Path) -> None:
    """Give each run's video its unblinded name beside the blinded one, and write down which is which."""
    plan, names = session.plan, {}
    found = {(who, record.trial): record for who, mine in enumerate(records) for record in mine}
    for run in range(plan.runs):
        trial, who = plan.run(run)
        blind = session.run_folder(run) / "video.mp4"
        path = video_path(out, found[who, trial], trial)
        names[session.run_folder(run).name] = {"policy": plan.policies[who], "trial": trial}
        if blind.exists() and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(blind, path)
    write_json(session.folder / "unblinded.json", names)


def _median(measured: Sequence[dict[str, Any]], name: str) -> float:
    return float(np.median([each[name] for each in measured])) if measured else 0.0


def _pair(policies: Sequence[str], first: int, second: int, records: Sequence[Sequence[TrialRecord]]) -> str:
    """How two policies did on the same scenes."""
    both = list(zip(records[first], records[second], strict=True))
    counts = [
        sum((a.success, b.success) == case for a, b in both)
        for case in itertools.product((True, False), repeat=2)
    ]
    return (
        f"{policies[first]} and {policies[second]} on the same {len(both)} scenes: both {counts[0]}, only "
        f"{policies[first]} {counts[1]}, only {policies[second]} {counts[2]}, neither {counts[3]}"
    )
