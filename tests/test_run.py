from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import imageio.v3
import numpy as np
import pytest

from h2r_bench import run
from h2r_bench.cli import BAD_INPUT
from h2r_bench.envs import WORLD_VERSION
from h2r_bench.evaluation.log import TrialLog, log_path
from h2r_bench.evaluation.trial import TrialRecord
from h2r_bench.policies.random_agent import RandomAgent
from h2r_bench.types import AgentError

from fakes import FakeEnv

TASK = "pick_place"


def command(out: Path, *extra: str, policy: str = "random") -> list[str]:
    return ["--task", TASK, "--policy", policy, "--out", str(out), *extra]


def fake(config: run.RunConfig, agent: Any) -> FakeEnv:
    return FakeEnv()


def records_in(out: Path, policy: str = "random") -> list[TrialRecord]:
    lines = (out / "trials" / TASK / f"{policy}.jsonl").read_text().splitlines()
    return [dataclasses.replace(TrialRecord.from_json(line), seconds=0.0) for line in lines]


def test_a_run_writes_records_and_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(command(tmp_path, "--trials", "5"), fake) == 0
    records = records_in(tmp_path)
    assert [record.trial for record in records] == list(range(5))
    assert {(r.task, r.policy, r.demo, r.cue, r.shift_cm, r.seed) for r in records} == {
        (TASK, "random", "matched", "scene", 0.0, 0)
    }
    assert {(r.weights, r.world) for r in records} == {("none", WORLD_VERSION)}
    successes = sum(record.success for record in records)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{TASK}  random  {successes}/5 = {successes / 5:.1%} (95 % interval ")


def test_defaults_are_the_papers_protocol() -> None:
    config = run.RunConfig("a", "b")
    assert (config.trials, config.seed, config.cue, config.shift) == (20, 0, "scene", 0.0)
    assert (config.demo, config.video, config.out) == ("matched", "none", Path("runs"))


def test_the_same_seed_gives_the_same_records(tmp_path: Path) -> None:
    for name, trials in (("long", "5"), ("short", "3"), ("again", "5")):
        run.main(command(tmp_path / name, "--trials", trials, "--seed", "4"), fake)
    long = records_in(tmp_path / "long")
    assert long == records_in(tmp_path / "again")
    assert long[:3] == records_in(tmp_path / "short")
    run.main(command(tmp_path / "other", "--trials", "5", "--seed", "5"), fake)
    assert [r.trial_seed for r in long] != [r.trial_seed for r in records_in(tmp_path / "other")]


def test_a_run_goes_on_after_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = FakeEnv()
    run.main(command(tmp_path, "--trials", "2"), lambda config, agent: env)
    assert run.main(command(tmp_path, "--trials", "4"), lambda config, agent: env) == 0
    assert env.resets == 4
    assert [record.trial for record in records_in(tmp_path)] == [0, 1, 2, 3]
    assert "2 of 4 trials are already in the log" in capsys.readouterr().err
    run.main(command(tmp_path, "--trials", "4"), lambda config, agent: env)
    assert env.resets == 4


@pytest.mark.parametrize(
    "extra", [("--seed", "1"), ("--cue", "video"), ("--shift", "2"), ("--demo", "wrong")], ids=" ".join
)
def test_another_condition_is_another_run(tmp_path: Path, extra: tuple[str, str]) -> None:
    run.main(command(tmp_path, "--trials", "2"), fake)
    run.main(command(tmp_path, "--trials", "2", *extra), fake)
    assert [record.trial for record in records_in(tmp_path)] == [0, 1, 0, 1]


def test_an_agent_may_be_recorded_under_another_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(command(tmp_path, "--trials", "2", "--name", "random-2.v1", "--video", "all"), fake) == 0
    assert {record.policy for record in records_in(tmp_path, "random-2.v1")} == {"random-2.v1"}
    assert capsys.readouterr().out.startswith(f"{TASK}  random-2.v1  ")
    assert (tmp_path / "videos" / TASK / "random-2.v1").is_dir()
    assert not (tmp_path / "trials" / TASK / "random.jsonl").exists()


class Gone(RandomAgent):
    """Cannot even begin every other trial."""

    def reset(self, demonstration: Any, instruction: str, seed: int) -> None:
        Gone.trials = getattr(Gone, "trials", 0) + 1
        if Gone.trials % 2 == 0:
            raise AgentError("it is gone")


def test_a_trial_that_the_agent_cannot_begin_has_failed_and_the_run_goes_on(tmp_path: Path) -> None:
    arguments = command(tmp_path, "--trials", "3", "--video", "all", policy="test_run:Gone")
    assert run.main(arguments, lambda config, agent: FakeEnv(1.0)) == 0
    records = records_in(tmp_path, "test_run.Gone")
    assert [record.failure for record in records] == ["", "it is gone", ""]
    assert [record.success for record in records] == [True, False, True]
    assert len(list((tmp_path / "videos").rglob("*.mp4"))) == 2


class Interrupting(RandomAgent):
    """Presses Ctrl-C in its third trial."""

    trials = 0

    def reset(self, demonstration: Any, instruction: str, seed: int) -> None:
        Interrupting.trials += 1
        if Interrupting.trials == 3:
            raise KeyboardInterrupt


def test_ctrl_c_keeps_finished_trials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Interrupting.trials = 0
    env = FakeEnv()
    arguments = command(tmp_path, "--trials", "5", policy="test_run:Interrupting")
    assert run.main(arguments, lambda config, agent: env) == 130
    assert env.closed
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "2 of 5 trials are kept" in captured.err
    assert "python -m h2r_bench.run --task pick_place" in captured.err
    assert run.main(arguments, fake) == 0
    assert [r.trial for r in records_in(tmp_path, "test_run.Interrupting")] == [0, 1, 2, 3, 4]


class Dreamer(RandomAgent):
    """Imagines each step as a shade; refuses to before it has acted."""

    acted = -1

    def predict(self, *arguments: Any, **options: Any) -> Any:
        self.acted += 1
        return super().predict(*arguments, **options)

    def imagine(self, step: int) -> np.ndarray:
        assert step == self.acted
        return np.full((24, 32, 3), 20 * step, np.uint8)


def test_films_show_what_the_agent_imagined(tmp_path: Path) -> None:
    arguments = command(tmp_path, "--trials", "1", "--video", "all", policy="test_run:Dreamer")
    assert run.main(arguments, fake) == 0
    (path,) = (tmp_path / "videos").rglob("*.mp4")
    frames = imageio.v3.imread(path, plugin="pyav").astype(int)
    assert frames.shape == (FakeEnv.horizon, 24, 96, 3)
    np.testing.assert_allclose(frames[:, 12, 80, 0], 20 * np.arange(FakeEnv.horizon), atol=8)


@pytest.mark.parametrize("which", ["none", "failures", "all"])
def test_videos(tmp_path: Path, which: str) -> None:
    run.main(command(tmp_path, "--trials", "6", "--video", which), fake)
    filmed = {path.name for path in (tmp_path / "videos").rglob("*") if path.is_file()}
    wanted = {
        f"trial_{record.trial:03d}.mp4"
        for record in records_in(tmp_path)
        if which == "all" or (which == "failures" and not record.success)
    }
    assert filmed == wanted
    for path in (tmp_path / "videos").rglob("*.mp4"):
        assert imageio.v3.imread(path, plugin="pyav").shape == (FakeEnv.horizon, 24, 64, 3)


BAD = {
    "truth": (("--policy", "replay", "--demo", "blank"), "--demo blank shows none"),
    "task": (("--task", "pick_plac"), "Did you mean 'pick_place'?"),
    "policy": (("--policy", "rendom"), "Did you mean 'random'?"),
    "module": (("--policy", "no_such_module:Agent"), "no_such_module"),
    "class": (("--policy", "h2r_bench.policies.random_agent:Nobody"), "has no 'Nobody'"),
    "no agent": (("--policy", "pathlib:Path"), "needs the methods reset and predict"),
    "no trials": (("--trials", "0"), "--trials must be at least 1"),
    "seed": (("--seed", "-1"), "--seed must be 0 or more"),
    "shift": (("--shift", "nan"), "--shift must be 0 or more"),
    "name": (("--name", "a/b"), "--name is up to 64 letters"),
    "name of another": (("--name", "h2r"), "that is another agent's name"),
    "missing weights": (("--weights", "/no/such/weights"), "no such file or folder"),
    "needless weights": (("--weights", "/"), "has no weights to load"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    extra, message = BAD[case]
    assert run.main([*command(tmp_path / "out"), *extra], fake) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "extra",
    [("--trials", "many"), ("--cue", "smell"), ("--demo", "x"), ("--video", "x"), ("--nonsense",)],
    ids=" ".join,
)
def test_bad_options_exit_with_2(tmp_path: Path, extra: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        run.main([*command(tmp_path / "out"), *extra], fake)
    assert caught.value.code == 2
    assert not (tmp_path / "out").exists()


def test_out_behind_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert run.main(command(tmp_path / "file" / "out"), fake) == 2
    assert "is in the way" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_out_without_permission(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    assert run.main(command(tmp_path / "out"), fake) == 2
    assert "cannot be written to" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_damaged_log_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.main(command(tmp_path, "--trials", "2"), fake)
    log = tmp_path / "trials" / TASK / "random.jsonl"
    log.write_text("rubbish\n" + log.read_text())
    before = log.read_bytes()
    capsys.readouterr()
    assert run.main(command(tmp_path), fake) == 2
    assert "line 1: not a trial record" in capsys.readouterr().err
    assert log.read_bytes() == before


class BasicOnly(RandomAgent):
    """Never learnt to write."""

    domains = ("basic",)


def test_a_domain_that_the_weights_do_not_know_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(tmp_path / "out", policy="test_run:BasicOnly")
    assert run.main([*arguments, "--task", "writing"], fake) == 2
    assert "no decoder for brand_new" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run.main([*arguments, "--trials", "1"], fake) == 0


class OldWorld(RandomAgent):
    """Trained elsewhere, long ago."""

    world = -1
    weights_hash = "abc"


def test_weights_of_another_world_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.main(command(tmp_path, "--trials", "1", policy="test_run:OldWorld"), fake)
    assert "trained on world version -1" in " ".join(capsys.readouterr().err.split())
    assert records_in(tmp_path, "test_run.OldWorld")[0].weights == "abc"


@pytest.mark.parametrize("kind", ["empty", "damaged"])
def test_h2r_says_what_is_wrong_with_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    if kind == "damaged":
        for name in ("manifest.json", "vpm.safetensors"):
            (weights / name).write_text("rubbish")
    assert run.main(command(tmp_path / "out", "--weights", str(weights), policy="h2r"), fake) == 2
    assert "error: cannot load h2r: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def python_run(out: Path, *extra: str) -> list[str]:
    return [sys.executable, "-m", "h2r_bench.run", *command(out, *extra)]


def test_two_processes_agree_and_are_quiet(tmp_path: Path) -> None:
    for name in ("a", "b"):
        done = subprocess.run(
            python_run(tmp_path / name, "--trials", "2"),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 1
        assert "Error" not in done.stderr
        assert "Warning" not in done.stderr
    assert records_in(tmp_path / "a") == records_in(tmp_path / "b")


def test_ctrl_c_of_a_real_run(tmp_path: Path) -> None:
    process = subprocess.Popen(
        python_run(tmp_path, "--trials", "500"),
        stderr=subprocess.PIPE,
        text=True,
        # Tests in a shell's background may have been told to ignore Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    log = tmp_path / "trials" / TASK / "random.jsonl"
    for _ in range(1200):
        if log.exists() and log.read_bytes().count(b"\n") >= 1:
            break
        with_timeout(process)
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "trials are kept" in stderr
    for line in log.read_text().splitlines():
        json.loads(line)


def with_timeout(process: subprocess.Popen[str]) -> None:
    """Wait a moment; fail when the process ended by itself."""
    try:
        process.wait(0.1)
    except subprocess.TimeoutExpired:
        return
    raise AssertionError(f"ended early with {process.returncode}")


def test_trials_without_images_are_the_same() -> None:
    config = run.RunConfig(task="push_pull", policy="random")
    ends = []
    for needs_images in (True, False):
        agent = RandomAgent()
        agent.needs_images = needs_images
        env = run.make_env(config, agent)
        assert (env.obs_preset == "image") == needs_images
        observation, info = env.reset(seed=5, options={"trial": 0})
        agent.reset(info["demonstration"], info["instruction"], 5)
        for _ in range(15):
            observation, *_ = env.step(agent.predict(observation)[0])
        ends.append(observation["state"])
        env.close()
    np.testing.assert_array_equal(*ends)


def test_two_runs_on_one_folder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = TrialLog(log_path(tmp_path, "push_pull", "random"))
    arguments = ["--task", "push_pull", "--policy", "random", "--trials", "1", "--out", str(tmp_path)]
    with log.only_writer():
        assert run.main(arguments) == BAD_INPUT
    assert "written by another process" in capsys.readouterr().err
    assert log.load() == []
