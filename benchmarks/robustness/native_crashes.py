"""Does anything crash below Python? Trials in fresh and long-lived processes under glibc's heap checks.

    python benchmarks/robustness/native_crashes.py --out runs/native_crashes.jsonl
    python benchmarks/robustness/native_crashes.py --out runs/native_crashes.jsonl --summary
    python benchmarks/robustness/native_crashes.py --memcheck expert  # the beginning of a trial, in valgrind

With `MALLOC_CHECK_=3` and `MALLOC_PERTURB_` glibc ends a process at the first block that was overrun, freed
twice or used after it was freed, instead of much later or never. One line of JSON a process; a run that was
stopped goes on where it was when the same command is given again.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

MALLOC_DEBUG = "libc_malloc_debug.so.0"
"""Since glibc 2.34 the checks are in a library of their own."""
CHECKS = {
    "LD_PRELOAD": MALLOC_DEBUG,
    "MALLOC_CHECK_": "3",
    "MALLOC_PERTURB_": "165",
    "PYTHONFAULTHANDLER": "1",
}


@dataclass(frozen=True)
class Config:
    """Run trials and count the processes that were killed by a signal."""

    out: Path = Path("runs/native_crashes.jsonl")
    """Log of processes."""
    task: str = "background_gen"
    seed: int = 3001
    expert_long: int = 1000
    """Trials of the expert, with images, in processes of `long` trials each."""
    expert_fresh: int = 400
    """... in processes of one trial each."""
    h2r_long: int = 450
    """Trials of `h2r`, in processes of `long` trials each."""
    h2r_fresh: int = 150
    """... in processes of one trial each."""
    long: int = 50
    """Trials of a long-lived process."""
    summary: bool = False
    """Only count what the log has."""
    memcheck: Literal["", "expert", "h2r"] = ""
    """Instead, run the beginning of one trial of this agent under valgrind's memcheck: minutes."""
    steps: int = 5
    """Control steps of that beginning."""


@dataclass(frozen=True)
class Job:
    """The trials of one process."""

    policy: str
    first: int
    count: int


def jobs(config: Config) -> list[Job]:
    """All processes; those of the four kinds take turns, so that any part of the whole is a fair sample."""
    kinds = {
        ("expert", config.long): config.expert_long,
        ("h2r", config.long): config.h2r_long,
        ("expert", 1): config.expert_fresh,
        ("h2r", 1): config.h2r_fresh,
    }
    placed: list[tuple[float, Job]] = []
    for (policy, size), trials in kinds.items():
        # Fresh processes take trials that the long-lived ones do not, so that no scene comes twice.
        offset = 0 if size > 1 else 100_000
        count = trials // size
        placed += [((n + 0.5) / count, Job(policy, offset + n * size, size)) for n in range(count)]
    return [job for _, job in sorted(placed, key=lambda each: each[0])]


def work(job: Job, config: Config) -> None:
    """What a process does: its trials, a word after each."""
    from h2r_bench.envs import WORLD_VERSION
    from h2r_bench.envs.env import TabletopEnv
    from h2r_bench.evaluation.trial import Condition, run_trial
    from h2r_bench.policies.catalog import find_agent

    agent = find_agent(job.policy).load(None, None)
    condition = Condition(
        config.task, job.policy, "matched", "scene", 0.0, config.seed, "none", WORLD_VERSION
    )
    env = TabletopEnv(task=config.task, render_mode="rgb_array")
    for trial in range(job.first, job.first + job.count):
        print(run_trial(env, agent, condition, trial).success, flush=True)
    env.close()


def begin(policy: str, task: str, seed: int, steps: int) -> None:
    """The beginning of a trial: scene, film of the hand, and some control steps."""
    from h2r_bench.envs.env import TabletopEnv
    from h2r_bench.policies.catalog import find_agent
    from h2r_bench.types import PrivilegedAgent

    env = TabletopEnv(task=task, render_mode="rgb_array")
    agent = find_agent(policy).load(None, None)
    observation, info = env.reset(seed=seed, options={"trial": 0})
    if isinstance(agent, PrivilegedAgent):
        agent.bind(env)
    agent.reset(info["demonstration"], info["instruction"], seed)
    state = None
    for step in range(steps):
        action, state = agent.predict(observation, state, [step == 0])
        observation, *_ = env.step(action)
    env.close()


def memcheck(config: Config) -> None:
    """Run `begin` under valgrind; print accesses outside of blocks and blocks freed wrongly, by kind."""
    words = [config.memcheck, config.task, str(config.seed), str(config.steps)]
    valgrind = ["valgrind", "--error-limit=no", "--undef-value-errors=no"]
    command = [*valgrind, sys.executable, __file__, "--begin", *words]
    calm = {"PYTHONMALLOC": "malloc", "OMP_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}
    done = subprocess.run(command, env={**os.environ, **calm}, capture_output=True, text=True, check=False)
    found = Counter(re.findall(r"Invalid \w+(?: of size \d+)?|Mismatched free\(\)", done.stderr))
    in_loader = done.stderr.count("decompose_rpath (dl-load.c")
    print(f"exit status {done.returncode}: {dict(found) or 'nothing invalid'}")
    print(f"{in_loader} frames in the dynamic loader, whose string functions read whole words")


def run(job: Job, config: Config) -> dict[str, object]:
    """A line of the log: how the process of `job` ended."""
    command = [
        sys.executable,
        __file__,
        "--work",
        json.dumps(dataclasses.asdict(job)),
        config.task,
        str(config.seed),
    ]
    done = subprocess.run(command, env={**os.environ, **CHECKS}, capture_output=True, text=True, check=False)
    lines = done.stdout.split()
    return {
        **dataclasses.asdict(job),
        "status": done.returncode,
        "trials": len(lines),
        "successes": lines.count("True"),
        "error": done.stderr[-4000:] if done.returncode else "",
    }


def summary(config: Config) -> None:
    """Trials, processes and crashes by kind."""
    lines = [json.loads(line) for line in config.out.read_text().splitlines()]
    trials, processes, crashes = Counter[str](), Counter[str](), Counter[str]()
    for line in lines:
        kind = f"{line['policy']}, {line['count']} trial{'s' if line['count'] > 1 else ''} a process"
        trials[kind] += line["trials"]
        processes[kind] += 1
        crashes[kind] += line["status"] != 0
    for kind in sorted(trials):
        print(f"{kind}: {trials[kind]} trials, {processes[kind]} processes, {crashes[kind]} ended badly")
    total = sum(trials.values())
    print(f"in all {total} trials, {len(lines)} processes, {sum(crashes.values())} ended badly")
    if not sum(crashes.values()):
        print(f"with none seen the rate is below {3 / total:.2%} a trial (95 %)")


def main() -> None:
    """Run what is not in the log yet."""
    if sys.argv[1:2] == ["--work"]:
        work(Job(**json.loads(sys.argv[2])), Config(task=sys.argv[3], seed=int(sys.argv[4])))
        return
    if sys.argv[1:2] == ["--begin"]:
        policy, task, seed, steps = sys.argv[2:6]
        begin(policy, task, int(seed), int(steps))
        return
    config = tyro.cli(Config, description=__doc__)
    if config.memcheck:
        memcheck(config)
        return
    config.out.parent.mkdir(parents=True, exist_ok=True)
    there = config.out.read_text().splitlines() if config.out.exists() else []
    done = {(line["policy"], line["first"], line["count"]) for line in map(json.loads, there)}
    for job in [] if config.summary else jobs(config):
        if (job.policy, job.first, job.count) not in done:
            with config.out.open("a") as log:
                log.write(json.dumps(run(job, config)) + "\n")
    summary(config)


if __name__ == "__main__":
    main()
