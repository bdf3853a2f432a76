"""A session: which policy runs when, blinded, and a journal from which any stop can be resumed.

Each scene card is one block: every policy runs it once, in an order drawn from a key that nobody sees. The
journal is only ever appended to; what a session stands at follows from reading it from the start.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from h2r_bench import files, ranges
from h2r_bench.files import BusyError, append_line
from h2r_bench.ranges import Count, Index, NotNegative
from h2r_bench.real.errors import SetupError
from h2r_bench.real.session.journal import CLOSED, DONE, FAULT, STARTED, UNDO, VERDICT, VOID, Standing

__all__ = [
    "CLOSED",
    "DONE",
    "FAULT",
    "STARTED",
    "UNDO",
    "VERDICT",
    "VOID",
    "Session",
    "SessionPlan",
    "Standing",
    "only_writer",
    "write_json",
]


@dataclass(frozen=True)
class SessionPlan:
    """What a session is made of; written once, before the first run."""

    task: str
    cue: str
    shift_cm: NotNegative
    seed: Index
    trials: Count
    policies: tuple[str, ...]
    weights: tuple[str, ...]
    """Hash of each policy's weights."""
    arm: str
    limits: str
    """Names of the safety limits that are looser than the default."""
    world: int
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    """From what the order is drawn."""

    @property
    def runs(self) -> int:
        """How many runs there are: every policy on every card."""
        return self.trials * len(self.policies)

    def run(self, number: int) -> tuple[int, int]:
        """Trial index and index of the policy of run `number` (from 0)."""
        trial, place = divmod(number, len(self.policies))
        rng = np.random.default_rng([int(self.key, 16), trial])
        return trial, int(rng.permutation(len(self.policies))[place])


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Be the only process that runs the session in `folder`. Raises SetupError when another one does."""
    with ExitStack() as stack:
        try:
            stack.enter_context(files.only_writer(folder / ".lock"))
        except BusyError:
            raise SetupError(
                f"{folder} is being run by another process: wait for its end, or give another --out"
            ) from None
        yield


class Session:
    """One folder: `plan.json`, `journal.jsonl` and a folder for each run."""

    def __init__(self, folder: Path, plan: SessionPlan) -> None:
        self.folder = folder
        self.plan = plan
        self.standing = Standing(plan.runs)
        self.passed_over: list[str] = []
        """Lines of the journal that cannot follow on those before, and why: they do not count."""
        for number, event in enumerate(self._read(), 1):
            if complaint := self.standing.objection(event):
                self.passed_over.append(f"line {number}: {complaint}")
            else:
                self.standing.take(event)

    @classmethod
    def open(cls, folder: Path, plan: SessionPlan) -> Session:
        """Begin the session in `folder`, or go on with the one that is there.

        Raises SetupError when that one is of other policies, another task and so on.
        """
        path = folder / "plan.json"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_json(path, asdict(plan))
            return cls(folder, plan)
        kept = _read_plan(path)
        same = {name: value for name, value in asdict(plan).items() if name != "key"}
        changed = [name for name, value in same.items() if value != getattr(kept, name)]
        if changed:
            told = "; ".join(f"{name}: {getattr(kept, name)!r}, now {same[name]!r}" for name in changed)
            raise SetupError(
                f"{folder} holds another session ({told}): go on as it began, or give another --out"
            )
        return cls(folder, kept)

    @classmethod
    def load(cls, folder: Path) -> Session:
        """The session that is in `folder`, to look at. Raises SetupError when there is none."""
        if not (folder / "plan.json").exists():
            raise SetupError(f"{folder} holds no session: give the folder that has a plan.json")
        return cls(folder, _read_plan(folder / "plan.json"))

    def note(self, event: str, run: int, **more: Any) -> None:
        """Append a line to the journal, on disk when this returns, and go on by it.

        Raises SetupError, and writes nothing, for an event that cannot follow.
        """
        line = {"event": event, "run": run, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **more}
        if complaint := self.standing.objection(line):
            raise SetupError(f"{self.folder}: {event!r} is impossible for {self.label(run)}: {complaint}")
        append_line(
            self.folder / "journal.jsonl", json.dumps(line, ensure_ascii=False, allow_nan=False).encode()
        )
        self.standing.take(line)

    def open_runs(self) -> Iterator[int]:
        """The runs without a verdict, in order; looks anew after each, so that one taken back comes next."""
        while True:
            missing = [run for run in range(self.plan.runs) if run not in self.standing.verdicts]
            if not missing:
                return
            waiting = self.standing.awaiting
            yield waiting if waiting is not None else missing[0]

    def run_folder(self, run: int) -> Path:
        """Where the files of `run` go; its name tells nothing of the policy."""
        return self.folder / f"run_{run + 1:03d}"

    def label(self, run: int) -> str:
        """How the operator knows `run`."""
        return f"run {run + 1} of {self.plan.runs}"

    def _read(self) -> list[dict[str, Any]]:
        """The journal's lines; one that a crash tore at the end is cut off."""
        path = self.folder / "journal.jsonl"
        if not path.exists():
            return []
        content = path.read_bytes()
        *lines, tail = content.split(b"\n")
        if tail:
            path.with_suffix(".torn").write_bytes(tail)
            os.truncate(path, len(content) - len(tail))
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise SetupError(f"{path} is damaged ({error}): give another --out, or mend that line") from None


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON, all or nothing."""
    files.write_whole(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _read_plan(path: Path) -> SessionPlan:
    try:
        fields = json.loads(path.read_text())
        lists = {name: tuple(fields[name]) for name in ("policies", "weights")}
        plan = SessionPlan(**{**fields, **lists})
        ranges.check(plan)
        int(plan.key, 16)
        return plan
    except (ValueError, TypeError, KeyError) as error:
        raise SetupError(f"{path} is no plan of a session ({error}): give another --out") from None
