from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2r_bench.motion import ToolPose
from h2r_bench.real.safety.guard import Guard, turn_between, upright
from h2r_bench.real.safety.limits import LimitsError, SafetyLimits
from h2r_bench.types import FloatArray, MotionLimits

START = ToolPose.at(0.45, 0.0, 0.2)


def fresh(limits: SafetyLimits | None = None) -> Guard:
    guard = Guard(limits or SafetyLimits())
    guard.anchor(START, open_=True)
    return guard


def action(
    x: float = 0.45,
    y: float = 0.0,
    z: float = 0.2,
    turn: Sequence[float] = (0.0, 0.0, 0.0),
    grip: float = 1.0,
) -> FloatArray:
    return np.array([x, y, z, *turn, grip])


def test_a_modest_action_passes_as_it_is() -> None:
    decision = fresh().decide(action(x=0.48, turn=(0.0, 0.0, 0.1)), 0.1, START.position)
    assert decision.active_limits == ()
    assert decision.pose is not None
    np.testing.assert_allclose(decision.pose.position, [0.48, 0.0, 0.2])
    np.testing.assert_allclose(decision.pose.rotvec, [0.0, 0.0, 0.1])
    assert decision.gripper_open is None


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (action(x=np.nan), "not_finite"),
        (action(grip=np.inf), "not_finite"),
        (action(x=1e300), "not_finite"),
        (np.zeros(6), "not_finite"),
        ("north", "not_finite"),
        (None, "not_finite"),
    ],
)
def test_what_is_no_action_is_refused(bad: Any, kind: str) -> None:
    decision = fresh().decide(bad, 0.1, START.position)
    assert decision.pose is None
    assert decision.active_limits == (kind,)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (action(z=-0.1), "table"),
        (action(y=2.0), "workspace"),
        (action(x=0.7), "speed"),
        (action(turn=(1.2, 0.0, 0.0)), "tilt"),
        (action(turn=(0.0, 0.0, 3.0)), "yaw"),
        (action(turn=(0.0, 0.0, 1.0)), "rotation_speed"),
    ],
)
def test_each_limit_says_its_name(wanted: FloatArray, name: str) -> None:
    assert name in fresh().decide(wanted, 0.1, START.position).active_limits


def test_faster_commands_than_allowed_are_refused() -> None:
    guard = fresh()
    assert guard.decide(action(), 1.0, START.position).active_limits == ()
    assert guard.decide(action(), 1.0001, START.position).active_limits == ("rate",)
    assert guard.decide(action(), 1.06, START.position).active_limits == ()


def test_a_reversal_at_full_speed_stands_still_first() -> None:
    guard = fresh()
    guard.decide(action(x=0.50), 1.0, START.position)
    decision = guard.decide(action(x=0.40), 1.1, np.array([0.5, 0.0, 0.2]))
    assert "acceleration" in decision.active_limits
    assert decision.pose is not None
    assert decision.pose.position[0] >= 0.49 - 1e-6


def test_a_blocked_arm_is_not_pushed_on() -> None:
    guard, leads = fresh(), []
    for step in range(20):
        decision = guard.decide(action(x=0.45, y=0.3), 1 + step / 10, START.position)
        assert decision.pose is not None
        leads.append(float(np.linalg.norm(decision.pose.position - START.position)))
    assert "lead" in decision.active_limits
    assert max(leads) <= guard.limits.max_lead + 1e-6


def test_the_target_may_come_back_to_an_arm_that_lags() -> None:
    guard = fresh()
    far = START.position - [0.0, 0.3, 0.0]
    decision = guard.decide(action(y=-0.04), 1.0, far)
    assert "lead" not in decision.active_limits


def test_the_gripper_is_not_rattled() -> None:
    guard = fresh()
    told = [
        guard.decide(action(grip=float(step % 2)), 1 + step / 10, START.position).gripper_open
        for step in range(12)
    ]
    changes = [when for when, value in enumerate(told) if value is not None]
    assert changes
    assert min(np.diff(changes)) >= 3


def test_from_outside_nothing_is_commanded() -> None:
    guard = Guard(SafetyLimits())
    guard.anchor(ToolPose.at(0.9, 0.0, 0.2), open_=True)
    assert guard.decide(action(), 1.0, START.position).active_limits == ("outside_workspace",)
    guard.anchor(ToolPose.at(0.745, 0.0, 0.2), open_=True)
    assert guard.decide(action(x=0.74), 2.0, START.position).pose is not None


def shorter(before: ToolPose, asked: ToolPose, share: float) -> ToolPose:
    """What an arm takes that comes only a share of the way."""
    return ToolPose(
        before.position + share * (asked.position - before.position),
        before.rotvec + share * (asked.rotvec - before.rotvec),
    )


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("seconds", [0.05, 0.0999, 0.1])
@pytest.mark.parametrize("far", [action(x=0.7), action(y=-0.3), action(x=0.3, z=0.4, turn=(0.0, 0.0, -1.0))])
def test_after_a_pose_out_of_reach_a_step_is_short_from_both(
    far: FloatArray, seconds: float, share: float
) -> None:
    guard, now = fresh(), 1.0
    asked = guard.decide(action(y=0.3, turn=(0.0, 0.0, 1.0)), now, START.position).pose
    assert asked is not None
    taken = shorter(START, asked, share)
    guard.record_commanded(taken)
    for _ in range(4):
        now += seconds
        following = guard.decide(far, now, taken.position).pose
        assert following is not None
        for before in (asked, taken):
            assert_allowed(guard.limits, before, following, seconds)
        asked, taken = following, shorter(taken, following, share)
        guard.record_commanded(taken)


def test_a_target_stays_where_the_arm_could_go_and_reverses_from_there() -> None:
    guard = fresh()
    for step in range(5):  # pushed outwards, the arm does not follow
        assert guard.decide(action(y=0.3), 1 + step / 10, START.position).pose is not None
        guard.record_commanded(START)
    back = guard.decide(action(y=-0.3), 1.5, START.position).pose
    assert back is not None
    assert back.position[1] == pytest.approx(0.0, abs=1e-6)  # 5 cm from what was asked for
    further = guard.decide(action(y=-0.3), 1.6, START.position).pose
    assert further is not None
    assert further.position[1] == pytest.approx(-0.05)


def test_a_pose_taken_just_outside_the_limits_does_not_end_the_motion() -> None:
    low, _ = SafetyLimits().box
    guard = Guard(SafetyLimits())
    guard.anchor(ToolPose(np.array([0.45, 0.0, low[2]]), np.array([0.8, 0.0, 0.0])), open_=True)
    asked = guard.decide(action(x=0.46, z=-1.0, turn=(0.8, 0.0, 0.0)), 1.0, START.position).pose
    assert asked is not None
    guard.record_commanded(ToolPose(asked.position - [0.0, 0.0, 0.003], np.array([0.81, 0.0, 0.0])))
    decision = guard.decide(action(x=0.47, z=-1.0, turn=(0.8, 0.0, 0.0)), 1.1, asked.position)
    assert decision.pose is not None
    np.testing.assert_allclose(decision.pose.position, [0.47, 0.0, low[2]])
    np.testing.assert_allclose(decision.pose.rotvec, [0.8, 0.0, 0.0], atol=1e-6)


def test_nothing_is_commanded_where_no_pose_is_near_to_the_last_two() -> None:
    guard = fresh()
    assert guard.decide(action(y=0.3), 1.0, START.position).pose is not None
    guard.record_commanded(ToolPose.at(0.45, -0.2, 0.2))
    assert guard.decide(action(), 1.1, START.position).active_limits == ("unreachable",)
    guard.record_commanded(ToolPose(np.full(3, np.nan), np.zeros(3)))
    assert guard.decide(action(), 1.2, START.position).active_limits == ("unreachable",)


def test_looser_limits_must_be_asked_for_and_are_named() -> None:
    fast = MotionLimits(max_speed=1.0)
    with pytest.raises(LimitsError, match="max_speed"):
        SafetyLimits(motion=fast)
    with pytest.raises(LimitsError, match="min_interval_s"):
        SafetyLimits(min_interval_s=0.0)
    with pytest.raises(LimitsError, match="workspace_low"):
        SafetyLimits(motion=MotionLimits(workspace_low=(0.1, -0.36, 0.004)))
    loose = SafetyLimits(motion=fast, grip_force=50.0, loosen=True)
    assert set(loose.loosened()) == {"max_speed", "grip_force"}
    assert set(json.loads(json.dumps(loose.describe()))["loosened"]) == {"max_speed", "grip_force"}
    assert SafetyLimits(max_step=0.01, motion=MotionLimits(max_speed=0.1)).loosened() == ()


@pytest.mark.parametrize(
    "wrong", [{"max_step": np.nan}, {"max_acceleration": -1.0}, {"braking_s": 0.2}, {"table_height": 0.5}]
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(LimitsError):
        SafetyLimits(**wrong)


wild = st.one_of(
    st.floats(-1e3, 1e3),
    st.floats(-1.0, 1.0),
    st.sampled_from([np.nan, np.inf, -np.inf, 1e300, 0.45, 0.2, 0.004, 3.14159]),
)
steps = st.lists(
    st.tuples(st.lists(wild, min_size=7, max_size=7), st.floats(0.0, 0.3), st.floats(0.0, 1.0)),
    min_size=1,
    max_size=20,
)


def assert_allowed(limits: SafetyLimits, before: ToolPose, after: ToolPose, seconds: float) -> float:
    """The invariant of every command; returns the speed [m/s]."""
    low, high = limits.box
    assert (after.position >= low - 1e-6).all()
    assert (after.position <= high + 1e-6).all()
    assert upright(after.rotvec, limits.motion)
    distance = float(np.linalg.norm(after.position - before.position))
    assert distance <= min(limits.motion.max_speed * seconds, limits.max_step) + 1e-6
    turn = turn_between(before.rotvec, after.rotvec)
    assert turn <= min(limits.motion.max_rotation_speed * seconds, limits.max_rotation_step) + 1e-5
    return distance / seconds


@settings(max_examples=120)
@given(steps)
def test_no_sequence_of_actions_leads_outside_the_limits(sequence: list[Any]) -> None:
    limits = SafetyLimits()
    guard, now, last_s = fresh(limits), 10.0, -np.inf
    before, velocity, measured = START, np.zeros(3), START.position
    for wanted, pause, follow in sequence:
        now += pause
        decision = guard.decide(np.array(wanted), now, measured)
        if decision.pose is None:
            assert decision.active_limits
            continue
        assert now - last_s >= limits.min_interval_s
        seconds = min(now - last_s, 0.1)
        assert_allowed(limits, before, decision.pose, seconds)
        moved = (decision.pose.position - before.position) / seconds
        change = float(np.linalg.norm(moved - velocity))
        assert change <= limits.max_acceleration * seconds + 1e-4 or np.linalg.norm(moved) < 1e-4
        before, velocity, last_s = decision.pose, moved, now
        measured = measured + follow * (before.position - measured)


followed = st.lists(
    st.tuples(
        st.lists(st.floats(-1.0, 1.0), min_size=7, max_size=7),
        st.floats(0.05, 0.3),
        st.floats(0.0, 1.0),
        st.lists(st.floats(-0.004, 0.004), min_size=6, max_size=6),
    ),
    min_size=2,
    max_size=15,
)


@settings(max_examples=120)
@given(followed)
def test_no_step_is_too_long_whatever_the_arm_makes_of_the_targets(sequence: list[Any]) -> None:
    limits = SafetyLimits()
    guard, now, last_s = fresh(limits), 10.0, -np.inf
    asked = taken = START
    for wanted, pause, share, miss in sequence:
        now += pause
        decision = guard.decide(np.array(wanted), now, taken.position)
        if decision.pose is None:
            assert decision.active_limits in {("unreachable",), ("rate",)}
            continue
        for before in (asked, taken):
            assert_allowed(limits, before, decision.pose, min(now - last_s, 0.1))
        asked, taken, last_s = decision.pose, shorter(taken, decision.pose, share), now
        taken = ToolPose(taken.position + miss[:3], taken.rotvec + miss[3:])
        guard.record_commanded(taken)


@given(st.floats(0.05, 0.5), st.floats(0.01, 0.05))
def test_stricter_limits_hold_as_strictly(speed: float, step: float) -> None:
    motion = dataclasses.replace(SafetyLimits().motion, max_speed=speed)
    limits = SafetyLimits(motion=motion, max_step=step)
    decision = fresh(limits).decide(action(x=0.7, y=0.3, z=0.4), 5.0, START.position)
    assert decision.pose is not None
    assert_allowed(limits, START, decision.pose, 0.1)
