"""Who was measured on what: the records of one world, sorted, no two kinds of them ever mixed."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from h2r_bench.envs.registration import GYM_IDS
from h2r_bench.evaluation.log import file_name, short_hash
from h2r_bench.evaluation.trial import NO_WEIGHTS, TrialRecord
from h2r_bench.policies.catalog import AGENTS
from h2r_bench.reporting.paper_results import LABELS, TITLES
from h2r_bench.reporting.record_loading import LoadedRecords, Notice, Trial, spans
from h2r_bench.statistics import wilson_interval
from h2r_bench.types import SERVED_AT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MATCHED = "matched"
"""The value of `demo` of trials that are no control."""

Outcomes = dict[tuple[str, int, int], bool]
"""(task, seed, trial) to success: equal keys, equal scenes."""


@dataclass(frozen=True, order=True)
class Setting:
    """What trials of one agent on one task may differ in."""

    demo: str = MATCHED
    cue: str = "scene"
    shift_cm: float = 0.0
    seed: int = 0

    def __str__(self) -> str:
        parts = [
            f"{self.cue} cue",
            f"{self.shift_cm:g} cm shift" if self.shift_cm else "",
            f"{self.demo} demonstration" if self.demo != MATCHED else "",
            f"seed {self.seed}" if self.seed else "",
        ]
        return ", ".join(filter(None, parts))


HEADLINE = Setting()
"""What the tables show: the paper's protocol."""


@dataclass(frozen=True)
class LeaderboardEntry:
    """An agent with certain weights: one row of a table."""

    policy: str
    weights: str
    name: str
    """The policy, and its weights where several are about."""
    slug: str
    """Part of file names, unlike every other entry's."""
    privileged: bool

    @property
    def title(self) -> str:
        """The paper's name for it, or its own."""
        return LABELS.get(self.policy, self.policy)

    @property
    def summary(self) -> str:
        """What it is, in one line; empty for agents that are not installed here."""
        return AGENTS.get(self.policy).summary if self.policy in AGENTS.names() else ""


@dataclass(frozen=True)
class Run:
    """The trials of an entry on a task in one setting, by index."""

    task: str
    entry: LeaderboardEntry
    setting: Setting
    trials: tuple[Trial, ...]

    def __len__(self) -> int:
        return len(self.trials)

    @cached_property
    def records(self) -> tuple[TrialRecord, ...]:
        """The records alone."""
        return tuple(trial.record for trial in self.trials)

    @property
    def successes(self) -> int:
        """How many succeeded."""
        return sum(record.success for record in self.records)

    @property
    def rate(self) -> float:
        """Success rate, 0..1."""
        return self.successes / len(self)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the rate."""
        return wilson_interval(self.successes, len(self))

    @cached_property
    def outcomes(self) -> Outcomes:
        """Success by trial."""
        return {(self.task, record.seed, record.trial): record.success for record in self.records}

    @property
    def failures(self) -> Counter[str]:
        """How often each reason for failure occurred."""
        return Counter(record.failure or "no reason given" for record in self.records if not record.success)

    @property
    def further(self) -> dict[str, tuple[int, int]]:
        """Successes by other goals than the trials' own: name to (successes, trials)."""
        names = sorted({name for trial in self.trials for name in trial.further})
        judged = {name: [t.further[name] for t in self.trials if name in t.further] for name in names}
        return {name: (sum(values), len(values)) for name, values in judged.items()}

    def mean(self, name: str) -> float:
        """Mean of a numerical field over the trials."""
        return sum(float(getattr(record, name)) for record in self.records) / len(self)


@dataclass(frozen=True)
class Leaderboard:
    """All runs of one world."""

    world: int
    tasks: tuple[str, ...]
    """Those with records, in the order of registration."""
    entries: tuple[LeaderboardEntry, ...]
    """In the paper's order, then by name, privileged ones last."""
    runs: Mapping[tuple[str, LeaderboardEntry, Setting], Run]
    notices: tuple[Notice, ...]

    def run(self, task: str, entry: LeaderboardEntry, setting: Setting = HEADLINE) -> Run | None:
        """The trials of `entry` on `task`, if there are any."""
        return self.runs.get((task, entry, setting))

    def of(
        self,
        *,
        task: str | None = None,
        entry: LeaderboardEntry | None = None,
        setting: Setting | None = None,
    ) -> list[Run]:
        """Runs of a task, of an entry, in a setting, in order."""
        return [
            run
            for run in self.runs.values()
            if task in (None, run.task) and entry in (None, run.entry) and setting in (None, run.setting)
        ]


class UnknownWorldError(ValueError):
    """No record is of that world."""


def build(loaded: LoadedRecords, world: int | None = None) -> Leaderboard:
    """Sort the records of one world, the newest unless said otherwise, and say what was left out."""
    worlds: dict[int, list[Trial]] = defaultdict(list)
    for trial in loaded.trials:
        worlds[trial.record.world].append(trial)
    if world is None:
        world = max(worlds, default=0)
    if world not in worlds:
        raise UnknownWorldError(
            f"no sound record of world {world}; there are: {', '.join(map(str, sorted(worlds))) or 'none'}"
        )
    entries = _entries(worlds[world])
    runs = _runs(worlds[world], entries)
    notices = (
        *loaded.notices,
        *_other_worlds(worlds, world),
        *_several_weights(worlds[world]),
        *_several_versions(runs.values()),
    )
    tasks = tuple(task for task in GYM_IDS if any(task == run.task for run in runs.values()))
    return Leaderboard(world, tasks, tuple(entries.values()), runs, notices)


def task_title(task: str) -> str:
    """The paper's name of a task, or its id in words."""
    return TITLES.get(task, task.replace("_", " "))


def _entries(trials: Iterable[Trial]) -> dict[tuple[str, str], LeaderboardEntry]:
    """(policy, weights) to entry, in order."""
    known = list(LABELS)

    def order(kind: tuple[str, str]) -> tuple[bool, int, str, str]:
        place = known.index(kind[0]) if kind[0] in known else len(known)
        return _privileged(kind[0]), place, *kind

    kinds = sorted({(trial.record.policy, trial.record.weights) for trial in trials}, key=order)
    counts = Counter(policy for policy, _ in kinds)
    entries: dict[tuple[str, str], LeaderboardEntry] = {}
    taken: set[str] = set()
    for policy, weights in kinds:
        name = policy if counts[policy] == 1 else f"{policy} @ {_label(weights)}"
        slug = _slug(policy, weights if counts[policy] > 1 else "", taken)
        entries[policy, weights] = LeaderboardEntry(policy, weights, name, slug, _privileged(policy))
    return entries


def _privileged(policy: str) -> bool:
    return policy in AGENTS.names() and AGENTS.get(policy).privileged


def _label(weights: str) -> str:
    """How entries of one policy are told apart: by a short hash, or a server's whole address."""
    if weights == NO_WEIGHTS:
        return "no weights"
    return weights.removeprefix(SERVED_AT) if weights.startswith(SERVED_AT) else weights[:8]


def _slug(policy: str, weights: str, taken: set[str]) -> str:
    """A file name for (policy, weights) that is not `taken`; takes it."""
    slug = file_name(f"{policy}-{short_hash(weights)}" if weights else policy)
    if len(slug) > 80 or slug in taken or slug.startswith("."):
        slug = f"{slug[:60].lstrip('.')}-{hashlib.sha256(f'{policy} {weights}'.encode()).hexdigest()[:8]}"
    taken.add(slug)
    return slug


def _runs(
    trials: Iterable[Trial], entries: Mapping[tuple[str, str], LeaderboardEntry]
) -> dict[tuple[str, LeaderboardEntry, Setting], Run]:
    """Trials grouped, in order of task, entry and setting."""
    groups: dict[tuple[str, LeaderboardEntry, Setting], list[Trial]] = defaultdict(list)
    for trial in trials:
        record = trial.record
        setting = Setting(record.demo, record.cue, float(record.shift_cm), record.seed)
        groups[record.task, entries[record.policy, record.weights], setting].append(trial)
    tasks, places = list(GYM_IDS), {entry: place for place, entry in enumerate(entries.values())}
    ordered = sorted(groups, key=lambda key: (tasks.index(key[0]), places[key[1]], _setting_order(key[2])))
    return {
        key: Run(*key, tuple(sorted(groups[key], key=lambda trial: trial.record.trial))) for key in ordered
    }


def _setting_order(setting: Setting) -> tuple[bool, Setting]:
    """Matched demonstrations first."""
    return setting.demo != MATCHED, setting


def _other_worlds(worlds: Mapping[int, list[Trial]], world: int) -> list[Notice]:
    return [
        Notice(
            places(trials), f"{len(trials)} records of world {other}, left out of the tables of world {world}"
        )
        for other, trials in sorted(worlds.items())
        if other != world
    ]


def _several_weights(trials: Iterable[Trial]) -> list[Notice]:
    groups: dict[str, dict[str, list[Trial]]] = defaultdict(lambda: defaultdict(list))
    for trial in trials:
        groups[trial.record.policy][trial.record.weights].append(trial)
    return [
        Notice(
            places(some),
            f"{policy} with weights {weights}: one of {len(by_hash)} kinds, each a row of its own",
        )
        for policy, by_hash in sorted(groups.items())
        if len(by_hash) > 1
        for weights, some in sorted(by_hash.items())
    ]


def _several_versions(runs: Iterable[Run]) -> list[Notice]:
    """Runs whose trials were made with different versions of a package."""
    groups: dict[tuple[LeaderboardEntry, str], dict[str, list[Trial]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for run in runs:
        for trial in run.trials:
            for package, version in trial.record.versions.items():
                groups[run.entry, package][str(version)].append(trial)
    return [
        Notice(places(trials), f"{entry.name} with {package} {version}, one of {len(by_version)} versions")
        for (entry, package), by_version in groups.items()
        if len(by_version) > 1
        for version, trials in sorted(by_version.items())
    ]


def places(trials: Iterable[Trial]) -> str:
    """Where trials stand: files and lines, the first few of many."""
    lines: dict[str, list[int]] = defaultdict(list)
    for trial in trials:
        lines[trial.path].append(trial.line)
    words = [f"{path}, {spans(numbers)}" for path, numbers in sorted(lines.items())]
    return "; ".join([*words[:4], f"and {len(words) - 4} more files"] if len(words) > 5 else words)
