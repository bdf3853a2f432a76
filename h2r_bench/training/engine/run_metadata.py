"""What was done to make a set of weights: written beside every run, gathered when they are packed."""

from __future__ import annotations

import json
import platform
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from h2r_bench.datasets import DatasetError, EpisodeStore
from h2r_bench.policies.common.checkpoints import MANIFEST
from h2r_bench.training.engine.loss_curve import LOG, curve

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RUN = "run.json"
READER = "reader"
"""Folder, in the run of a decoder, of its frame reader's training."""
LOSSES = "losses"
"""Entry of a run's record: its loss, see `curve`."""
INITIAL = "initial"
"""Entry of a run's record: the runs of the same part that it went on from."""
BUDGET = ("steps", "minutes", "checkpoint_minutes")
"""Settings that may change when a run goes on."""


def start_run(
    out: Path,
    config: Any,
    sizes: dict[str, Any],
    command: list[str],
    before: Path | None,
    initial: Sequence[dict[str, Any]] = (),
) -> None:
    """Write `run.json`: the resolved config, the command, the data, and the runs this one builds on.

    `initial`: runs of the same part, oldest first, from whose weights it goes on, see `earlier_runs`.

    Raises DatasetError when `out` holds a run of other settings.
    """
    settings = json.loads(json.dumps({**asdict(config), "sizes": sizes}, default=str))
    if (out / RUN).is_file():
        _check_same(out, settings, json.loads((out / RUN).read_text())["config"])
    store = EpisodeStore.open(config.data)
    record = {
        "command": "python -m h2r_bench.train " + shlex.join(command),
        "config": settings,
        "data": {**store.meta.to_json(), "episodes": len(store)},
        "before": history(before) if before else [],
        **({INITIAL: list(initial)} if initial else {}),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / RUN).write_text(json.dumps(record, indent=1) + "\n")


def finish_run(out: Path) -> None:
    """Add to `run.json` what the run took."""
    record = json.loads((out / RUN).read_text())
    record |= _progress(out)
    if (out / READER).is_dir():
        record[READER] = _progress(out / READER)
    record["made_with"] = {"torch": torch.__version__, "python": platform.python_version()}
    (out / RUN).write_text(json.dumps(record, indent=1) + "\n")


def _progress(out: Path) -> dict[str, Any]:
    """What the training in `out` took."""
    progress = json.loads((out / "checkpoint" / "progress.json").read_text())
    minutes = round(progress["seconds"] / 60, 2)
    return {
        "steps": progress["step"],
        "samples": progress["samples"],
        "minutes": minutes,
        LOSSES: curve(out / LOG),
    }


def history(folder: Path) -> list[dict[str, Any]]:
    """The runs behind the weights in `folder`, oldest first; of packed weights those behind what acts."""
    if (folder / MANIFEST).is_file():
        packed: list[dict[str, Any]] = json.loads((folder / MANIFEST).read_text())["runs"]
        return [run for run in packed if not _acts(run)]
    if not (folder / RUN).is_file():
        raise DatasetError(f"{folder} is not the folder of a training run: {RUN} is missing")
    record = json.loads((folder / RUN).read_text())
    earlier: list[dict[str, Any]] = record.pop("before")
    return [*earlier, record]


def earlier_runs(folder: Path, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """The run of what acts in `folder`: a run's own, or one (of `tasks`) in an agent's packed weights.

    Raises DatasetError where there is none.
    """
    for place in (folder, folder.parent):
        if (place / MANIFEST).is_file():
            packed = json.loads((place / MANIFEST).read_text())["runs"]
            found = [run for run in packed if run["config"].get("tasks") == list(tasks) and _acts(run)]
            if found:
                return found
    if not (folder / RUN).is_file():
        raise DatasetError(f"{folder} has nothing that acts for {', '.join(tasks)}")
    return finished(folder)[-1:]


def _acts(run: dict[str, Any]) -> bool:
    """Whether a run made a decoder or a policy, not what these build on."""
    return "recipe" in run["config"] and run["config"].get("stage", 2) == 2


def unfolded(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """`runs`, each after those from whose weights it went on."""
    flat: list[dict[str, Any]] = []
    for run in runs:
        flat += [*unfolded(run.get(INITIAL, [])), run]
    return flat


def _check_same(out: Path, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    differing = [key for key in ours if _fixed(ours[key]) != _fixed(theirs.get(key))]
    if differing:
        raise DatasetError(
            f"{out} holds a run of other settings ({', '.join(differing)}): choose another --out"
        )


def _fixed(value: Any) -> Any:
    """`value` without budgets, and without what is not set: an option that is new changes no earlier run."""
    if not isinstance(value, dict):
        return value
    return {key: _fixed(each) for key, each in value.items() if key not in BUDGET and each is not None}


def finished(folder: Path) -> list[dict[str, Any]]:
    """The `history` of the run in `folder`. Raises DatasetError for a run that did not finish."""
    runs = history(folder)
    if "steps" not in runs[-1]:
        raise DatasetError(f"{folder}: this run has not finished; give its command again")
    return runs
