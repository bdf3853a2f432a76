from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajectories import EVERY, NOISE, OPENING_TOLERANCE, POSITION_TOLERANCE, Path, shaken

seeds = st.integers(0, 2**32 - 1)


def states(seed: int, steps: int = 90) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (steps, 10)).astype(np.float32)


@given(seeds)
def test_the_same_path_has_the_same_hash_and_survives_json(seed: int) -> None:
    path = Path.of(states(seed))
    assert path == Path.of(states(seed))
    assert Path(**json.loads(json.dumps(asdict(path)))) == path


@given(seeds, st.floats(0.0, 1e-3))
def test_noise_passes(seed: int, size: float) -> None:
    golden = states(seed)
    noise = np.random.default_rng(seed + 1).uniform(-size, size, golden.shape)
    assert Path.of(golden + noise).difference(Path.of(golden)) == ""


@given(seeds, st.integers(0, 4), st.integers(0, 2))
def test_leaving_the_path_is_noticed(seed: int, waypoint: int, axis: int) -> None:
    golden = states(seed)
    other = golden.copy()
    other[waypoint * EVERY, axis] += 1.5 * POSITION_TOLERANCE
    assert f"at waypoint {waypoint}: 3.0 mm" in Path.of(other).difference(Path.of(golden))


@given(seeds)
def test_a_gripper_that_does_otherwise_is_noticed(seed: int) -> None:
    golden = states(seed)
    other = golden.copy()
    other[-1, 9] += 2 * OPENING_TOLERANCE
    assert "opening off by +0.10" in Path.of(other).difference(Path.of(golden))


@pytest.mark.parametrize("steps", [1, EVERY, EVERY + 1, 3 * EVERY])
def test_first_and_last_state_are_waypoints(steps: int) -> None:
    path = states(0, steps)
    waypoints = Path.of(path).waypoints
    np.testing.assert_allclose([waypoints[0][:3], waypoints[-1][:3]], [path[0, :3], path[-1, :3]], atol=1e-4)


def test_a_path_that_ends_early_is_noticed() -> None:
    assert Path.of(states(0, 61)).difference(Path.of(states(0, 90))) == "after 4 waypoints: it ends"


@given(seeds, st.integers(0, 4))
def test_only_steady_waypoints_count(seed: int, waypoint: int) -> None:
    golden, other = states(seed), states(seed)
    other[waypoint * EVERY :, 0] += 2 * POSITION_TOLERANCE
    assert Path.of(other).steady(Path.of(golden)) == waypoint
    assert Path.of(other).difference(Path.of(golden).up_to(waypoint)) == ""
    assert Path.of(other).difference(Path.of(golden).up_to(waypoint + 1)) != ""


def test_shaking_is_small_and_not_nothing() -> None:
    action = np.ones(7, np.float32)
    noise = np.abs(shaken(action, np.random.default_rng(0)) - action)
    assert 0 < noise.max() < 2 * NOISE


def test_the_hash_sees_every_step() -> None:
    golden, other = states(0), states(0)
    other[EVERY // 2, 0] += 0.01
    assert Path.of(other).digest != Path.of(golden).digest
