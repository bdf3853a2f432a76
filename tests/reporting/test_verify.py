from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import imageio.v3
import numpy as np
import pytest

from fakes import FakeEnv
from synthetic import write_run

pytest.importorskip("statsmodels")

from h2r_bench import report
from h2r_bench.envs import WORLD_VERSION
from h2r_bench.evaluation.latency import delayed
from h2r_bench.evaluation.log import TrialLog, log_path, video_path
from h2r_bench.evaluation.trial import Condition, TrialRecord, run_trial
from h2r_bench.policies.common.checkpoints import WeightsMissingError
from h2r_bench.policies.random_agent import RandomAgent
from h2r_bench.registry import UnknownNameError
from h2r_bench.reporting.leaderboard import Leaderboard, build
from h2r_bench.reporting.record_loading import load
from h2r_bench.reporting.verify import TOLERANCE, Verifier, judge, sample


def fake(config: Any, agent: Any) -> FakeEnv:
    return FakeEnv()


def recorded(results: Path, count: int = 6, **changes: Any) -> list[TrialRecord]:
    """Real records of the random agent in the small world."""
    values = {"cue": "scene", "shift_cm": 0.0, "seed": 7, "weights": "none", "world": WORLD_VERSION}
    condition = Condition("push_pull", "random", "matched", **{**values, **changes})
    log = TrialLog(log_path(results, "push_pull", "random"))
    records = [run_trial(FakeEnv(), RandomAgent(), condition, trial) for trial in range(count)]
    for record in records:
        log.append(record)
    return records


def board_of(results: Path) -> Leaderboard:
    return build(load(results))


def test_records_reproduce_bit_for_bit(tmp_path: Path) -> None:
    verifier = Verifier(make=fake)
    verdicts = [verifier.verify(record) for record in recorded(tmp_path)]
    verifier.close()
    assert {verdict.outcome for verdict in verdicts} == {"exact"}
    assert len({record.success for record in (v.record for v in verdicts)}) == 2
    assert "trajectory" in verdicts[0].detail


@pytest.mark.parametrize("field", ["success", "progress", "steps", "failure", "digest"])
def test_what_was_changed_is_found(tmp_path: Path, field: str) -> None:
    record = next(record for record in recorded(tmp_path) if not record.success)
    wrong = {"success": True, "progress": 0.987, "steps": 1, "failure": "x", "digest": "0" * 16}[field]
    verdict = Verifier(make=fake).verify(dataclasses.replace(record, **{field: wrong}))
    assert verdict.outcome == "different"
    assert f"{field} {wrong!r}, now " in str(verdict)


def test_records_without_a_digest_are_compared_in_what_they_have(tmp_path: Path) -> None:
    record = dataclasses.replace(recorded(tmp_path)[0], digest=None)
    verdict = Verifier(make=fake).verify(record)
    assert verdict.outcome == "same"
    assert "holds no trajectory" in verdict.detail


def test_another_machine_may_end_a_little_apart(tmp_path: Path) -> None:
    record = dataclasses.replace(recorded(tmp_path)[0], distance=0.1)
    near = dataclasses.replace(record, digest="1" * 16, distance=0.1 + 0.9 * TOLERANCE)
    far = dataclasses.replace(near, distance=0.1 + 1.1 * TOLERANCE)
    assert judge(record, near) == ("same", "the same outcome, the end 4.5 mm apart")
    assert judge(record, far)[0] == "different"
    assert judge(record, dataclasses.replace(near, success=not record.success))[0] == "different"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"world": WORLD_VERSION + 1}, "it is of world"),
        ({"weights": "abc"}, "made with weights abc, here are none"),
        ({"demo": "sung"}, "no 'sung' demonstrations here, only matched"),
        ({"policy": "rendom"}, "Did you mean 'random'?"),
        ({"policy": "no_such_module:Agent"}, "cannot import 'no_such_module'"),
        ({"policy": "my_policy_at_4cm"}, "A record made with --name keeps that name alone"),
        ({"policy": "my_policy+200ms"}, "Unknown policy 'my_policy'"),
        ({"policy": "remote", "weights": "at 10.0.0.7:8000"}, "a policy server (at 10.0.0.7:8000)"),
        ({"versions": {"arm": "franka"}}, "recorded on an arm (franka)"),
    ],
    ids=str,
)
def test_what_cannot_be_run_is_skipped_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    verdict = Verifier(make=fake).verify(dataclasses.replace(recorded(tmp_path, 1)[0], **changes))
    assert verdict.skipped
    assert why in verdict.detail


class Weighted(RandomAgent):
    """Has the weights of the folder it is loaded from."""

    def __init__(self, name: str = "shipped") -> None:
        super().__init__()
        self.weights_hash = name

    @classmethod
    def from_pretrained(cls, path: Path | None) -> Weighted:
        return cls(path.name if path else "shipped")


def test_weights_are_found_by_their_hash(tmp_path: Path) -> None:
    (record, *_) = recorded(tmp_path, 1)
    mine = dataclasses.replace(record, policy="test_verify:Weighted", weights="mine")
    assert Verifier(make=fake).verify(mine).skipped
    assert Verifier(tmp_path / "mine", make=fake).verify(mine).exact
    shipped = dataclasses.replace(mine, weights="shipped")
    assert Verifier(tmp_path / "mine", make=fake).verify(shipped).exact


class Unshipped(Weighted):
    """Comes without weights."""

    @classmethod
    def from_pretrained(cls, path: Path | None) -> Unshipped:
        if path is None:
            raise WeightsMissingError("none come with this version (--weights DIR)")
        if path.name == "typo":
            raise WeightsMissingError(f"no weights in {path.name}")
        return cls(path.name)


def test_weights_that_do_not_ship_are_verified_from_their_folder(tmp_path: Path) -> None:
    (record, *_) = recorded(tmp_path, 1)
    record = dataclasses.replace(record, policy="test_verify:Unshipped", weights="mine")
    verdict = Verifier(make=fake).verify(record)
    assert verdict.skipped
    assert "none come with this version" in verdict.detail
    assert Verifier(tmp_path / "mine", make=fake).verify(record).exact
    verdict = Verifier(tmp_path / "other", make=fake).verify(record)
    assert verdict.skipped
    assert "made with weights mine, here are other" in verdict.detail
    verdict = Verifier(tmp_path / "typo", make=fake).verify(record)
    assert verdict.skipped
    assert "no weights in typo" in verdict.detail


class UprightEnv(FakeEnv):
    """With a tool pose that an agent can stay at."""

    def _observe(self) -> dict[str, Any]:
        state = np.float32([0.5, 0, 0.1, 1, 0, 0, 0, 1, 0, 1])
        return {**super()._observe(), "state": state}


def test_late_agents_are_late_again(tmp_path: Path) -> None:
    condition = Condition("push_pull", "random+300ms", "matched", "scene", 0.0, 7, "none", WORLD_VERSION)
    record = run_trial(UprightEnv(), delayed(RandomAgent(), 3), condition, 2)
    verifier = Verifier(make=lambda config, agent: UprightEnv())
    assert verifier.verify(record).exact
    assert verifier.verify(dataclasses.replace(record, policy="random+100ms")).outcome == "different"


def test_records_that_say_too_little_are_skipped_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for policy in ("my_policy", "remote"):
        write_run(tmp_path, "push_pull", policy, "+")
    assert report.main(["--results", str(tmp_path), "--verify"]) == 0
    printed = capsys.readouterr().out
    assert "0 of 0 reproduce, 0 of them bit for bit; 2 could not be run here" in printed
    assert "Traceback" not in printed


def test_reproduced_trials_are_filmed_where_the_site_looks(tmp_path: Path) -> None:
    records = recorded(tmp_path, 2)
    verifier = Verifier(films=tmp_path, make=fake)
    assert verifier.verify(records[0]).exact
    assert not verifier.verify(dataclasses.replace(records[1], success=not records[1].success)).same
    film = imageio.v3.imread(video_path(tmp_path, records[0], 0), plugin="pyav")
    assert len(film) == FakeEnv.horizon
    assert not video_path(tmp_path, records[1], 1).exists()


def test_samples_follow_their_seed(tmp_path: Path) -> None:
    recorded(tmp_path, 6)
    write_run(tmp_path, "push_pull", "vpp", "++", world=WORLD_VERSION)
    board = board_of(tmp_path)
    assert sample(board, 3, 0) == sample(board, 3, 0)
    assert len({record.key() for record in sample(board, 100, 0)}) == 8
    assert {record.policy for record in sample(board, 100, 0, "vpp")} == {"vpp"}
    with pytest.raises(UnknownNameError, match="Did you mean 'vpp'"):
        sample(board, 1, 0, "vp")


def test_the_command_in_the_real_world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from h2r_bench import run

    arguments = ["--task", "push_pull", "--policy", "expert", "--trials", "1", "--out", str(tmp_path)]
    assert run.main(arguments) == 0
    command = ["--results", str(tmp_path), "--verify"]
    capsys.readouterr()
    assert report.main(command) == 0
    assert "1 of 1 reproduce, 1 of them bit for bit" in capsys.readouterr().out
    log = tmp_path / "trials/push_pull/expert.jsonl"
    log.write_text(log.read_text().replace('"success": true', '"success": false'))
    assert report.main(command) == 1
    assert "0 of 1 reproduce" in capsys.readouterr().out
