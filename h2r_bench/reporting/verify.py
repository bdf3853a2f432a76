"""Records made again: the same seed, the same weights, and hopefully the same outcome."""

from __future__ import annotations

import random
import re
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from h2r_bench.envs import WORLD_VERSION
from h2r_bench.evaluation import runner
from h2r_bench.evaluation.film import TrialVideo, imagination_of
from h2r_bench.evaluation.latency import delayed
from h2r_bench.evaluation.log import video_path
from h2r_bench.evaluation.trial import TrialRecord, run_trial, weights_of
from h2r_bench.policies.catalog import AgentSpec, find_agent
from h2r_bench.registry import UnknownNameError
from h2r_bench.types import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.reporting.leaderboard import Leaderboard
    from h2r_bench.types import Agent

TOLERANCE = 0.005
"""On another machine the world may end this much nearer to success or further from it [m]."""

REMOTE = "remote"
"""Name of the agent whose policy is a server elsewhere."""

Outcome = Literal["exact", "same", "different", "skipped"]
"""Equal bit for bit, state and action at every step; equal in outcome; not equal; not to be run here."""


@dataclass(frozen=True)
class Verification:
    """What became of a record."""

    record: TrialRecord
    outcome: Outcome
    detail: str

    @property
    def exact(self) -> bool:
        """Whether every bit of the trajectory came out again."""
        return self.outcome == "exact"

    @property
    def same(self) -> bool:
        """Whether the outcome came out again, within the tolerance."""
        return self.outcome in ("exact", "same")

    @property
    def skipped(self) -> bool:
        """Whether it could not be run here."""
        return self.outcome == "skipped"

    def __str__(self) -> str:
        record = self.record
        setting = f"{record.demo}, {record.cue} cue, {record.shift_cm:g} cm, seed {record.seed}"
        return f"{record.task}  {record.policy}  trial {record.trial} ({setting}): {self.detail}"


def sample(board: Leaderboard, count: int, seed: int, policy: str | None = None) -> list[TrialRecord]:
    """`count` records drawn at random, or all if they are fewer. Raises UnknownNameError for a policy."""
    policies = sorted({entry.policy for entry in board.entries})
    if policy is not None and policy not in policies:
        raise UnknownNameError("measured agent", policy, policies)
    records = [r for each in board.runs.values() for r in each.records if policy in (None, r.policy)]
    return random.Random(seed).sample(records, min(count, len(records)))


class Verifier:
    """Runs records again; agents are loaded once, and one environment is open at a time."""

    def __init__(
        self, weights: Path | None = None, films: Path | None = None, make: runner.EnvMaker = runner.make_env
    ) -> None:
        """Make one that has run nothing yet.

        Args:
            weights: for records that were not made with shipped weights.
            films: results folder that films of reproduced trials go to; None films nothing.
            make: makes environments.
        """
        self.weights = weights
        self.films = films
        self._make = make
        self._agents: dict[tuple[str, str], Agent] = {}
        self._env: Any = None
        self._config: runner.RunConfig | None = None

    def verify(self, record: TrialRecord) -> Verification:
        """Run the trial of `record` again."""
        try:
            self._check(record)
            agent = self._agent(record)
            env = self._open(record, agent)
        except (ValueError, OSError, ImportError) as error:
            return Verification(record, "skipped", f"cannot be run here: {one_line(error)}")
        film = TrialVideo(imagination_of(agent)) if self.films is not None else None
        condition = runner.condition_of(self._config_of(record), agent)
        again = run_trial(env, agent, condition, record.trial, watch=None if film is None else film.add)
        outcome, detail = judge(record, again)
        if film is not None and self.films is not None and outcome in ("exact", "same"):
            film.save(video_path(self.films, record, record.trial))
        return Verification(record, outcome, detail)

    def close(self) -> None:
        """Close the environment."""
        if self._env is not None:
            self._env.close()
            self._env = None

    def _check(self, record: TrialRecord) -> None:
        """Raise ValueError when this version cannot make such a trial, or the record does not say how."""
        if arm := record.versions.get("arm"):
            raise ValueError(f"it was recorded on an arm ({arm}), through the bridge")
        if record.policy == REMOTE:
            raise ValueError(
                f"it is of a policy server ({record.weights}), which no record keeps: start the server and "
                "run python -m h2r_bench.run --policy remote --url ... again with another --out, then compare"
            )
        if record.world != WORLD_VERSION:
            raise ValueError(f"it is of world {record.world}, this is world {WORLD_VERSION}")
        demos = typing.get_args(typing.get_type_hints(runner.RunConfig)["demo"])
        if record.demo not in demos:
            raise ValueError(f"no {record.demo!r} demonstrations here, only {', '.join(demos)}")

    def _agent(self, record: TrialRecord) -> Agent:
        """The agent with the record's weights. Raises ValueError when it has others."""
        key = (record.policy, record.weights)
        if key not in self._agents:
            found = []
            policy, latency = split_latency(record.policy)
            spec = agent_of(policy)
            for weights in (None, self.weights) if self.weights else (None,):
                try:
                    agent = delayed(spec.load(weights), latency // runner.STEP_MS)
                except FileNotFoundError:
                    if weights is self.weights:
                        raise
                    continue  # none come with this version
                found.append(weights_of(agent))
                if found[-1] == record.weights:
                    self._agents[key] = agent
                    break
            else:
                raise ValueError(
                    f"made with weights {record.weights}, here are {' and '.join(found)} (try --weights)"
                )
        return self._agents[key]

    def _config_of(self, record: TrialRecord) -> runner.RunConfig:
        policy, latency = split_latency(record.policy)
        return runner.RunConfig(
            task=record.task,
            policy=policy,
            latency=latency,
            seed=record.seed,
            cue=typing.cast("Any", record.cue),
            shift=record.shift_cm,
            demo=typing.cast("Any", record.demo),
            video="all" if self.films is not None else "none",
        )

    def _open(self, record: TrialRecord, agent: Agent) -> Any:
        """The environment of the record: the last one when it fits."""
        config = self._config_of(record)
        if self._env is None or config != self._config:
            self.close()
            self._env, self._config = self._make(config, agent), config
        return self._env


def split_latency(policy: str) -> tuple[str, int]:
    """The agent behind a recorded name, and how late its actions came [ms]: "h2r+200ms" is h2r's, by 200."""
    found = re.fullmatch(r"(.+)\+(\d+)ms", policy)
    return (found[1], int(found[2])) if found else (policy, 0)


def agent_of(policy: str) -> AgentSpec:
    """The agent recorded as `policy`. Raises UnknownNameError that tells of `--name`."""
    try:
        return find_agent(policy)
    except UnknownNameError as error:
        raise ValueError(
            f"{error} A record made with --name keeps that name alone, not the agent behind it."
        ) from None


def judge(record: TrialRecord, again: TrialRecord) -> tuple[Outcome, str]:
    """Compare a record with the same trial run again."""
    differing = [
        f"{name} {getattr(record, name)!r}, now {getattr(again, name)!r}"
        for name in ("success", "progress", "failure", "steps", "distance", "digest")
        if getattr(record, name) is not None and getattr(record, name) != getattr(again, name)
    ]
    if not differing and record.digest is not None:
        return "exact", "the same bit for bit, the whole trajectory"
    if not differing:
        return "same", "the same success, progress, failure and steps (the record holds no trajectory)"
    if record.success != again.success:
        return "different", "; ".join(differing)
    if record.distance is not None and again.distance is not None:
        apart = abs(record.distance - again.distance)
        if apart <= TOLERANCE:
            return "same", f"the same outcome, the end {1000 * apart:.1f} mm apart"
    return "different", "; ".join(differing)
