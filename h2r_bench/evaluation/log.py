"""Logs of trials: lines of JSON that are only ever appended to, and where they and their films lie."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

from h2r_bench.evaluation.trial import NO_WEIGHTS, Condition, TrialRecord
from h2r_bench.files import append_line, only_writer

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path


class DamagedLogError(ValueError):
    """A trial log has an unreadable line that no crash explains."""


class TrialLog:
    """Trial records in a file of JSON lines that is only ever appended to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> list[TrialRecord]:
        """All records, oldest first. A last line torn by a crash is moved to `<name>.torn` beside the file.

        Raises:
            DamagedLogError: a line before the last is unreadable; the message says which.
        """
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        *lines, tail = content.split(b"\n")
        if tail:
            self._set_aside(len(content) - len(tail), tail)
        records = []
        for number, line in enumerate(lines, 1):
            try:
                records.append(TrialRecord.from_json(line.decode()))
            except ValueError as error:
                if number == len(lines) and not tail:
                    self._set_aside(len(content) - len(line) - 1, line + b"\n")
                    break
                raise DamagedLogError(f"{self.path}, line {number}: not a trial record ({error})") from None
        return records

    def append(self, record: TrialRecord) -> None:
        """Add one record: a single write of a whole line, on disk when this returns."""
        append_line(self.path, record.to_json().encode())

    def only_writer(self) -> AbstractContextManager[None]:
        """Keep every other process from writing to the log meanwhile. Raises BusyError when one is."""
        return only_writer(self.path)

    def _set_aside(self, start: int, torn: bytes) -> None:
        """Move the `torn` end of the log, from byte `start` on, to a file beside it."""
        with self.path.with_name(self.path.name + ".torn").open("ab") as aside:
            aside.write(torn.rstrip(b"\n") + b"\n")
        os.truncate(self.path, start)


def log_path(out: Path, task: str, policy: str) -> Path:
    """Where the records of `policy` on `task` go below the folder `out`."""
    return out / "trials" / task / f"{file_name(policy)}.jsonl"


def video_path(out: Path, run: Condition | TrialRecord, trial: int) -> Path:
    """Where the video of trial number `trial` of a run goes below the folder `out`."""
    weights = "" if run.weights == NO_WEIGHTS else f"-{short_hash(run.weights)}"
    scene = f"{file_name(run.demo)}-{file_name(run.cue)}-{run.shift_cm:g}cm"
    kind = f"{scene}-seed{run.seed}-world{run.world}{weights}"
    return out / "videos" / file_name(run.task) / file_name(run.policy) / kind / f"trial_{trial:03d}.mp4"


def short_hash(weights: str) -> str:
    """Eight characters that tell `weights` from others: of their hash, or of a hash of a server's address."""
    if weights == NO_WEIGHTS:
        return weights
    if not re.match("[0-9a-f]{8}", weights):
        weights = hashlib.sha256(weights.encode()).hexdigest()
    return weights[:8]


def file_name(policy: str) -> str:
    """`policy` as a file name: "package.module:Class" becomes "package.module.Class"."""
    return "".join(letter if letter.isalnum() or letter in "._-+" else "." for letter in policy)
