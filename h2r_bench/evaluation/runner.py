"""Runs of trials: checked before anything is written, resumed from what their log already has."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from h2r_bench.envs.rendering import gl
from h2r_bench.evaluation.film import TrialVideo, imagination_of
from h2r_bench.evaluation.latency import delayed
from h2r_bench.evaluation.log import TrialLog, log_path, video_path
from h2r_bench.evaluation.trial import Condition, TrialRecord, run_trial, weights_of
from h2r_bench.files import BusyError
from h2r_bench.policies.catalog import AGENTS, AgentSpec, find_agent
from h2r_bench.ranges import Count, Index, NotNegative
from h2r_bench.types import CONTROL_HZ, Agent, AgentInfo, Demo, one_line

STEP_MS = round(1000 / CONTROL_HZ)
"""A control step [ms]."""


class InputError(ValueError):
    """The command cannot be carried out as given; the message is one line for the user."""


@dataclass(frozen=True)
class RunConfig:
    """Measure an agent on a task."""

    task: str
    """Name of the task."""
    policy: str
    """Name of an agent, or package.module:Class."""
    trials: Count = 20
    """How many trials; those already in the log count."""
    seed: Index = 0
    """Seed of the run: the same seed, the same trials."""
    cue: Literal["scene", "video"] = "scene"
    """Who says what to do: the scene itself, or only the video and the words."""
    shift: NotNegative = 0.0
    """Layout shift between the human's and the robot's scene [cm]; official values are 0, 2 and 4."""
    demo: Demo = "matched"
    """What is shown: the demonstration of the scene, or a control: one of another task, black frames, the
    true one backwards, its first frame only, or (`--cue video`) another goal of the same scene."""
    video: Literal["none", "failures", "all"] = "none"
    """Which trials to film: human, robot and, where the agent can, what it imagines, side by side."""
    out: Path = Path("runs")
    """Folder for records and videos."""
    weights: Path | None = None
    """Weights of the agent, instead of those it ships with."""
    name: str | None = None
    """Name to record the agent under, instead of `--policy`."""
    latency: Index = 0
    """Let every action come this much late [ms], as over a network: a multiple of 100, the control step."""

    @property
    def recorded_as(self) -> str:
        """Name of the agent in records, files and tables; with latency, it says how much."""
        return (self.name or self.policy) + (f"+{self.latency}ms" if self.latency else "")


EnvMaker = Callable[[RunConfig, Agent], Any]


def make_env(config: RunConfig, agent: Agent) -> Any:
    """The environment of a run, with images of the size the agent was made for, or none if it sees none.

    Images change nothing of a trial but its duration; the demonstration's film alone is most of that.
    """
    from h2r_bench.envs.env import TabletopEnv

    info = AgentInfo.of(agent)
    options: dict[str, Any] = {} if info.image_size is None else {"image_size": info.image_size}
    if not info.needs_images and config.video == "none":
        options["obs"] = "state"
    return TabletopEnv(
        task=config.task,
        cue=config.cue,
        shift_cm=config.shift,
        demo=config.demo,
        render_mode="rgb_array",
        **options,
    )


def prepare(config: RunConfig, options: Any = None) -> tuple[RunConfig, Agent]:
    """Check everything that can be checked before something is written, and load the agent.

    Returns:
        The configuration with the task's registered name, and the agent.

    Raises:
        InputError: with one line that says what is wrong.
    """
    check_latency(config.latency)
    try:
        config, spec = resolve_names(config)
        check_name(config)
        check_writable(log_path(config.out, config.task, config.recorded_as))
        if config.weights is not None and not config.weights.exists():
            raise InputError(f"--weights {config.weights}: no such file or folder")
        gl.require()
    except (ValueError, gl.GLUnavailableError) as error:
        raise InputError(str(error)) from None
    try:
        agent = delayed(spec.load(config.weights, options), config.latency // STEP_MS)
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"cannot load {config.policy}: {one_line(error)}") from None
    check_domain(config, agent)
    check_truth(config, agent)
    return config, agent


def resolve_names(config: RunConfig) -> tuple[RunConfig, AgentSpec]:
    """The configuration with registered names in place of aliases, and where the agent is found."""
    from h2r_bench.envs.tasks import TASKS

    spec = find_agent(config.policy)
    policy = config.policy if ":" in config.policy else AGENTS.canonical(config.policy)
    return dataclasses.replace(config, task=TASKS.canonical(config.task), policy=policy), spec


def check_latency(latency_ms: int) -> None:
    """Raise InputError unless `latency_ms` is a whole number of control steps."""
    if latency_ms < 0 or latency_ms % STEP_MS:
        raise InputError(f"--latency must be a multiple of {STEP_MS} ms, the control step, got {latency_ms}")


def check_name(config: RunConfig) -> None:
    """Raise InputError unless `--name` is a plain name, and not that of another agent."""
    if config.name is None:
        return
    if not re.fullmatch(r"[\w.+-]{1,64}", config.name, re.ASCII):
        raise InputError(f"--name is up to 64 letters, digits and any of _ . + -, got {config.name!r}")
    if config.name in AGENTS.names() and config.name != config.policy:
        raise InputError(f"--name {config.name}: that is another agent's name")


def check_domain(config: RunConfig, agent: Agent) -> None:
    """Raise InputError when the agent says which training domains it knows, and the task's is not one."""
    from h2r_bench.envs.tasks import TASKS

    domain, known = TASKS.get(config.task).domain, AgentInfo.of(agent).domains
    if known is not None and domain not in known:
        raise InputError(
            f"{config.policy} has no decoder for {config.task}, which is of the training domain {domain}; "
            f"its weights know {', '.join(known)}. docs/training.md says how to train one"
        )


def check_truth(config: RunConfig, agent: Agent) -> None:
    """Raise InputError when the agent tracks the true hand and there is none in what is shown."""
    from h2r_bench.envs.demonstration.demo_controls import CONTROLS

    if AgentInfo.of(agent).needs_truth and not CONTROLS.get(config.demo).keeps_truth:
        raise InputError(f"{config.policy} tracks the true hand, and --demo {config.demo} shows none")


def check_writable(log: Path) -> None:
    """Raise InputError unless the file `log` can be appended to or made; makes nothing."""
    nearest = log.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if nearest.is_dir() == (nearest == log.absolute()):
        raise InputError(f"--out: {nearest} is in the way of {log}")
    needed = os.W_OK | os.X_OK if nearest.is_dir() else os.W_OK
    if not os.access(nearest, needed):
        raise InputError(f"--out: {nearest} cannot be written to")


@contextlib.contextmanager
def writing(log: TrialLog) -> Iterator[None]:
    """Be the only run that writes to `log`. Raises InputError when another one does, or the disk refuses."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(log.only_writer())
        except BusyError as error:
            raise InputError(f"{error}, or give another --out or --name") from None
        except OSError as error:
            raise InputError(f"--out: cannot write {log.path}: {error.strerror}") from None
        yield


def open_env(config: RunConfig, agent: Agent, make: EnvMaker) -> Any:
    """The environment of the run. Raises InputError when it refuses its options."""
    try:
        return make(config, agent)
    except ValueError as error:
        raise InputError(one_line(error)) from None


def condition_of(config: RunConfig, agent: Agent) -> Condition:
    """What the trials of this run are recorded under."""
    from h2r_bench.envs import WORLD_VERSION

    return Condition(
        task=config.task,
        policy=config.recorded_as,
        demo=config.demo,
        cue=config.cue,
        shift_cm=float(config.shift),
        seed=config.seed,
        weights=weights_of(agent),
        world=WORLD_VERSION,
    )


def finished(log: TrialLog, condition: Condition, trials: int) -> dict[int, TrialRecord]:
    """The trials of this run that the log already has, by index. Raises InputError for a damaged log."""
    wanted = {condition.key(trial): trial for trial in range(trials)}
    try:
        records = log.load()
    except (OSError, ValueError) as error:
        raise InputError(one_line(error)) from None
    return {wanted[record.key()]: record for record in records if record.key() in wanted}


def evaluate(
    config: RunConfig,
    env: Any,
    agent: Agent,
    condition: Condition,
    log: TrialLog,
    done: dict[int, TrialRecord],
    tell: Callable[[dict[int, TrialRecord]], None] = lambda records: None,
) -> list[TrialRecord]:
    """Run the trials that are not `done`, appending each to `log`; returns all records in order.

    `tell` gets the records so far, by trial, after each.
    """
    records = dict(done)
    for trial in range(config.trials):
        if trial not in records:
            records[trial] = filmed_trial(config, env, agent, condition, trial)
            log.append(records[trial])
            tell(records)
    return [records[trial] for trial in range(config.trials)]


def filmed_trial(config: RunConfig, env: Any, agent: Agent, condition: Condition, trial: int) -> TrialRecord:
    """One trial, with its video when the configuration asks for it."""
    if config.video == "none":
        return run_trial(env, agent, condition, trial)
    video = TrialVideo(imagination_of(agent))
    record = run_trial(env, agent, condition, trial, watch=video.add)
    if len(video) and (config.video == "all" or not record.success):
        video.save(video_path(config.out, condition, trial))
    return record
