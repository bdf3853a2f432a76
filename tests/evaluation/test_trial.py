from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.envs.env import TabletopEnv
from h2r_bench.envs.tasks import TASKS
from h2r_bench.evaluation.log import DamagedLogError, TrialLog, log_path, video_path
from h2r_bench.evaluation.trial import Condition, TrialRecord, package_versions, run_trial, trial_seed
from h2r_bench.policies.catalog import AGENTS
from h2r_bench.policies.random_agent import RandomAgent
from h2r_bench.types import AgentError

from fakes import FakeEnv

RUN_FIELDS = ["task", "policy", "demo", "cue", "shift_cm", "seed"]
RESULT_FIELDS = ["trial", "trial_seed", "success", "progress", "failure", "steps", "seconds"]
FIELDS = [*RUN_FIELDS, *RESULT_FIELDS, "world", "weights", "versions"]
OPTIONAL = ["distance", "digest", "original_success"]
CONDITION = Condition("push_pull", "random", "matched", "scene", 0.0, 7, "none", 1)


def record(trial: int = 0, **changes: Any) -> TrialRecord:
    values: dict[str, Any] = {
        **{name: getattr(CONDITION, name) for name in RUN_FIELDS},
        "trial": trial,
        "trial_seed": trial_seed(7, trial),
        "success": True,
        "progress": 1.0,
        "failure": "",
        "steps": 12,
        "seconds": 0.5,
        "world": 1,
        "weights": "none",
        "versions": {"h2r_bench": "0.1.0"},
    }
    return TrialRecord(**{**values, **changes})


@pytest.fixture
def log(tmp_path: Path) -> TrialLog:
    return TrialLog(log_path(tmp_path, "push_pull", "random"))


def test_record_has_the_agreed_fields_in_order() -> None:
    assert [field.name for field in dataclasses.fields(TrialRecord)] == [*FIELDS, *OPTIONAL]
    assert list(json.loads(record().to_json())) == FIELDS
    full = record(distance=0.25, digest="ab", original_success=False)
    assert list(json.loads(full.to_json())) == [*FIELDS, *OPTIONAL]
    assert TrialRecord.from_json(full.to_json()) == full


def test_fields_of_later_versions_are_left_out() -> None:
    later = json.dumps({**json.loads(record().to_json()), "mood": "good"})
    assert TrialRecord.from_json(later) == record()


@given(st.text(), st.floats(0, 1), st.booleans())
def test_record_survives_json(failure: str, progress: float, success: bool) -> None:
    failure = failure.encode(errors="ignore").decode()
    original = record(failure=failure, progress=progress, success=success)
    line = original.to_json()
    assert "\n" not in line
    assert TrialRecord.from_json(line) == original


def test_record_refuses_what_is_not_a_number() -> None:
    with pytest.raises(ValueError):
        record(progress=float("nan")).to_json()


@pytest.mark.parametrize("line", ["", "{}", "[]", "1", '{"task": "x"}', "{"])
def test_other_json_is_no_record(line: str) -> None:
    with pytest.raises(ValueError):
        TrialRecord.from_json(line)


@pytest.mark.parametrize(
    "change",
    [
        {"task": "x"},
        {"policy": "x"},
        {"demo": "x"},
        {"cue": "video"},
        {"shift_cm": 2.0},
        {"seed": 8},
        {"trial": 1},
        {"weights": "x"},
        {"world": 2},
    ],
    ids=str,
)
def test_resume_key_tells_runs_apart(change: dict[str, Any]) -> None:
    assert record().key() == CONDITION.key(0)
    assert dataclasses.replace(record(), **change).key() != record().key()


def test_resume_key_ignores_results() -> None:
    other = record(success=False, progress=0.0, failure="x", steps=1, seconds=9.0, versions={})
    assert other.key() == record().key()


@given(st.integers(0, 2**40), st.integers(0, 10_000))
def test_trial_seed_is_a_small_number_from_both(seed: int, trial: int) -> None:
    value = trial_seed(seed, trial)
    assert 0 <= value < 2**32
    assert value == trial_seed(seed, trial)
    assert value != trial_seed(seed, trial + 1)
    assert value != trial_seed(seed + 1, trial)


def test_trial_seeds_are_pinned() -> None:
    # Published records depend on them: a change here makes every old seed mean another scene.
    assert [trial_seed(0, trial) for trial in range(3)] == [3757552657, 673228719, 3241444873]


def test_trial_seeds_do_not_collide() -> None:
    seeds = {trial_seed(seed, trial) for seed in range(30) for trial in range(100)}
    assert len(seeds) == 3000


def test_versions_name_what_shapes_a_result() -> None:
    versions = package_versions()
    assert set(versions) == {"h2r_bench", "mujoco", "torch", "numpy", "gymnasium", "python"}
    assert all(isinstance(version, str) and version for version in versions.values())


class Unreachable(RandomAgent):
    """Gives up at its fourth step, or at once."""

    def __init__(self, at_reset: bool) -> None:
        super().__init__()
        self.at_reset = at_reset

    def reset(self, demonstration: Any, instruction: str, seed: int) -> None:
        self.steps = 0
        if self.at_reset:
            raise AgentError("nobody\n  there " + "x" * 500)

    def predict(self, *arguments: Any, **keywords: Any) -> Any:
        self.steps += 1
        if self.steps == 4:
            raise AgentError("")
        return super().predict(*arguments, **keywords)


def test_an_agent_that_cannot_act_has_failed_the_trial() -> None:
    started = run_trial(FakeEnv(1.0), Unreachable(at_reset=False), CONDITION, 0)
    assert (started.success, started.steps, started.failure) == (False, 3, "the agent could not act")
    assert started.progress > 0.0
    never = run_trial(FakeEnv(1.0), Unreachable(at_reset=True), CONDITION, 0)
    assert (never.success, never.steps, never.progress) == (False, 0, 0.0)
    assert never.failure.startswith("nobody there xxx")
    assert len(never.failure) == 200


def test_log_gives_back_what_was_appended(log: TrialLog) -> None:
    assert log.load() == []
    for trial in range(3):
        log.append(record(trial))
    assert log.load() == [record(trial) for trial in range(3)]
    assert log.path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("cut", [1, 40, -1])
def test_torn_last_line_is_set_aside(log: TrialLog, cut: int) -> None:
    log.append(record(0))
    torn = record(1).to_json().encode()[:cut]
    with log.path.open("ab") as file:
        file.write(torn)
    assert log.load() == [record(0)]
    assert log.path.with_name("random.jsonl.torn").read_bytes() == torn + b"\n"
    log.append(record(1))
    assert log.load() == [record(0), record(1)]


def test_last_line_of_rubbish_is_set_aside(log: TrialLog) -> None:
    log.append(record(0))
    with log.path.open("ab") as file:
        file.write(b"\0\0\0\xff\n")
    assert log.load() == [record(0)]
    assert log.load() == [record(0)]


def test_rubbish_in_the_middle_is_an_error_and_left_alone(log: TrialLog) -> None:
    log.append(record(0))
    with log.path.open("ab") as file:
        file.write(b"rubbish\n")
    log.append(record(1))
    before = log.path.read_bytes()
    with pytest.raises(DamagedLogError, match="line 2"):
        log.load()
    assert log.path.read_bytes() == before


def test_writers_at_the_same_time_never_mix_lines(log: TrialLog) -> None:
    def write(start: int) -> None:
        for trial in range(start, start + 20):
            log.append(record(trial))

    threads = [threading.Thread(target=write, args=(20 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r.trial for r in log.load()) == list(range(80))


def test_a_disk_that_takes_half_a_line_is_an_error(log: TrialLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append(record(0))
    monkeypatch.setattr("os.write", lambda handle, data: len(data) // 2)
    with pytest.raises(OSError, match="part of a line"):
        log.append(record(1))
    monkeypatch.undo()
    assert log.load() == [record(0)]


def test_paths() -> None:
    assert log_path(Path("o"), "t", "h2r") == Path("o/trials/t/h2r.jsonl")
    assert log_path(Path("o"), "t", "my.mod:Cls") == Path("o/trials/t/my.mod.Cls.jsonl")
    assert log_path(Path("o"), "t", "../../x:Y") == Path("o/trials/t/......x.Y.jsonl")
    plain = Path("o/videos/push_pull/random/matched-scene-0cm-seed7-world1/trial_003.mp4")
    assert video_path(Path("o"), CONDITION, 3) == video_path(Path("o"), record(), 3) == plain
    other = dataclasses.replace(CONDITION, shift_cm=2.5, weights="0123456789/x")
    assert video_path(Path("o"), other, 3).parent.name == "matched-scene-2.5cm-seed7-world1-01234567"


def without_times(original: TrialRecord) -> TrialRecord:
    return dataclasses.replace(original, seconds=0.0)


def test_trial_runs_to_the_end_and_is_judged_there() -> None:
    done = run_trial(FakeEnv(success_rate=1.0), RandomAgent(), CONDITION, 3)
    assert (done.steps, done.success, done.failure, done.progress) == (FakeEnv.horizon, True, "", 1.0)
    assert (done.trial, done.trial_seed) == (3, trial_seed(7, 3))
    assert done.key() == CONDITION.key(3)
    failed = run_trial(FakeEnv(success_rate=0.0), RandomAgent(), CONDITION, 3)
    assert (failed.success, failed.failure) == (False, "missed")


def test_trial_depends_on_seed_and_index_alone() -> None:
    env, agent = FakeEnv(), RandomAgent()
    alone = without_times(run_trial(FakeEnv(), RandomAgent(), CONDITION, 2))
    for trial in (5, 2, 0):
        last = without_times(run_trial(env, agent, CONDITION, trial))
        assert (last == alone) == (trial == 2)


def test_the_digest_tells_trajectories_apart() -> None:
    digests = [run_trial(FakeEnv(), RandomAgent(), CONDITION, trial).digest for trial in (0, 1, 0)]
    assert digests[0] == digests[2] != digests[1]
    assert all(len(digest or "") == 16 for digest in digests)


def test_watcher_sees_every_step() -> None:
    seen: list[tuple[int, int]] = []
    run_trial(
        FakeEnv(),
        RandomAgent(),
        CONDITION,
        0,
        watch=lambda demo, step, view: seen.append((step, view[0, 0, 0])),
    )
    assert seen == [(step, 10 * step) for step in range(FakeEnv.horizon)]


class Nosy(RandomAgent):
    """Writes down what it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def bind(self, env: Any) -> None:
        self.calls.append(f"bind {type(env).__name__}")

    def reset(self, demonstration: Any, instruction: str, seed: int) -> None:
        super().reset(demonstration, instruction, seed)
        self.calls.append(f"reset {len(demonstration)} {instruction} {seed == trial_seed(7, 0)}")

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> Any:
        self.calls.append(f"predict {episode_start.tolist()} {deterministic}")
        return super().predict(observation, state, episode_start, deterministic)


def test_agent_is_bound_then_reset_then_asked() -> None:
    agent = Nosy()
    run_trial(FakeEnv(), agent, CONDITION, 0)
    assert agent.calls[:4] == [
        "bind FakeEnv",
        "reset 8 do it True",
        "predict [True] True",
        "predict [False] True",
    ]


class Short:
    """An environment cut off after three steps."""

    def __init__(self, env: Any) -> None:
        self.unwrapped = env
        self.render = env.render

    def reset(self, **options: Any) -> Any:
        self._left = 3
        return self.unwrapped.reset(**options)

    def step(self, action: Any) -> Any:
        self._left -= 1
        observation, reward, terminated, truncated, info = self.unwrapped.step(action)
        return observation, reward, terminated, truncated or self._left == 0, info


@pytest.mark.parametrize("task", ["pick_place", "brand_new"])
@pytest.mark.parametrize("policy", [name for name in AGENTS if not AGENTS.get(name).required_options()])
def test_every_agent_starts_a_task_of_each_domain(task: str, policy: str) -> None:
    try:
        agent = AGENTS.get(policy).load()
    except FileNotFoundError:
        pytest.skip("its weights do not come with this version")
    if TASKS.get(task).domain not in (getattr(agent, "domains", None) or TASKS.get(task).domain):
        pytest.skip("its weights have no decoder for this task's domain")
    env = TabletopEnv(task=task)
    try:
        done = run_trial(Short(env), agent, dataclasses.replace(CONDITION, task=task, policy=policy), 0)
    finally:
        env.close()
    assert done.steps == 3
    assert not done.success
    assert done.failure
    assert 0.0 <= done.progress <= 1.0


@pytest.mark.parametrize("task", ["push_pull", "combination_gen", "brand_new"])
def test_a_trial_in_the_real_world_repeats_exactly(task: str) -> None:
    condition = dataclasses.replace(CONDITION, task=task)
    records = []
    for _ in range(2):
        env = TabletopEnv(task=task, obs="state")
        records.append(without_times(run_trial(env, RandomAgent(), condition, 1)))
        assert records[-1].steps == env.unwrapped.horizon
        assert records[-1].distance is not None
        env.close()
    assert records[0] == records[1]
    assert not records[0].success


def test_films_of_two_servers_are_two() -> None:
    servers = ("at localhost:8000", "at localhost:8001", "at 10.0.0.1:8000")
    paths = [
        video_path(Path("o"), dataclasses.replace(CONDITION, weights=weights), 3).parent.name
        for weights in servers
    ]
    assert len(set(paths)) == 3
    assert not any("localhost" in path for path in paths)
