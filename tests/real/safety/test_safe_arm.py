from __future__ import annotations

import json

import numpy as np
import pytest

from h2r_bench.real.arms.base import ArmError, Commanded
from h2r_bench.real.safety.safe_arm import Intervention, Log, SafeArm, SafetyLimits
from h2r_bench.types import FloatArray

from arm_fakes import RecordingArm

HOME = np.array([0.45, 0.0, 0.2, 0.0, 0.0, 0.0, 1.0])


def quiet(arm: RecordingArm, limits: SafetyLimits | None = None, log: Log | None = None) -> SafeArm:
    """The clock is turned by hand, so the watchdog sees what the test sees."""
    safe = SafeArm(arm, limits, log=log)
    safe.connect()
    arm.clock.sleep_until(1.0)
    return safe


def kinds(found: list[Intervention]) -> list[str]:
    return [one.kind for one in found]


def at(x: float = 0.45, y: float = 0.0, z: float = 0.2, grip: float = 1.0) -> np.ndarray:
    return np.array([x, y, z, 0.0, 0.0, 0.0, grip])


def test_a_modest_action_reaches_the_arm_unchanged() -> None:
    arm = RecordingArm()
    assert quiet(arm).act(at(x=0.48)) == []
    np.testing.assert_allclose(arm.streamed[-1].position, [0.48, 0.0, 0.2])


def test_what_is_changed_is_logged_with_both_versions() -> None:
    arm, log = RecordingArm(), list[Intervention]()
    found = quiet(arm, log=log.append).act(at(z=-1.0))
    assert "table" in kinds(found)
    assert found == log
    record = json.loads(json.dumps(found[0].describe()))
    assert record["wanted"][2] == -1.0
    assert record["commanded"][2] == pytest.approx(0.15)


def test_an_action_that_is_no_number_moves_nothing_and_can_be_logged() -> None:
    arm, log = RecordingArm(), list[Intervention]()
    safe = quiet(arm, log=log.append)
    assert kinds(safe.act([np.nan] * 7)) == ["not_finite"]
    assert kinds(safe.act("up")) == ["not_finite"]
    assert arm.streamed == []
    assert json.loads(json.dumps(log[0].describe()))["wanted"] == ["nan"] * 7


def test_nothing_moves_before_the_first_frame_or_on_a_stale_one() -> None:
    arm = RecordingArm()
    safe = quiet(arm)
    safe.begin()
    assert kinds(safe.act(HOME)) == ["no_frame"]
    safe.frame_arrived(arm.clock.now())
    assert safe.act(HOME) == []
    arm.clock.sleep_until(arm.clock.now() + 0.25)
    assert kinds(safe.act(HOME)) == ["no_frame"]
    assert arm.calls[-1] == "stop"
    safe.end()
    assert safe.act(HOME) == []


def test_the_gripper_is_told_once_with_the_limited_force() -> None:
    arm = RecordingArm()
    safe = quiet(arm, SafetyLimits(grip_force=12.0))
    for _ in range(4):
        safe.act(at(grip=0.0))
        arm.clock.sleep_until(arm.clock.now() + 0.1)
    assert arm.calls.count("close_gripper") == 1
    assert arm.forces == [12.0]


def test_a_hold_does_not_open_a_gripper_that_holds_something_wide() -> None:
    arm = RecordingArm()
    safe = quiet(arm)
    safe.act(at(grip=0.0))
    arm.opening = 0.7  # something 56 mm wide is between the fingers
    safe.hold()
    arm.clock.sleep_until(2.0)
    safe.act(at(grip=0.5))
    assert "open" not in arm.calls


def test_after_a_hold_the_target_starts_from_where_the_arm_is() -> None:
    arm = RecordingArm(share=0.0)
    safe = quiet(arm)
    safe.act(at(x=0.49))
    safe.hold()
    arm.position = np.array([0.40, 0.0, 0.2])
    arm.clock.sleep_until(2.0)
    safe.act(at(x=0.49))
    assert arm.streamed[-1].position[0] <= 0.45 + 1e-6


def test_a_faulty_arm_is_held() -> None:
    arm = RecordingArm()
    safe = quiet(arm)
    safe.act(HOME)
    arm.faults = ("collision",)
    arm.clock.sleep_until(2.0)
    assert kinds(safe.act(HOME)) == ["fault"]
    assert arm.calls[-1] == "stop"


def test_an_emergency_stop_refuses_everything_until_released() -> None:
    arm, log = RecordingArm(), list[Intervention]()
    safe = quiet(arm, log=log.append)
    safe.act(HOME)
    safe.emergency_stop("key")
    safe.emergency_stop("key")
    assert arm.calls[-1] == "stop"
    assert [one.detail for one in log if one.kind == "emergency_stop"] == ["key"]
    arm.clock.sleep_until(2.0)
    assert kinds(safe.act(HOME)) == ["stopped"]
    with pytest.raises(ArmError, match="release"):
        safe.grip(True)
    streamed = len(arm.streamed)
    safe.release()
    assert safe.act(HOME) == []
    assert len(arm.streamed) == streamed + 1


def test_an_emergency_stop_that_comes_while_a_command_is_given_wins() -> None:
    arm = RecordingArm()
    safe = quiet(arm)
    stream = arm.stream

    def stopped_meanwhile(position: FloatArray, rotation: FloatArray) -> Commanded:
        told = stream(position, rotation)
        safe._stopped = True
        return told

    arm.stream = stopped_meanwhile  # type: ignore[method-assign]
    safe.act(HOME)
    assert arm.calls[-2:] == ["stream", "stop"]


def test_a_hold_that_comes_while_a_command_is_given_wins() -> None:
    arm = RecordingArm()
    safe = quiet(arm)
    stream = arm.stream

    def held_meanwhile(position: FloatArray, rotation: FloatArray) -> Commanded:
        arm.stream = stream  # type: ignore[method-assign]
        safe.hold()  # the watchdog, which waits only so long for the lock
        return stream(position, rotation)

    arm.stream = held_meanwhile  # type: ignore[method-assign]
    safe.act(HOME)
    assert arm.calls[-3:] == ["stop", "stream", "stop"]
    arm.clock.sleep_until(2.0)
    safe.act(HOME)
    assert arm.calls[-1] == "stream"


def test_move_to_goes_slowly_and_arrives() -> None:
    arm = RecordingArm()
    safe = quiet(arm)
    start = arm.clock.now()
    safe.move_to(np.array([0.6, 0.1, 0.3]), np.array([0.0, 0.0, 0.5]), speed=0.1)
    assert np.linalg.norm(arm.position - [0.6, 0.1, 0.3]) < 0.006
    assert arm.clock.now() - start >= 2.0
    steps = np.diff([one.position for one in arm.streamed], axis=0)
    assert np.linalg.norm(steps, axis=1).max() <= 0.0101


def test_move_to_says_when_it_does_not_arrive() -> None:
    stuck = RecordingArm(share=0.0)
    with pytest.raises(ArmError, match="did not reach"):
        quiet(stuck).move_to(np.array([0.6, 0.1, 0.3]), np.zeros(3), timeout_s=3.0)
    faulty = RecordingArm()
    faulty.faults = ("joint limit",)
    with pytest.raises(ArmError, match="barred: fault"):
        quiet(faulty).move_to(np.array([0.6, 0.1, 0.3]), np.zeros(3))


def test_looser_limits_are_told_to_the_log() -> None:
    log: list[Intervention] = []
    safe = SafeArm(RecordingArm(), SafetyLimits(grip_force=60.0, loosen=True), log=log.append)
    safe.connect()
    safe.close()
    assert [(one.kind, one.detail) for one in log] == [("loosened", "grip_force")]


def test_closing_holds_lets_go_and_is_idempotent() -> None:
    arm = RecordingArm()
    safe = SafeArm(arm)
    safe.connect()
    safe.close()
    safe.close()
    assert arm.calls == ["connect", "stop", "close"]


def watch(safe: SafeArm, until_s: float) -> None:
    """Let time pass as the watchdog's thread would see it."""
    while (due := safe.look()) <= until_s:
        safe.clock.sleep_until(due)
    safe.clock.sleep_until(until_s)


@pytest.mark.parametrize(("silent", "kind"), [("agent", "no_command"), ("camera", "no_frame")])
def test_the_watchdog_holds_before_the_time_is_up(silent: str, kind: str) -> None:
    arm, log = RecordingArm(), list[Intervention]()
    safe = quiet(arm, log=log.append)
    safe.begin()
    for step in range(40):
        now = arm.clock.now()
        if silent != "camera" or step < 20:
            safe.frame_arrived(now)
        if (silent != "agent" or step < 20) and step % 2 == 0:
            safe.act(HOME)
        watch(safe, now + 0.05)
    assert log[0].kind == kind
    last = 1.0 + (0.05 * 19 if silent == "camera" else 0.05 * 18)
    held = log[0].time_s - last
    assert 0.15 < held <= 0.2
    assert arm.calls.count("stop") == 2 if silent == "agent" else "stop" in arm.calls


def test_a_camera_that_stops_is_noticed_while_actions_go_on() -> None:
    arm, log = RecordingArm(), list[Intervention]()
    safe = quiet(arm, log=log.append)
    last = 1.45
    safe.begin(newest_frame=lambda: min(np.floor(arm.clock.now() * 30.0) / 30.0, last))
    for step in range(10):
        safe.frame_arrived(arm.clock.now() if arm.clock.now() <= last else last)
        found = safe.act(at(x=0.45 + 0.01 * step))
        watch(safe, arm.clock.now() + 0.1)
        if arm.clock.now() < last + 0.1:
            assert found == []
            assert log == []
    assert {one.kind for one in log} == {"no_frame"}
    assert 0.09 < log[0].time_s - last <= 0.11
    assert arm.calls[-1] == "stop"


def test_the_watchdog_leaves_a_steady_session_alone() -> None:
    arm, log = RecordingArm(), list[Intervention]()
    safe = quiet(arm, log=log.append)
    safe.begin()
    for _ in range(30):
        safe.frame_arrived(arm.clock.now() - 0.03)
        safe.act(HOME)
        watch(safe, arm.clock.now() + 0.1)
    assert log == []


class StiffArm(RecordingArm):
    """Reaches every place, but only ever with the gripper straight."""

    def stream(self, position: FloatArray, rotation: FloatArray) -> Commanded:
        return super().stream(position, np.zeros(3))


def test_a_rotation_out_of_reach_is_logged_and_not_built_upon() -> None:
    arm, log = StiffArm(), list[Intervention]()
    safe = quiet(arm, log=log.append)
    for step in range(1, 4):
        assert "unreachable" not in kinds(safe.act([0.45, 0.0, 0.2, 0.0, 0.0, 0.09, 1.0]))
        arm.clock.sleep_until(1.0 + 0.1 * step)
    assert "unreachable" in kinds(safe.act([0.45, 0.0, 0.2, 0.0, 0.0, 0.2, 1.0]))
    assert log[-1].commanded is not None
    assert log[-1].commanded[5] == 0.0


class ShortArm(RecordingArm):
    """Stays where it is when told to go further than 20 cm to its left."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[FloatArray] = []
        self.taken: list[FloatArray] = []

    def stream(self, position: FloatArray, rotation: FloatArray) -> Commanded:
        told = super().stream(position, rotation) if position[1] <= 0.2 else None
        self.asked.append(position.copy())
        self.taken.append(self.position.copy())
        return told or Commanded(self.clock.now(), self.position.copy(), self.rotation.copy(), True)


def test_after_a_place_out_of_reach_no_command_is_further_than_a_step_from_either() -> None:
    arm, log = ShortArm(), list[Intervention]()
    safe = quiet(arm, log=log.append)
    for step in range(16):
        found = safe.act(at(y=0.3 if step < 8 else -0.3))
        assert all(one.commanded is not None for one in found)
        arm.clock.sleep_until(arm.clock.now() + 0.1)
    assert [one.kind for one in log].count("unreachable") >= 3
    asked, taken = np.array(arm.asked), np.array(arm.taken)
    longest = max(np.linalg.norm(asked[1:] - before[:-1], axis=1).max() for before in (asked, taken))
    assert longest <= safe.limits.max_step + 1e-6
    assert taken[-1, 1] < 0.0
