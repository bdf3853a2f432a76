"""Every task with every agent that ships: outcomes and paths stay what they were.

`pytest -m regression` holds them to `goldens/regression/<agent>.json`, which are keyed by the hash of the
agent's weights. After an intended change, `PYTHONPATH=tests/helpers
python tests/evaluation/test_regression.py [AGENT ...]` writes them anew.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path as File
from typing import Any

import numpy as np
import pytest

from h2r_bench.envs import WORLD_VERSION
from h2r_bench.envs.tasks import TASKS
from h2r_bench.evaluation.runner import RunConfig, condition_of, make_env
from h2r_bench.evaluation.trial import run_trial, weights_of
from h2r_bench.policies.catalog import AGENTS
from h2r_bench.types import AgentInfo

from trajectories import Path, shaken

FOLDER = File(__file__).parents[2] / "tests" / "goldens" / "regression"
SEED = 11
TRIALS = 3
"""Trials of each agent on each task; tasks that take turns show their first three."""
TRIALS_WITH_IMAGES = 2
"""The same for agents that look at pictures and compute."""
OUTCOME = ("success", "progress", "failure", "steps")
HOW = "if that is meant: PYTHONPATH=tests/helpers python tests/evaluation/test_regression.py {agent}"


def shipped() -> list[str]:
    """Agents of this package that run by their name alone."""
    specs = {name: AGENTS.get(name) for name in AGENTS}
    ours = {name: spec for name, spec in specs.items() if spec.target.startswith("h2r_bench.")}
    return [name for name, spec in ours.items() if not spec.required_options()]


def knows(agent: Any, task: str) -> bool:
    """Whether the weights of `agent` have a decoder for `task`; agents without domains take every task."""
    known = AgentInfo.of(agent).domains
    return known is None or TASKS.get(task).domain in known


class Recorded:
    """An environment whose states are kept, and whose actions are shaken if so wished."""

    def __init__(self, env: Any, shake: bool) -> None:
        self.unwrapped, self.render = env.unwrapped, env.render
        self._env, self._shake = env, shake
        self._rng = np.random.default_rng(SEED)
        self.states: list[Any] = []

    def reset(self, **options: Any) -> Any:
        observation, info = self._env.reset(**options)
        self.states = [observation["state"]]
        return observation, info

    def step(self, action: Any) -> Any:
        observation, *rest = self._env.step(shaken(action, self._rng) if self._shake else action)
        self.states.append(observation["state"])
        return (observation, *rest)


def play(agent_name: str, agent: Any, task: str, shake: bool = False) -> list[dict[str, Any]]:
    """The trials of `agent` on `task`: outcome and path of each."""
    config = RunConfig(task=task, policy=agent_name, seed=SEED)
    env = make_env(config, agent)
    recorded = Recorded(env, shake)
    trials = []
    for trial in range(TRIALS_WITH_IMAGES if getattr(agent, "needs_images", True) else TRIALS):
        record = run_trial(recorded, agent, condition_of(config, agent), trial)
        outcome = {name: getattr(record, name) for name in OUTCOME}
        trials.append({**outcome, **asdict(Path.of(recorded.states))})
    env.close()
    return trials


def golden_of(seen: dict[str, Any], shaken_one: dict[str, Any]) -> dict[str, Any]:
    """A trial as its own golden: what noise in the actions did not change.

    `steady` says whether the outcome stayed the same; waypoints that moved by half the tolerance are dropped.
    """
    paths = [path_of(each) for each in (seen, shaken_one)]
    kept = paths[0].up_to(paths[0].steady(paths[1], share=0.5))
    steady = all(seen[name] == shaken_one[name] for name in OUTCOME)
    return {**seen, **asdict(kept), "steady": steady}


def path_of(trial: dict[str, Any]) -> Path:
    return Path(trial["digest"], trial["waypoints"])


def differences(seen: list[dict[str, Any]], golden: list[dict[str, Any]]) -> list[str]:
    """What differs between trials and their goldens, in words; nothing if all is well."""
    if len(seen) != len(golden):
        return [f"{len(seen)} trials, not {len(golden)}"]
    found = []
    for trial, (now, then) in enumerate(zip(seen, golden, strict=True)):
        if then["steady"] or now["digest"] == then["digest"]:
            for name in OUTCOME:
                if now[name] != pytest.approx(then[name], abs=1e-3):
                    found.append(f"trial {trial}: {name} is {now[name]!r}, was {then[name]!r}")
        if where := path_of(now).difference(path_of(then)):
            found.append(f"trial {trial}: the path differs {where}")
    return found


@pytest.fixture(scope="module")
def agents() -> dict[str, Any]:
    """Agents loaded so far."""
    return {}


@pytest.mark.regression
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", shipped())
def test_nothing_has_changed(agents: dict[str, Any], name: str, task: str) -> None:
    file = FOLDER / f"{name}.json"
    if name not in agents:
        try:
            agents[name] = AGENTS.get(name).load()
        except FileNotFoundError:
            if file.exists():
                raise
            pytest.skip(f"{name} ships without weights")
    assert file.exists(), f"{name} has no goldens; {HOW.format(agent=name)}"
    golden = json.loads(file.read_text())
    assert golden["world"] == WORLD_VERSION, f"goldens of another world; {HOW.format(agent=name)}"
    weights = weights_of(agents[name])
    assert weights in golden["weights"], f"no goldens for weights {weights}; {HOW.format(agent=name)}"
    if not knows(agents[name], task):
        pytest.skip(f"{name} knows no tasks like {task}")
    assert task in golden["weights"][weights], f"no golden of {task}; {HOW.format(agent=name)}"
    found = differences(play(name, agents[name], task), golden["weights"][weights][task])
    assert not found, f"{'; '.join(found)}; {HOW.format(agent=name)}"


STAYED = {"success": True, "progress": 1.0, "failure": "", "steps": 29}
MOVED = {"success": False, "progress": 0.5, "failure": "missed", "steps": 29}


def trial_of(outcome: dict[str, Any], end: float) -> dict[str, Any]:
    """A trial of 30 states that stands at 0.5 and ends at `end`."""
    return {**outcome, **asdict(Path.of([[0.5] * 10] * 29 + [[end] * 10]))}


def test_differences_are_told_in_words() -> None:
    golden = golden_of(trial_of(STAYED, 0.5), trial_of(STAYED, 0.5))
    assert golden["steady"]
    assert differences([trial_of(STAYED, 0.5)], [golden]) == []
    assert differences([trial_of(STAYED, 0.5009)], [golden]) == []
    assert differences([golden], []) == ["1 trials, not 0"]
    told = "; ".join(differences([trial_of(MOVED, 0.6)], [golden]))
    for part in ("success is False, was True", "failure is 'missed'", "progress is 0.5", "waypoint 2: 173.2"):
        assert part in told


def test_what_noise_changes_is_not_held_to_the_golden() -> None:
    golden = golden_of(trial_of(STAYED, 0.5), trial_of(MOVED, 0.51))
    assert not golden["steady"]
    assert len(golden["waypoints"]) == 2
    assert differences([trial_of(MOVED, 0.7)], [golden]) == []
    assert differences([{**trial_of(MOVED, 0.5), "digest": golden["digest"]}], [golden]) != []


def write(name: str) -> None:
    """Write the goldens of one agent."""
    agent = AGENTS.get(name).load()
    head = f'{{"world": {WORLD_VERSION}, "weights": {{{json.dumps(weights_of(agent))}: {{\n'
    lines = []
    for task in (task for task in TASKS.names() if knows(agent, task)):
        pairs = zip(play(name, agent, task), play(name, agent, task, shake=True), strict=True)
        lines.append(f"{json.dumps(task)}: {json.dumps([golden_of(*pair) for pair in pairs])}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(head + ",\n".join(lines) + "\n}}}\n")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or shipped():
        write(chosen)
