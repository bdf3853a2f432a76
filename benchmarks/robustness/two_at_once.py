"""Two runs, or two sessions on an arm, started on one folder at once: one goes on, one is refused.

    python benchmarks/robustness/two_at_once.py run
    python benchmarks/robustness/two_at_once.py session     # against the twin

Exit status 1 when anything was doubled or lost, or when not exactly one of the two went on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

REFUSED = 2
POLICY = "expert"


@dataclass(frozen=True)
class Config:
    """Start two at once, again and again."""

    what: tyro.conf.Positional[Literal["run", "session"]]
    starts: int = 20
    trials: int = 2


def command(config: Config, out: Path) -> list[str]:
    """What both are told."""
    name = {"run": "h2r_bench.run", "session": "h2r_bench.real.trials"}[config.what]
    words = ["--task", "push_pull", "--policy", POLICY, "--trials", str(config.trials), "--out", str(out)]
    twin = ["--arm", "twin", "--arm-option", "speed=0", "lockstep=true"] if config.what == "session" else []
    return [sys.executable, "-m", name, *words, *twin]


def start(config: Config) -> tuple[tuple[int, ...], list[int], str]:
    """Start two; their exit statuses in order, the trials that were recorded, what the refused one said."""
    with tempfile.TemporaryDirectory() as name:
        both = [
            subprocess.Popen(
                command(config, Path(name)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        said = [each.communicate()[1].strip().splitlines()[-1:] for each in both]
        log = Path(name) / "trials" / "push_pull" / f"{POLICY}.jsonl"
        trials = [json.loads(line)["trial"] for line in log.read_text().splitlines()]
    refusal = next((" ".join(lines) for each, lines in zip(both, said, strict=True) if each.returncode), "")
    return tuple(sorted(each.returncode for each in both)), trials, refusal


def main(config: Config) -> int:
    """Start them and count."""
    ends, bad, words = Counter[tuple[int, ...]](), 0, Counter[str]()
    for _ in range(config.starts):
        statuses, trials, refusal = start(config)
        ends[statuses] += 1
        bad += statuses != (0, REFUSED) or trials != list(range(config.trials))
        words[refusal.partition("is being")[2]] += 1
    print(json.dumps({"what": config.what, "starts": config.starts, "bad": bad}))
    for statuses, count in ends.items():
        print(f"exit statuses {statuses}: {count} times")
    for refusal, count in words.items():
        print(f"... is being{refusal}: {count} times")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Config, description=__doc__)))
