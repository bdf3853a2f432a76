"""`python -m h2r_bench.run`: measure an agent on a task, trial by trial.

Every trial appends one JSON line to `<out>/trials/<task>/<policy>.jsonl`. A run that was stopped goes on
where it was when the same command is given again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from h2r_bench.chunks import delayed
from h2r_bench.envs import gl
from h2r_bench.files import BusyError
from h2r_bench.policies.catalog import AGENTS, AgentSpec, find_agent
from h2r_bench.policies.options import parse_command
from h2r_bench.ranges import Count, Index, NotNegative
from h2r_bench.statistics import format_rate
from h2r_bench.trials import (
    Condition,
    TrialLog,
    TrialRecord,
    log_path,
    run_trial,
    video_path,
    weights_of,
)
from h2r_bench.types import CONTROL_HZ, Agent, Demo
from h2r_bench.video import TrialVideo, imagination_of

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
BAD_INPUT = 2
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

    options: dict[str, Any] = {"image_size": agent.image_size} if hasattr(agent, "image_size") else {}
    if not getattr(agent, "needs_images", True) and config.video == "none":
        options["obs"] = "state"
    return TabletopEnv(
        task=config.task,
        cue=config.cue,
        shift_cm=config.shift,
        demo=config.demo,
        render_mode="rgb_array",
        **options,
    )


def main(argv: Sequence[str] | None = None, make: EnvMaker = make_env) -> int:
    """Run the command line `argv` (without the program's name) and return the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    console = Console(stderr=True)
    try:
        config, agent = prepare(*read_command(argv))
        condition = condition_of(config, agent)
        log = TrialLog(log_path(config.out, config.task, config.recorded_as))
        with contextlib.closing(open_env(config, agent, make)) as env, writing(log):
            return measure(config, env, agent, condition, log, argv, console)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED


def measure(
    config: RunConfig,
    env: Any,
    agent: Agent,
    condition: Condition,
    log: TrialLog,
    argv: Sequence[str],
    console: Console,
) -> int:
    """Run what the log does not have yet and say what came of it. Raises InputError for a damaged log."""
    done = finished(log, condition, config.trials)
    announce(config, agent, condition, done, console)
    try:
        records = evaluate(config, env, agent, condition, log, done, console)
    except KeyboardInterrupt:
        tell_how_to_go_on(log, condition, config.trials, argv, console)
        return INTERRUPTED
    successes = sum(record.success for record in records)
    print(f"{config.task}  {config.recorded_as}  {format_rate(successes, len(records))}")
    return 0


def read_command(argv: Sequence[str]) -> tuple[RunConfig, Any]:
    """The configuration and the agent's own options in `argv`. Raises InputError for an agent unknown."""
    try:
        return parse_command(RunConfig, argv, prog="python -m h2r_bench.run", description=__doc__)
    except ValueError as error:
        raise InputError(one_line(error)) from None


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

    domain, known = TASKS.get(config.task).domain, getattr(agent, "domains", None)
    if known is not None and domain not in known:
        raise InputError(
            f"{config.policy} has no decoder for {config.task}, which is of the training domain {domain}; "
            f"its weights know {', '.join(known)}. docs/training.md says how to train one"
        )


def check_truth(config: RunConfig, agent: Agent) -> None:
    """Raise InputError when the agent tracks the true hand and there is none in what is shown."""
    from h2r_bench.envs.demo_controls import CONTROLS

    if getattr(agent, "needs_truth", False) and not CONTROLS.get(config.demo).keeps_truth:
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


def announce(
    config: RunConfig, agent: Agent, condition: Condition, done: dict[int, TrialRecord], console: Console
) -> None:
    """Say what is worth knowing before the first trial."""
    trained_on = getattr(agent, "world", None)
    if trained_on is not None and trained_on != condition.world:
        console.print(
            f"Note: these weights were trained on world version {trained_on}, this is version "
            f"{condition.world}. Results are recorded, but do not compare them across versions.",
            style="yellow",
        )
    if done:
        console.print(f"{len(done)} of {config.trials} trials are already in the log; going on after them.")


def evaluate(
    config: RunConfig,
    env: Any,
    agent: Agent,
    condition: Condition,
    log: TrialLog,
    done: dict[int, TrialRecord],
    console: Console,
) -> list[TrialRecord]:
    """Run the trials that are not `done`, appending each to `log`; returns all records in order."""
    records = dict(done)
    with progress_bar(console) as bar:
        label = escape(f"{config.task} {config.recorded_as}")
        job = bar.add_task(label, total=config.trials, completed=len(records), rate=running_rate(records))
        for trial in range(config.trials):
            if trial in records:
                continue
            records[trial] = filmed_trial(config, env, agent, condition, trial)
            log.append(records[trial])
            bar.update(job, advance=1, rate=running_rate(records))
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


def progress_bar(console: Console) -> Progress:
    """A bar with the running success rate."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
    )


def running_rate(records: dict[int, TrialRecord]) -> str:
    """Successes so far, for the progress bar."""
    successes = sum(record.success for record in records.values())
    return f"success {successes}/{len(records)}" + (f" = {successes / len(records):.0%}" if records else "")


def tell_how_to_go_on(
    log: TrialLog, condition: Condition, trials: int, argv: Sequence[str], console: Console
) -> None:
    """After Ctrl-C: what is kept and how to continue."""
    kept = len(finished(log, condition, trials))
    again = shlex.join(["python", "-m", "h2r_bench.run", *argv])
    console.print(
        f"\nStopped. {kept} of {trials} trials are kept in {log.path}. To go on:\n  {again}", soft_wrap=True
    )


def one_line(error: BaseException) -> str:
    """The message of `error` without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
