from __future__ import annotations

import os
import pty
import signal
import sys
import termios
import time
from collections.abc import Callable

import numpy as np
import pytest

from h2r_bench.real.arms.base import ArmError
from h2r_bench.real.arms.dry_run import DryArm
from h2r_bench.real.cameras.base import Frame
from h2r_bench.real.safety.emergency_stop import EmergencyStop
from h2r_bench.real.safety.limits import SafetyLimits
from h2r_bench.real.safety.safe_arm import SafeArm
from h2r_bench.real.safety.startup_checks import camera_check, failed, refuse_unless_passed, startup_checks

from arm_fakes import RecordingArm
from bench_fakes import ClockCamera, HandClock


def test_a_ready_arm_passes_every_point() -> None:
    checks = startup_checks(SafeArm(RecordingArm()))
    assert failed(checks) == []
    assert len(checks) == 7


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"position": np.array([0.9, 0.0, 0.2])}, "bring it above the table"),
        ({"rotation": np.array([1.2, 0.0, 0.0])}, "bring it above the table"),
        ({"faults": ("Reflex",)}, "the arm reports Reflex"),
        ({"opening": 7.0}, "home it"),
        ({"lost": True}, "the arm is gone"),
    ],
)
def test_each_point_has_a_remedy(change: dict[str, object], text: str) -> None:
    arm = RecordingArm()
    for name, value in change.items():
        setattr(arm, name, value)
    lines: list[str] = []
    with pytest.raises(ArmError, match=text):
        refuse_unless_passed(startup_checks(SafeArm(arm)), lines.append)
    assert any(line.startswith("NO") for line in lines)


@pytest.mark.parametrize(("rate_hz", "passes"), [(30.0, True), (15.0, True), (10.0, False)])
def test_a_slow_camera_is_told_before_anything_moves(rate_hz: float, passes: bool) -> None:
    class Slow(ClockCamera):
        def latest(self, newer_than: int = -1, timeout_s: float = 0.2) -> Frame:
            self._clock.sleep_until(self._clock.now() + 1.0 / rate_hz)
            return super().latest(newer_than, timeout_s)

    check = camera_check(Slow(HandClock()), SafetyLimits())
    assert check.passed is passes
    assert ("--camera-rate" in check.remedy) is not passes


def test_an_arm_that_moves_by_itself_is_not_ready() -> None:
    arm = RecordingArm()
    read = arm.read_state

    def drifting() -> object:
        arm.position = arm.position + 0.001
        return read()

    arm.read_state = drifting  # type: ignore[method-assign,assignment]
    assert any("close other programs" in line for line in failed(startup_checks(SafeArm(arm))))


def test_a_dry_run_tells_the_arm_nothing() -> None:
    arm = RecordingArm()
    dry = DryArm(arm)
    safe = SafeArm(dry)
    safe.connect()
    arm.clock.sleep_until(1.0)
    assert safe.act([0.48, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0]) == []
    safe.hold()
    assert dry.commands == 1
    assert arm.calls == ["connect"]
    np.testing.assert_allclose(safe.read_state().position, [0.45, 0.0, 0.2])


def test_keys_stop_the_arm_and_others_are_passed_on() -> None:
    reasons: list[str] = []
    keys: list[str] = []
    stop = EmergencyStop(reasons.append, keys.append)
    assert [stop.feed(key) for key in ("x", " ", "\x1b", "y")] == [False, True, True, False]
    assert reasons == ["key", "key"]
    assert keys == ["x", "y"]


@pytest.mark.parametrize(
    ("number", "ends"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit), (signal.SIGHUP, SystemExit)],
)
def test_signals_stop_the_arm_before_anything_else(number: signal.Signals, ends: type[BaseException]) -> None:
    reasons: list[str] = []
    before = signal.getsignal(number)
    with EmergencyStop(reasons.append), pytest.raises(ends):
        signal.raise_signal(number)
    assert reasons == [number.name]
    assert signal.getsignal(number) is before


def test_a_stop_that_fails_leaves_the_other_keys_and_signals_in_force() -> None:
    reasons: list[str] = []

    def refused(reason: str) -> None:
        reasons.append(reason)
        raise OSError("the driver is gone")

    stop = EmergencyStop(refused)
    assert stop.feed(" ")
    assert stop.feed(" ")
    with EmergencyStop(refused), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert reasons == ["key", "key", "SIGINT"]


def test_keys_are_heard_after_a_stop_that_failed_and_a_lost_terminal_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = pty.openpty()
    reasons: list[str] = []

    def refused(reason: str) -> None:
        reasons.append(reason)
        raise OSError("the driver is gone")

    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        with EmergencyStop(refused):
            wait_for(lambda: not termios.tcgetattr(terminal)[3] & termios.ICANON)  # keys come one by one now
            for count in (1, 2):
                os.write(ours, b" ")
                wait_for(lambda count=count: len(reasons) == count)
            os.close(ours)
            wait_for(lambda: len(reasons) == 3)
    assert reasons == ["key", "key", "the terminal has gone"]


def wait_for(happened: Callable[[], bool]) -> None:
    for _ in range(500):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")
