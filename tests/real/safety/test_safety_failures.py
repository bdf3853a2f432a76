"""What the safety layer does when something it rests on fails, with its watchdog's own thread and clock."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from h2r_bench.real.arms.base import ArmError, ArmState, Commanded, MonotonicClock
from h2r_bench.real.safety.safe_arm import Intervention, SafeArm
from h2r_bench.real.safety.stopper import Stopper
from h2r_bench.types import FloatArray

from arm_fakes import RecordingArm

HOME = np.array([0.45, 0.0, 0.2, 0.0, 0.0, 0.0, 1.0])


class FailingArm(RecordingArm):
    """On this computer's clock; `stop` does what `stopping` does, after it was written down."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = MonotonicClock()  # type: ignore[assignment]
        self.times: list[tuple[str, float]] = []
        self.stopping: Callable[[], None] = lambda: None
        self.streaming: Callable[[], None] = lambda: None

    def stop(self) -> None:
        super().stop()
        self.times.append(("stop", self.clock.now()))
        self.stopping()

    def stream(self, position: FloatArray, rotation: FloatArray) -> Commanded:
        self.streaming()
        told = super().stream(position, rotation)
        self.times.append(("stream", self.clock.now()))
        return told


@pytest.fixture
def arm() -> FailingArm:
    return FailingArm()


@pytest.fixture
def safe(arm: FailingArm) -> Iterator[SafeArm]:
    made = SafeArm(arm)
    made.connect()
    made.begin(needs_frames=False)
    yield made
    arm.stopping = lambda: None
    made.close()


def wait_for(happened: Callable[[], bool], seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)


def raising(error: Exception, times: float = math.inf) -> Callable[[], None]:
    left = [times]

    def fail() -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise error

    return fail


def kinds(found: list[Intervention]) -> list[str]:
    return [one.kind for one in found]


@pytest.mark.parametrize("error", [ArmError("one lost packet"), OSError("socket"), RuntimeError("driver")])
def test_a_driver_that_refuses_to_stop_is_told_again_and_nothing_moves_before_it_is_released(
    arm: FailingArm, safe: SafeArm, error: Exception
) -> None:
    arm.stopping = raising(error, times=3)
    assert safe.act(HOME) == []
    wait_for(lambda: safe.stopped)
    wait_for(lambda: arm.calls[-4:] == ["stop"] * 4)
    assert safe.failure == str(error)
    streams = arm.calls.count("stream")
    assert kinds(safe.act(HOME)) == ["fault"]
    assert arm.calls.count("stream") == streams
    assert safe.watched
    safe.release()
    assert safe.failure == ""
    assert safe.act(HOME) == []


def test_silence_is_noticed_again_after_a_failure(arm: FailingArm, safe: SafeArm) -> None:
    arm.stopping = raising(OSError("socket"), times=1)
    safe.act(HOME)
    wait_for(lambda: safe.stopped)
    safe.release()
    time.sleep(0.1)
    safe.act(HOME)
    stops = arm.calls.count("stop")
    wait_for(lambda: arm.calls.count("stop") > stops)
    assert safe.counts["no_command"] == 2


def test_an_arm_that_never_obeys_is_not_released_and_says_so_when_let_go(arm: FailingArm) -> None:
    safe = SafeArm(arm)
    safe.connect()
    arm.stopping = raising(OSError("no route to host"))
    safe.emergency_stop("key")
    with pytest.raises(ArmError, match="not taken the stop yet"):
        safe.release()
    with pytest.raises(ArmError, match=r"no route to host.*its own stop button"):
        safe.close()
    assert arm.calls[-1] == "close"


@pytest.mark.slow
def test_a_driver_that_never_returns_from_stop_holds_up_nobody(arm: FailingArm, safe: SafeArm) -> None:
    hang = threading.Event()
    arm.stopping = lambda: None if hang.is_set() else (hang.wait(60.0), None)[1]
    safe.act(HOME)
    wait_for(lambda: "stop" in arm.calls[arm.calls.index("stream") :])
    start = time.monotonic()
    assert kinds(safe.act(HOME)) == ["holding"]
    assert time.monotonic() - start < 0.9  # it hangs for a second
    wait_for(lambda: safe.stopped)
    assert "has not returned" in safe.failure
    wait_for(lambda: arm.calls.count("stop") >= 3)  # told again from another thread
    assert safe.watched
    hang.set()
    safe.release()


def test_a_log_that_cannot_be_written_stops_the_arm(arm: FailingArm) -> None:
    def full(_: Intervention) -> None:
        raise OSError(28, "No space left on device")

    safe = SafeArm(arm, log=full)
    safe.connect()
    safe.begin(needs_frames=False)
    safe.act(HOME)
    wait_for(lambda: safe.stopped)
    assert "No space left" in safe.failure
    assert kinds(safe.act(HOME)) == ["fault"]
    assert safe.watched
    safe.close()


def frames(clock: MonotonicClock, good: int, then: Callable[[], float]) -> Callable[[], float]:
    """A camera that answers well `good` times."""
    asked = [0]

    def newest_s() -> float:
        asked[0] += 1
        return clock.now() if asked[0] <= good else then()

    return newest_s


def raise_camera() -> float:
    raise RuntimeError("camera driver")


def drive(safe: SafeArm, seconds: float, stamp: Callable[[], float]) -> list[str]:
    """Act ten times a second, a new frame before each; what was found."""
    found: list[str] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        safe.frame_arrived(stamp())
        found += kinds(safe.act(HOME))
        time.sleep(0.1)
    return found


def test_a_camera_that_raises_stops_the_arm(arm: FailingArm, safe: SafeArm) -> None:
    safe.begin(newest_frame=frames(arm.clock, 1, raise_camera))  # type: ignore[arg-type]
    found = drive(safe, 0.5, arm.clock.now)
    wait_for(lambda: safe.stopped)
    assert "camera driver" in safe.failure
    assert found[-1] == "fault"
    assert safe.watched


def test_a_camera_that_hangs_holds_up_neither_agent_nor_watchdog(arm: FailingArm, safe: SafeArm) -> None:
    hang = threading.Event()
    camera = frames(arm.clock, 1, lambda: float(hang.wait(60.0)))  # type: ignore[arg-type]
    safe.begin(newest_frame=camera)
    start = arm.clock.now()
    found = drive(safe, 0.6, arm.clock.now)
    assert "no_frame" in found
    assert safe.counts["no_frame"] > 0
    held = [when for name, when in arm.times if name == "stop" and when > start + 0.05]
    assert held[0] - start < 2.0
    hang.set()


@pytest.mark.parametrize("ahead", [3600.0, math.inf, math.nan])
def test_a_frame_from_the_future_counts_as_stale(arm: FailingArm, safe: SafeArm, ahead: float) -> None:
    safe.begin()
    assert set(drive(safe, 0.3, lambda: arm.clock.now() + ahead)) == {"no_frame"}
    safe.begin(newest_frame=lambda: arm.clock.now() + ahead)
    assert set(drive(safe, 0.3, arm.clock.now)) == {"no_frame"}
    assert "stream" not in arm.calls


def test_a_state_from_the_future_is_read_again(arm: FailingArm, safe: SafeArm) -> None:
    read = arm.read_state

    def ahead() -> ArmState:
        state = read()
        return ArmState(state.time_s + 3600, state.position, state.rotation, state.opening, arm.faults)

    arm.read_state = ahead  # type: ignore[method-assign]
    assert safe.act(HOME) == []
    arm.faults = ("collision",)
    time.sleep(0.06)
    assert kinds(safe.act(HOME)) == ["fault"]


def test_nothing_moves_without_a_watchdog(arm: FailingArm) -> None:
    safe = SafeArm(arm)
    for refused in (lambda: safe.act(HOME), lambda: safe.begin(), lambda: safe.grip(True)):
        with pytest.raises(ArmError, match="no watchdog"):
            refused()
    safe.connect()
    safe.begin(needs_frames=False)
    assert safe.act(HOME) == []
    safe.close()
    calls = list(arm.calls)
    with pytest.raises(ArmError, match="no watchdog"):
        safe.act(HOME)
    assert arm.calls == calls
    safe.connect()
    time.sleep(safe.limits.min_interval_s)
    assert safe.act(HOME) == []
    safe.close()


def test_the_gripper_is_not_told_after_an_emergency_stop(arm: FailingArm, safe: SafeArm) -> None:
    safe.act(HOME)
    time.sleep(0.1)
    arm.streaming = lambda: safe.emergency_stop("key")
    closing = HOME.copy()
    closing[6] = 0.0
    safe.act(closing)
    assert "close_gripper" not in arm.calls
    assert arm.calls[-1] == "stop"


def test_a_clock_that_goes_back_is_time_up(arm: FailingArm, safe: SafeArm) -> None:
    real = arm.clock.now
    safe.act(HOME)
    arm.clock.now = lambda: real() - 5.0  # type: ignore[method-assign]
    wait_for(lambda: safe.counts["no_command"] > 0, 1.0)


def test_a_clock_that_fails_stops_the_arm(arm: FailingArm, safe: SafeArm) -> None:
    real = arm.clock.now
    safe.act(HOME)

    def gone() -> float:
        raise ArmError("the twin is gone")

    arm.clock.now = gone  # type: ignore[method-assign]
    wait_for(lambda: safe.stopped)
    arm.clock.now = real  # type: ignore[method-assign]
    assert safe.watched
    wait_for(lambda: arm.calls[-1] == "stop")


def test_a_signal_handler_may_ask_for_a_stop_in_the_middle_of_asking_for_one() -> None:
    told: list[Any] = []
    stopper = Stopper(lambda: told.append(None), lambda failure: None)
    put = stopper._asked.put

    def interrupted(item: Any) -> None:
        stopper._asked.put = put  # type: ignore[method-assign]
        stopper.ask()
        put(item)

    stopper._asked = type(
        "Queue",
        (),
        {"put": staticmethod(interrupted), "get": stopper._asked.get, "empty": stopper._asked.empty},
    )()
    assert stopper.ask(1.0)
    assert told
    stopper.close()
