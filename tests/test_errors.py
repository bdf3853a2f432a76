"""How far decoded chunks are off: the measure itself, and its command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_agents import decoder_agent

from h2r_bench import train
from h2r_bench.training.errors import compare

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
    assert errors.clips == 5


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


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = decoder_agent("vpm", tmp_path / "weights")
    common = ("errors", "--weights", weights, "--episodes", 1, "--clips", 3, "--tasks", "push_pull")
    assert run(*common, "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "errors.json").read_text())["push_pull"]
    assert record["clips"] == 3
    assert record["position_mm"] > 0.0
    assert f"{record['position_mm']:.1f} mm" in printed
    assert run(*common) == 0
    assert capsys.readouterr().out == printed


def test_weights_for_another_domain_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = decoder_agent("vpm", tmp_path / "weights")
    assert run("errors", "--weights", weights, "--tasks", "writing_play") == 2
    assert "has decoders for basic, none for writing" in capsys.readouterr().err
