"""One trial and its record: what is measured, how it is seeded, and how it survives a crash."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import itertools
import json
import platform
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import h2r_bench
from h2r_bench.types import Agent, AgentError, AgentInfo, Demonstration, PrivilegedAgent, UInt8Array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Watcher = Callable[[Demonstration, int, UInt8Array], None]

NO_WEIGHTS = "none"
"""Recorded as `weights` of agents that have none."""

RecordKey = tuple[str, str, str, str, float, int, int, str, int]
"""(task, policy, demo, cue, shift_cm, seed, trial, weights, world): equal keys mean the same trial."""


@dataclass(frozen=True)
class Condition:
    """What all trials of a run share."""

    task: str
    policy: str
    demo: str
    """How the demonstration relates to the scene: "matched", or one of the controls."""
    cue: str
    """Who says what to do: "scene" (the scene itself) or "video" (only the video, or the words)."""
    shift_cm: float
    """Layout shift between the human's and the robot's scene [cm]."""
    seed: int
    weights: str
    """Hash of the agent's weights, or "none"."""
    world: int
    """Version of the world: images, physics and the meaning of tasks."""

    def key(self, trial: int) -> RecordKey:
        """What tells trial number `trial` of this run from every other."""
        run = (self.task, self.policy, self.demo, self.cue, self.shift_cm)
        return (*run, self.seed, trial, self.weights, self.world)


@dataclass(frozen=True)
class TrialRecord:
    """One line of a trial log. Fields in the order in which they are written."""

    task: str
    policy: str
    demo: str
    cue: str
    shift_cm: float
    seed: int
    """The run's seed."""
    trial: int
    """Index from 0."""
    trial_seed: int
    """Seed of scene, demonstration and agent, from `seed` and `trial`."""
    success: bool
    """Judged at the end, never once along the way."""
    progress: float
    """Stages reached, 0..1."""
    failure: str
    """Why it failed; empty after a success."""
    steps: int
    seconds: float
    """Wall-clock time of the trial [s], the demonstration's rendering included."""
    world: int
    weights: str
    versions: dict[str, str]
    """Versions of the packages that shape a result."""
    distance: float | None = None
    """How far from success the world was at the end [m], as the dense reward counts it; None if unknown."""
    digest: str | None = None
    """Hash of the robot's state and action at every step: equal bits, equal hash; None if not kept."""
    original_success: bool | None = None
    """Where another goal than the scene's was shown, for which `success` is judged: whether the scene's own
    was reached instead; None in all other trials."""

    def key(self) -> RecordKey:
        """What tells this trial from every other."""
        run = (self.task, self.policy, self.demo, self.cue, self.shift_cm)
        return (*run, self.seed, self.trial, self.weights, self.world)

    def to_json(self) -> str:
        """One line of JSON, without the line break; without what is unknown."""
        known = {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if value is not None or name not in OPTIONAL_FIELDS
        }
        return json.dumps(known, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> TrialRecord:
        """Inverse of `to_json`, without fields of later versions. Raises ValueError for anything else."""
        return cls.from_fields(json.loads(line))

    @classmethod
    def from_fields(cls, fields: Any) -> TrialRecord:
        """The record with these `fields`, as JSON has them. Raises ValueError when one is missing."""
        if not isinstance(fields, dict) or not set(REQUIRED_FIELDS) <= set(fields):
            raise ValueError(f"a trial record has the fields {', '.join(REQUIRED_FIELDS)}")
        ours = (*REQUIRED_FIELDS, *OPTIONAL_FIELDS)
        return cls(**{name: fields[name] for name in ours if name in fields})


REQUIRED_FIELDS = tuple(
    field.name for field in dataclasses.fields(TrialRecord) if field.default is dataclasses.MISSING
)
"""Names of the fields that every record has."""
OPTIONAL_FIELDS = tuple(
    field.name for field in dataclasses.fields(TrialRecord) if field.default is not dataclasses.MISSING
)
"""Names of the fields that a record may lack."""


def trial_seed(seed: int, trial: int) -> int:
    """The seed of trial number `trial` (from 0) in a run with `seed`: an unsigned 32-bit integer.

    It depends on these two alone, so the first 20 of 100 trials are the trials of a run of 20.
    """
    return int(np.random.SeedSequence(seed, spawn_key=(trial,)).generate_state(1, np.uint32)[0])


def package_versions() -> dict[str, str]:
    """Versions of Python, this package and the libraries that shape a result."""
    installed = {}
    for name in ("mujoco", "torch", "numpy", "gymnasium"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # robot computers have no torch
            installed[name] = importlib.metadata.version(name)
    return {"h2r_bench": h2r_bench.__version__, **installed, "python": platform.python_version()}


def weights_of(agent: Agent) -> str:
    """Hash of the agent's weights, or "none"."""
    said = AgentInfo.of(agent).weights_hash
    return NO_WEIGHTS if said is None else str(said)


def run_trial(
    env: Any,
    agent: Agent,
    condition: Condition,
    trial: int,
    *,
    watch: Watcher | None = None,
) -> TrialRecord:
    """Run trial number `trial` (from 0) in closed loop until the environment, or an `AgentError`, ends it.

    Args:
        env: a tabletop environment, made for the condition's task, cue and shift.
        agent: reset here; a privileged one is given the unwrapped environment first.
        condition: what the trial is recorded under.
        trial: index from 0.
        watch: called with the demonstration, the step's index and the robot view, once the agent has chosen
            its action from that view.
    """
    started = time.perf_counter()
    seed = trial_seed(condition.seed, trial)
    observation, info = env.reset(seed=seed, options={"trial": trial})
    demonstration: Demonstration = info["demonstration"]
    if isinstance(agent, PrivilegedAgent):
        agent.bind(env.unwrapped)
    steps, failure, trajectory = 0, "", hashlib.sha256()
    try:
        agent.reset(demonstration, info["instruction"], seed)
        for latest in closed_loop(env, agent, observation, demonstration, watch, trajectory.update):
            info, steps = latest, steps + 1
    except AgentError as error:
        failure = str(error)
    return TrialRecord(
        **{name: getattr(condition, name) for name in ("task", "policy", "demo", "cue", "shift_cm", "seed")},
        trial=trial,
        trial_seed=seed,
        success=not failure and bool(info["is_success"]),
        progress=float(info["progress"]),
        failure=failure or str(info["failure"]),
        steps=steps,
        seconds=round(time.perf_counter() - started, 3),
        world=condition.world,
        weights=condition.weights,
        versions=package_versions(),
        distance=round(float(info["distance"]), 6) if "distance" in info else None,
        digest=trajectory.hexdigest()[:16],
        original_success=info.get("original_success"),
    )


def _bytes(array: Any) -> bytes:
    return np.asarray(array, np.float32).tobytes()


def closed_loop(
    env: Any,
    agent: Agent,
    observation: Any,
    demonstration: Demonstration,
    watch: Watcher | None,
    trace: Callable[[bytes], None],
) -> Iterator[dict[str, Any]]:
    """Act until the environment ends the trial; yields the `info` of each step.

    `trace` gets the bits of every state and action.
    """
    state: Any = None
    for step in itertools.count():
        action, state = agent.predict(observation, state, np.array([step == 0]), deterministic=True)
        if watch is not None:
            watch(demonstration, step, env.render())
        trace(_bytes(observation["state"]) + _bytes(action))
        observation, _, terminated, truncated, info = env.step(action)
        yield info
        if terminated or truncated:
            return
