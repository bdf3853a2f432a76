"""The twin end to end: the real driver, the real network protocol, our world. Needs the extra `real`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2r_bench.envs.rendering import gl
from h2r_bench.real import calibrate
from h2r_bench.real.arms import make_arm
from h2r_bench.real.arms.base import ArmError
from h2r_bench.real.safety.safe_arm import Intervention, SafeArm
from h2r_bench.real.setup import calibrating

pytest.importorskip("franky", reason="franky-control is not installed: pip install 'h2r-bench[real]'")
pytest.importorskip("franky_sim", reason="franky-sim is not installed: pip install 'h2r-bench[real]'")

HIGH = np.array([0.5, 0.0, 0.25])


@pytest.fixture(scope="module")
def arm() -> Iterator[Any]:
    made: Any = make_arm("twin", options={"lockstep": "true"})
    made.connect()
    yield made
    made.close()


@pytest.fixture
def safe(arm: Any) -> Iterator[SafeArm]:
    """The arm behind its limits, high above the table; it stays connected for the next test."""
    made = SafeArm(arm)
    made.connect()
    made.grip(True)
    made.move_to(HIGH, np.zeros(3), speed=0.3)
    yield made
    made.hold()
    made._end_watch()


def test_a_target_is_reached_as_the_kinematics_say(safe: SafeArm, arm: Any) -> None:
    safe.move_to(np.array([0.55, 0.1, 0.2]), np.array([0.0, 0.0, 0.6]), speed=0.3)
    state = safe.read_state()
    np.testing.assert_allclose(state.position, [0.55, 0.1, 0.2], atol=0.006)
    np.testing.assert_allclose(state.rotation, [0.0, 0.0, 0.6], atol=0.03)
    assert state.faults == ()
    # What the driver computes from joint angles is where the simulated tool is.
    safe.clock.sleep_until(safe.clock.now() + 0.5)
    true = arm.twin.trace(safe.clock.now() - 0.01)[-1, 1:4]
    np.testing.assert_allclose(safe.read_state().position, true, atol=1e-4)


def test_the_hand_opens_and_closes(safe: SafeArm) -> None:
    calibrating.grip_and_wait(safe, open_=False)
    calibrating.grip_and_wait(safe, open_=True)


def test_an_arm_left_alone_is_held_in_time_and_short_of_its_target(arm: Any) -> None:
    log: list[Intervention] = []
    safe = SafeArm(arm, log=log.append)
    safe.connect()
    safe.move_to(HIGH, np.zeros(3), speed=0.3)
    for step in range(6):
        safe.act([0.5, 0.03 * step, 0.25, 0.0, 0.0, 0.0, 1.0])
        last_s = safe.clock.now()
        if step < 5:
            safe.clock.sleep_until(last_s + 0.1)
    safe.clock.sleep_until(last_s + 1.0)
    held = next(one for one in log if one.kind == "no_command")
    assert held.time_s - last_s <= 0.2
    rows = arm.twin.trace(last_s)
    assert rows[rows[:, 0] > last_s + 0.4, 4].max() < 0.02
    assert rows[:, 2].max() < 0.15 + 0.005
    safe._end_watch()


def test_a_scene_waits_for_the_arm_to_stand_and_leaves_it_where_it_is(safe: SafeArm, arm: Any) -> None:
    before = safe.read_state().position
    scene = arm.twin.set_scene("pick_place", 7, 0, film=False)
    assert scene.instruction
    assert scene.demonstration.truth is not None
    assert scene.horizon > 40
    np.testing.assert_allclose(safe.read_state().position, before, atol=0.003)
    assert arm.twin.verdict()["is_success"] is False
    with pytest.raises(ValueError, match="Did you mean 'pick_place'"):
        arm.twin.set_scene("pick_plce", 7, 0)
    with pytest.raises(ValueError, match="unknown question"):
        arm.twin.ask("nonsense")
    arm.stream(safe.read_state().position, np.zeros(3))
    with pytest.raises(ValueError, match="stop it"):
        arm.twin.set_scene("pick_place", 8, 0)


@pytest.mark.skipif(gl.configure() in gl.OFF, reason="no OpenGL to draw with")
def test_frames_carry_the_simulated_time_and_can_freeze(arm: Any) -> None:
    first, second = arm.twin.frame(), arm.twin.frame()
    assert first.image.shape == (128, 128, 3)
    assert second.number == first.number + 1
    assert second.time_s >= first.time_s
    arm.twin.break_(camera_frozen=True)
    frozen = arm.twin.frame()
    arm.clock.sleep_until(arm.clock.now() + 0.1)
    assert arm.twin.frame().time_s == frozen.time_s
    arm.twin.break_()


@pytest.mark.slow
@pytest.mark.skipif(gl.configure() in gl.OFF, reason="no OpenGL to draw with")
def test_the_guided_calibration_runs_by_itself(tmp_path: Path) -> None:
    out = tmp_path / "calibration.json"
    options = ["--arm", "twin", "--arm-option", "lockstep=true"]
    assert calibrate.main([*options, "--out", str(out)]) == 0
    mount = json.loads(out.read_text())["fit"]["mount"]
    np.testing.assert_allclose(list(mount.values()), 0.0, atol=0.01)


def test_a_twin_that_is_gone_is_told() -> None:
    lost: Any = make_arm("twin")
    lost.connect()
    lost.kill()
    with pytest.raises(ArmError, match="the twin is gone"):
        lost.clock.now()
    with pytest.raises(ArmError, match="Look at its Desk"):
        lost.read_state()
    lost.close()
