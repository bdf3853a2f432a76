"""Trial records that nobody ran."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from h2r_bench.evaluation.log import log_path
from h2r_bench.evaluation.trial import TrialRecord, trial_seed

REASONS = ("object never touched", "object never lifted", "not on or in the goal")


def make_record(
    task: str = "push_pull", policy: str = "h2r", trial: int = 0, *, success: bool = True, **changes: Any
) -> TrialRecord:
    seed = changes.get("seed", 0)
    values: dict[str, Any] = {
        "task": task,
        "policy": policy,
        "demo": "matched",
        "cue": "scene",
        "shift_cm": 0.0,
        "seed": seed,
        "trial": trial,
        "trial_seed": trial_seed(seed, trial),
        "success": success,
        "progress": 1.0 if success else 0.25,
        "failure": "" if success else REASONS[trial % len(REASONS)],
        "steps": 100 + trial % 7,
        "seconds": 1.0 + trial % 5 / 10,
        "world": 1,
        "weights": "none",
        "versions": {"h2r_bench": "0.1.0", "mujoco": "3.17.0"},
    }
    return TrialRecord(**{**values, **changes})


def write_run(
    results: Path, task: str, policy: str, outcomes: str | list[bool], **changes: Any
) -> list[TrialRecord]:
    """Append trials 0, 1, ... with these outcomes ("++-" or booleans) to their log."""
    log = log_path(results, task, policy)
    records = [
        make_record(task, policy, trial, success=outcome in ("+", True), **changes)
        for trial, outcome in enumerate(outcomes)
    ]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.writelines(record.to_json() + "\n" for record in records)
    return records


def draw(rate: float, trials: int, seed: int) -> list[bool]:
    """Outcomes drawn at a rate."""
    return [bool(won) for won in np.random.default_rng(seed).random(trials) < rate]


def edit_line(log: Path, line: int, **changes: Any) -> None:
    """Change fields of the record in a line, from 1; the value `...` takes a field away."""
    lines = log.read_text(encoding="utf-8").splitlines()
    fields = {**json.loads(lines[line - 1]), **changes}
    lines[line - 1] = json.dumps({name: value for name, value in fields.items() if value is not ...})
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
