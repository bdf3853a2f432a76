"""How a session on an arm kept time: `python benchmarks/real_rates.py runs/real/sessions/NAME`.

For every policy: successes, control rate and its jitter, time from frame to command, and interventions of the
safety layer, over all steps of the runs that were judged. Rates are of the arm's own clock; `slowdown` is how
much longer all of it took by the clock on the wall (a twin on a busy computer gets slow, not late).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from h2r_bench.real.errors import SetupError
from h2r_bench.real.session.session import Session
from h2r_bench.types import CONTROL_HZ

LONG_GAP_S = 0.15
"""A gap between two commands that counts as long [s]."""


@dataclass(frozen=True)
class Config:
    """Sum a session up."""

    session: Annotated[Path, tyro.conf.Positional]
    """Folder with the session's plan.json and journal.jsonl."""


def steps_of(session: Session, run: int) -> list[dict[str, Any]]:
    """What was logged of every step of `run`."""
    return [json.loads(line) for line in (session.run_folder(run) / "steps.jsonl").read_text().splitlines()]


def figures(session: Session, policy: int) -> dict[str, Any]:
    """All figures of the policy with index `policy`."""
    plan, standing = session.plan, session.standing
    runs = [run for run in sorted(standing.verdicts) if plan.run(run)[1] == policy]
    logs = [steps_of(session, run) for run in runs]
    gaps = np.concatenate([np.diff([step["time_s"] for step in steps]) for steps in logs])
    walls = np.concatenate([np.diff([step["wall_s"] for step in steps]) for steps in logs])
    latencies = np.concatenate([[step["latency_s"] for step in steps] for steps in logs])
    return {
        "policy": plan.policies[policy],
        "weights": plan.weights[policy],
        "successes": f"{sum(standing.verdicts[run].success for run in runs)} of {len(runs)}",
        "failed_trials": [plan.run(run)[0] for run in runs if not standing.verdicts[run].success],
        "actions": sum(len(steps) for steps in logs),
        "missed": sum(standing.results[run]["missed"] for run in runs),
        "rate_hz": round(1 / float(gaps.mean()), 2),
        "jitter_ms": round(1000 * float(gaps.std()), 1),
        "jitter_p95_ms": round(1000 * float(np.percentile(abs(gaps - 1 / CONTROL_HZ), 95)), 1),
        "long_gaps": int((gaps > LONG_GAP_S).sum()),
        "longest_gap_ms": round(1000 * float(gaps.max())),
        "latency_ms": round(1000 * float(np.median(latencies))),
        "latency_p95_ms": round(1000 * float(np.percentile(latencies, 95))),
        "latency_max_ms": round(1000 * float(latencies.max())),
        "interventions": sum(bool(step["interventions"]) for steps in logs for step in steps),
        "slowdown": round(float(walls.sum() / gaps.sum()), 3),
    }


def main() -> None:
    """Read and print, a line of JSON for each policy."""
    config = tyro.cli(Config)
    try:
        session = Session.load(config.session)
    except SetupError as error:
        raise SystemExit(f"error: {error}") from None
    if not session.standing.verdicts:
        raise SystemExit(f"error: no run in {config.session} has a verdict yet")
    for policy in range(len(session.plan.policies)):
        print(json.dumps(figures(session, policy)))


if __name__ == "__main__":
    main()
