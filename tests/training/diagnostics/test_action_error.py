"""How far decoded chunks are off: the measure itself, and its command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2r_bench import train
from h2r_bench.training.diagnostics.action_error import compare, errors_of, open_agent

from episodes import make_episode
from tiny_agents import MAKERS

CHUNK = 4


def chunks(count: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    made: np.ndarray = rng.uniform(-1, 1, (count, CHUNK, 7)).astype(np.float32)
    made[..., 6] = rng.integers(2, size=(count, CHUNK))
    return made


def test_what_is_the_same_is_off_by_nothing() -> None:
    errors = compare(chunks(5), chunks(5))
    assert errors.position_mm == 0.0
    assert errors.rotation_deg < 1e-3
    assert errors.gripper == 1.0
    assert errors.chunks == 5


@given(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
@settings(deadline=None)
def test_a_shift_is_found_in_millimetres(x: float, y: float, z: float) -> None:
    wanted = chunks(3)
    made = wanted + np.float32([x, y, z, 0, 0, 0, 0])
    errors = compare(made, wanted)
    np.testing.assert_allclose(errors.axes_mm, np.abs([1e3 * x, 1e3 * y, 1e3 * z]), atol=1e-3)
    np.testing.assert_allclose(errors.position_mm, 1e3 * np.linalg.norm([x, y, z]), atol=1e-3)


def test_late_errors_do_not_count_in_the_first_half() -> None:
    wanted = chunks(3)
    made = wanted.copy()
    made[:, CHUNK // 2 :, 0] += 0.05
    errors = compare(made, wanted)
    assert errors.first_mm == 0.0
    assert errors.position_mm > 0.0


def test_turns_and_the_gripper() -> None:
    wanted = chunks(3)
    wanted[..., 3:6] = 0.0
    made = wanted.copy()
    made[..., 5] = np.radians(20.0)
    made[0, :, 6] = 1.0 - made[0, :, 6]
    errors = compare(made, wanted)
    assert errors.rotation_deg == pytest.approx(20.0, abs=1e-3)
    assert errors.gripper == pytest.approx(2 / 3)


def run(*words: object) -> int:
    return train.main([str(word) for word in words])


@pytest.fixture
def weights(tmp_path: Path) -> Callable[[str], Path]:
    return lambda policy: MAKERS[policy](tmp_path / policy)


@pytest.mark.parametrize("policy", sorted(MAKERS))
def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], weights: Callable[[str], Path], policy: str
) -> None:
    common = ("errors", "--policy", policy, "--weights", weights(policy))
    common += ("--episodes", 1, "--moments", 3, "--tasks", "push_pull")
    assert run(*common, "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "errors.json").read_text())["push_pull"]
    assert record["chunks"] == 3
    assert record["position_mm"] > 0.0
    assert f"{record['position_mm']:.1f} mm" in printed
    assert run(*common) == 0
    assert capsys.readouterr().out == printed


def test_chunks_are_those_of_trials_and_compared_from_their_moment_on(weights: Callable[[str], Path]) -> None:
    agent, episode = open_agent("diffusion_policy", weights("diffusion_policy")), make_episode(3)
    asked: list[int] = []

    def knows(observation: dict[str, np.ndarray], step: int) -> np.ndarray:
        np.testing.assert_array_equal(observation["image"], episode.robot[step])
        np.testing.assert_array_equal(observation["human_clip"][0], episode.human[step])
        asked.append(step)
        return episode.action[np.minimum(step + np.arange(agent.chunk), len(episode) - 1)]

    agent.plan = knows  # type: ignore[method-assign, assignment]
    errors = errors_of(agent, [episode, episode], 4, "basic", 0)
    assert (errors.position_mm, errors.gripper, errors.chunks) == (0.0, 1.0, 8)
    assert asked[0] == 0
    assert asked[:4] == asked[4:] == sorted(set(asked))


def test_what_cannot_be_measured_is_refused(
    capsys: pytest.CaptureFixture[str], weights: Callable[[str], Path]
) -> None:
    assert run("errors", "--weights", weights("h2r"), "--tasks", "writing_play") == 2
    assert "know the domain basic, not 'writing'" in capsys.readouterr().err
    assert run("errors", "--policy", "expert") == 2
    assert "expert predicts no chunks" in capsys.readouterr().err
