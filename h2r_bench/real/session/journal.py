"""What a session's journal comes to, event by event, and which event can follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from h2r_bench.real.operator.verdict import Verdict

STARTED, DONE, FAULT, VOID, VERDICT, UNDO, CLOSED = (
    "started",
    "done",
    "fault",
    "void",
    "verdict",
    "undo",
    "closed",
)
"""What a journal tells: a run began, the arm is through, something broke, a run does not count, it was
judged, the last verdict was taken back, the session is over and unblinded."""


@dataclass
class Standing:
    """Where a session stands."""

    runs: int
    """How many runs it has."""
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    """By run."""
    order: list[int] = field(default_factory=list)
    """Runs in the order in which they were judged."""
    results: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What was measured in the last attempt at each run that came to its end."""
    awaiting: int | None = None
    """A run whose arm is through but which nobody has judged."""
    void: int = 0
    """Attempts that do not count."""
    attempts: dict[int, int] = field(default_factory=dict)
    """How often each run was begun."""
    closed: bool = False

    def objection(self, event: Any) -> str:
        """Why `event` cannot be the next line of the journal; empty when it can."""
        if not (isinstance(event, dict) and event.get("event") in _CONDITIONS):
            return "there is no such event"
        kind, run = event["event"], event.get("run")
        if kind != CLOSED and not (isinstance(run, int) and 0 <= run < self.runs):
            return f"there is no such run: {run!r}"
        complaints = (condition(self, event) for condition in _CONDITIONS[kind])
        return next(filter(None, complaints), "")

    def take(self, event: dict[str, Any]) -> None:
        """Go on by one line of the journal to which there is no `objection`."""
        kind, run = event["event"], event.get("run", -1)
        if kind == STARTED:
            self.attempts[run] = self.attempts.get(run, 0) + 1
        elif kind == DONE:
            self.results[run], self.awaiting = event["result"], run
        elif kind in (FAULT, VOID):
            self.results.pop(run, None)
            self.awaiting = None
            self.void += 1
        elif kind == VERDICT:
            self.verdicts[run], self.awaiting = Verdict(**event["verdict"]), None
            self.order.append(run)
        elif kind == UNDO:
            self.awaiting = self.order.pop()
            del self.verdicts[self.awaiting]
        elif kind == CLOSED:
            self.closed = True


Event = dict[str, Any]
Condition = Callable[[Standing, Event], str]
"""A complaint about an event, or nothing."""


def _going_on(standing: Standing, event: Event) -> str:
    return "the session is over" if standing.closed else ""


def _begun(standing: Standing, event: Event) -> str:
    return "" if event["run"] in standing.attempts else "the run was never begun"


def _without_verdict(standing: Standing, event: Event) -> str:
    return "the run has its verdict" if event["run"] in standing.verdicts else ""


def _nothing_waits(standing: Standing, event: Event) -> str:
    return "" if standing.awaiting is None else f"run {standing.awaiting + 1} waits for its verdict"


def _waits(standing: Standing, event: Event) -> str:
    return "" if standing.awaiting == event["run"] else "the run does not wait for a verdict"


def _has_result(standing: Standing, event: Event) -> str:
    return "" if isinstance(event.get("result"), dict) else "there is no result"


def _has_verdict(standing: Standing, event: Event) -> str:
    try:
        Verdict(**event["verdict"])
    except (KeyError, TypeError, ValueError) as error:
        return f"there is no verdict ({error})"
    return ""


def _judged_last(standing: Standing, event: Event) -> str:
    return "" if standing.order[-1:] == [event["run"]] else "the run was not the last to be judged"


def _all_judged(standing: Standing, event: Event) -> str:
    return "" if len(standing.verdicts) == standing.runs else "not every run has its verdict"


_CONDITIONS: dict[str, tuple[Condition, ...]] = {
    STARTED: (_going_on, _without_verdict, _nothing_waits),
    DONE: (_going_on, _begun, _without_verdict, _nothing_waits, _has_result),
    FAULT: (_going_on, _begun, _without_verdict, _nothing_waits),
    VOID: (_going_on, _waits),
    VERDICT: (_going_on, _waits, _has_verdict),
    UNDO: (_going_on, _nothing_waits, _judged_last),
    CLOSED: (_all_judged,),
}
