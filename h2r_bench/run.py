"""`python -m h2r_bench.run`: measure an agent on a task, trial by trial.

Every trial appends one JSON line to `<out>/trials/<task>/<policy>.jsonl`. A run that was stopped goes on
where it was when the same command is given again.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from h2r_bench.cli import INTERRUPTED, refused
from h2r_bench.evaluation.log import TrialLog, log_path
from h2r_bench.evaluation.runner import (
    EnvMaker,
    InputError,
    RunConfig,
    condition_of,
    evaluate,
    finished,
    make_env,
    open_env,
    prepare,
    writing,
)
from h2r_bench.evaluation.trial import Condition, TrialRecord
from h2r_bench.policies.options import parse_command
from h2r_bench.statistics import format_rate
from h2r_bench.types import Agent, AgentInfo, one_line


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
        return refused(error)
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
        records = evaluate_with_bar(config, env, agent, condition, log, done, console)
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


def announce(
    config: RunConfig, agent: Agent, condition: Condition, done: dict[int, TrialRecord], console: Console
) -> None:
    """Say what is worth knowing before the first trial."""
    trained_on = AgentInfo.of(agent).world
    if trained_on is not None and trained_on != condition.world:
        console.print(
            f"Note: these weights were trained on world version {trained_on}, this is version "
            f"{condition.world}. Results are recorded, but do not compare them across versions.",
            style="yellow",
        )
    if done:
        console.print(f"{len(done)} of {config.trials} trials are already in the log; going on after them.")


def evaluate_with_bar(
    config: RunConfig,
    env: Any,
    agent: Agent,
    condition: Condition,
    log: TrialLog,
    done: dict[int, TrialRecord],
    console: Console,
) -> list[TrialRecord]:
    """The same as `evaluate`, with a bar on `console`."""
    with progress_bar(console) as bar:
        label = escape(f"{config.task} {config.recorded_as}")
        job = bar.add_task(label, total=config.trials, completed=len(done), rate=running_rate(done))

        def tell(records: dict[int, TrialRecord]) -> None:
            bar.update(job, advance=1, rate=running_rate(records))

        return evaluate(config, env, agent, condition, log, done, tell)


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


if __name__ == "__main__":
    sys.exit(main())
