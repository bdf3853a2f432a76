"""Trial records as they lie on disk. Nothing is believed unread, nothing is repaired, nothing is written."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from h2r_bench.envs.registration import GYM_IDS
from h2r_bench.evaluation.log import log_path
from h2r_bench.evaluation.trial import REQUIRED_FIELDS, RecordKey, TrialRecord, trial_seed
from h2r_bench.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

FURTHER_SUCCESS = "success_"
"""Fields whose names begin so are judgements by other goals than the trial's own."""

_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("task", "policy", "demo", "cue", "weights", "failure"), (str,)),
    **dict.fromkeys(("seed", "trial", "trial_seed", "steps", "world"), (int,)),
    **dict.fromkeys(("shift_cm", "progress", "seconds"), (int, float)),
    "success": (bool,),
    "versions": (dict,),
}
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "an object"}


@dataclass(frozen=True)
class Notice:
    """What a reader of the tables has to know about the records behind them."""

    where: str
    """File below the results folder, and lines."""
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


@dataclass(frozen=True)
class Trial:
    """A record and where it stands."""

    record: TrialRecord
    path: str
    """Of the log, below the results folder."""
    line: int
    """From 1."""
    further: Mapping[str, bool]
    """Successes by other goals than the trial's own (field name to judgement); empty for most."""


@dataclass(frozen=True)
class LoadedRecords:
    """All sound records, and what is wrong with the others."""

    trials: tuple[Trial, ...]
    notices: tuple[Notice, ...]


class NoRecordsError(ValueError):
    """There is nothing to report on; the message says what to do."""


def load(results: Path) -> LoadedRecords:
    """Read all logs below `results`/trials, in the order of their names.

    Lines that are no record, or belong elsewhere, are left out with a notice; of records of the same trial
    the first counts. Raises NoRecordsError when there is no log at all.
    """
    logs = sorted((results / "trials").glob("*/*.jsonl"))
    if not logs:
        raise NoRecordsError(
            f"{results / 'trials'} has no trial records; make some: "
            f"python -m h2r_bench.run --task pick_place --policy expert --out {results}"
        )
    trials: dict[RecordKey, Trial] = {}
    complaints: dict[tuple[str, str], list[int]] = defaultdict(list)
    for log in logs:
        path = log.relative_to(results).as_posix()
        for line, content in _lines(log):
            try:
                trial = _read(content, path, line)
                _check_place(trial, results)
                _check_new(trial, trials)
            except ValueError as error:
                complaints[path, str(error)].append(line)
            else:
                trials[trial.record.key()] = trial
    notices = (Notice(f"{path}, {spans(lines)}", what) for (path, what), lines in complaints.items())
    return LoadedRecords(tuple(trials.values()), tuple(notices))


def _lines(log: Path) -> Iterator[tuple[int, bytes | None]]:
    """Lines of a log with their numbers; None for a last one without its line break."""
    *lines, tail = log.read_bytes().split(b"\n")
    yield from enumerate(lines, 1)
    if tail:
        yield len(lines) + 1, None


def _read(content: bytes | None, path: str, line: int) -> Trial:
    """The record of one line. Raises ValueError with what is wrong."""
    if content is None:
        raise ValueError("torn by a crash, left out")
    try:
        fields = json.loads(content.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ValueError("not JSON, left out") from None
    try:
        record = TrialRecord.from_fields(fields)
        _check_fields(fields)
    except ValueError as error:
        raise ValueError(f"not a trial record, left out: {error}") from None
    further = {name: value for name, value in fields.items() if name.startswith(FURTHER_SUCCESS)}
    return Trial(
        record, path, line, {name: value for name, value in further.items() if value in (True, False)}
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _check_fields(fields: dict[str, Any]) -> None:
    """Raise ValueError unless every field is of its kind and in its range."""
    for name in REQUIRED_FIELDS:
        value, kinds = fields[name], _KINDS[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(f"{name} is {_WORDS[kinds[-1]]}, got {_short(value)}")
    for name in ("seed", "trial", "steps", "seconds", "shift_cm"):
        if not (fields[name] >= 0 and math.isfinite(fields[name])):
            raise ValueError(f"{name} is 0 or more, got {_short(fields[name])}")
    if not 0 <= fields["progress"] <= 1:
        raise ValueError(f"progress lies in 0..1, got {_short(fields['progress'])}")
    for name in ("task", "policy", "demo", "cue", "weights"):
        if not fields[name].strip():
            raise ValueError(f"{name} is empty")
    if fields["trial_seed"] != trial_seed(fields["seed"], fields["trial"]):
        raise ValueError("trial_seed does not follow from seed and trial")


def _check_place(trial: Trial, results: Path) -> None:
    """Raise ValueError when the record's task is unknown or its log is that of another task or policy."""
    record = trial.record
    if record.task not in GYM_IDS:
        raise ValueError(f"unknown task {_short(record.task)}, left out.{nearest(record.task, GYM_IDS)}")
    home = log_path(results, record.task, record.policy).relative_to(results).as_posix()
    if trial.path != home:
        raise ValueError(f"belongs in {home}, left out")


def _check_new(trial: Trial, known: Mapping[RecordKey, Trial]) -> None:
    """Raise ValueError when the trial is known already."""
    first = known.get(trial.record.key())
    if first is None:
        return
    same = all(
        getattr(first.record, name) == getattr(trial.record, name)
        for name in ("success", "progress", "failure", "steps")
    )
    raise ValueError(
        f"the same trial again, with {'the same' if same else 'another'} result; the first counts"
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:39]}…"


def spans(lines: Iterable[int]) -> str:
    """Line numbers in words: "line 3", "lines 1–4, 7"."""
    parts: list[list[int]] = []
    for line in sorted(lines):
        if parts and line == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], line]
        else:
            parts.append([line, line])
    words = [f"{first}" if first == last else f"{first}–{last}" for first, last in parts]
    shown = [*words[:8], "…"] if len(words) > 8 else words
    return f"line{'' if words == [str(parts[0][0])] else 's'} {', '.join(shown)}"
