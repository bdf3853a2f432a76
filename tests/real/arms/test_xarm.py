from __future__ import annotations

import importlib.util
import inspect
from typing import Any

import numpy as np
import pytest

from h2r_bench.real.arms import make_arm
from h2r_bench.real.arms.base import ArmError, MissingExtraError
from h2r_bench.real.arms.xarm import MAX_SERVO_STEP, XArm, XArmConfig, import_xarm

from arm_fakes import HandClock


class FakeXArm:
    """As the SDK's XArmAPI answers: codes, millimetres, an order that must be kept."""

    def __init__(self, port: str, is_radian: bool = False) -> None:
        assert is_radian
        self.port = port
        self.pose = [450.0, 0.0, 200.0, np.pi, 0.0, 0.0]  # gripper straight down
        self.gripper = 850.0
        self.servo_code = 0
        self.error = 0
        self.mode, self.state = 0, 4
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*arguments: Any, **keywords: Any) -> int:
            self.calls.append((name, (*arguments, *keywords.items())))
            return 0

        return call

    def set_mode(self, mode: int) -> int:
        self.calls.append(("set_mode", mode))
        self.mode, self.state = mode, 4
        return 0

    def set_state(self, state: int) -> int:
        self.calls.append(("set_state", state))
        self.state = state
        return 0

    def get_position_aa(self, is_radian: bool | None = None) -> tuple[int, list[float]]:
        assert is_radian
        return 0, list(self.pose)

    def get_gripper_position(self) -> tuple[int, float]:
        return 0, self.gripper

    def get_gripper_g2_position(self) -> tuple[int, float]:
        return 0, 42.0

    def get_err_warn_code(self) -> tuple[int, list[int]]:
        return 0, [self.error, 0]

    def set_gripper_position(self, pos: float, wait: bool = False) -> int:
        assert not wait
        self.gripper = pos
        return 0

    def set_servo_cartesian_aa(self, values: list[float], is_radian: bool | None = None) -> int:
        assert is_radian
        assert (self.mode, self.state) == (1, 0), "servo steps need servo mode and motion state"
        if self.servo_code:
            return self.servo_code
        step = np.linalg.norm(np.array(values[:3]) - self.pose[:3])
        assert step <= 10.0, "the controller refuses steps of more than 10 mm"
        self.calls.append(("servo", tuple(values)))
        self.pose = list(values)
        return 0

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> XArm:
    """Connected, its servo thread idle: steps are taken by hand."""
    monkeypatch.setattr("h2r_bench.real.arms.xarm.ServoLoop.start", lambda loop: None)
    made = XArm(XArmConfig(host="192.168.1.20"), HandClock(), FakeXArm)
    made.connect()
    return made


def test_units_are_converted_at_the_edge(arm: XArm) -> None:
    state = arm.read_state()
    np.testing.assert_allclose(state.position, [0.45, 0.0, 0.2])
    np.testing.assert_allclose(state.rotation, 0.0, atol=1e-9)
    assert state.opening == 1.0
    assert state.faults == ()


def test_servo_mode_is_entered_before_motion_state_and_the_fence_stands_before_both(arm: XArm) -> None:
    names = arm._arm.names()
    order = ["clean_error", "set_reduced_tcp_boundary", "set_fence_mode", "set_reduced_mode"]
    order += ["motion_enable", "set_mode", "set_state"]
    assert [names.index(name) for name in order] == sorted(names.index(name) for name in order)
    box = dict(arm._arm.calls)["set_reduced_tcp_boundary"][0]
    assert box == [770, 250, 390, -390, 480, -26]


def test_a_target_is_approached_in_steps_the_controller_takes(arm: XArm) -> None:
    told = arm.stream(np.array([0.49, 0.0, 0.2]), np.array([0.0, 0.0, 0.2]))
    np.testing.assert_allclose(told.position, [0.49, 0.0, 0.2])
    for _ in range(50):
        arm.servo_step()
    sent = np.array([values[:3] for name, values in arm._arm.calls if name == "servo"])
    assert np.linalg.norm(np.diff(sent, axis=0), axis=1).max() <= 1000 * MAX_SERVO_STEP + 1e-6
    state = arm.read_state()
    np.testing.assert_allclose(state.position, [0.49, 0.0, 0.2], atol=1e-9)
    np.testing.assert_allclose(state.rotation, [0.0, 0.0, 0.2], atol=1e-9)


def test_stopping_sends_no_further_step(arm: XArm) -> None:
    arm.stream(np.array([0.49, 0.0, 0.2]), np.zeros(3))
    arm.servo_step()
    arm.stop()
    before = len(arm._arm.calls)
    arm.servo_step()
    assert len(arm._arm.calls) == before


def test_a_refused_step_ends_the_motion_and_is_a_fault(arm: XArm) -> None:
    arm.stream(np.array([0.49, 0.0, 0.2]), np.zeros(3))
    arm._arm.servo_code = 9
    arm.servo_step()
    assert "code 9" in arm.read_state().faults[0]
    with pytest.raises(ArmError, match="code 9"):
        arm.stream(np.array([0.49, 0.0, 0.2]), np.zeros(3))


def test_controller_errors_are_faults(arm: XArm) -> None:
    arm._arm.error = 31
    assert arm.read_state().faults == ("controller error 31",)


def test_the_gripper_counts_pulses_and_its_reading_is_rationed(arm: XArm) -> None:
    arm.read_state()
    arm.grip(False, 20.0)
    assert arm._arm.gripper == 0
    assert arm.read_state().opening == 1.0  # read less than 0.2 s ago
    arm.clock.sleep_until(1.0)
    assert arm.read_state().opening == 0.0


def test_the_second_gripper_takes_a_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("h2r_bench.real.arms.xarm.ServoLoop.start", lambda loop: None)
    arm = XArm(XArmConfig(host="a", gripper="g2"), HandClock(), FakeXArm)
    arm.connect()
    arm.grip(False, 25.0)
    name, arguments = arm._arm.calls[-1]
    assert name == "set_gripper_g2_position"
    assert arguments[0] == 0.0
    assert ("force", 50) in arguments
    assert arm.read_state().opening == 0.5


def test_where_the_base_stands_is_taken_into_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("h2r_bench.real.arms.xarm.ServoLoop.start", lambda loop: None)
    arm = XArm(XArmConfig(host="a", mount=(0.1, 0.0, 0.05, np.pi / 2)), HandClock(), FakeXArm)
    arm.connect()
    np.testing.assert_allclose(arm.read_state().position, [0.1, 0.45, 0.25], atol=1e-9)
    arm.stream(np.array([0.1, 0.45, 0.25]), np.array([0.0, 0.0, np.pi / 2]))
    arm.servo_step()
    np.testing.assert_allclose(arm._arm.pose[:3], [450.0, 0.0, 200.0], atol=1e-6)


def test_closing_stops_the_arm_and_disconnects(arm: XArm) -> None:
    api = arm._arm
    arm.close()
    arm.close()
    assert ("set_state", 4) in api.calls
    assert api.names()[-1] == "disconnect"


def test_bad_input_says_what_to_do() -> None:
    with pytest.raises(ArmError, match="--host"):
        XArm(XArmConfig(), api=FakeXArm)
    with pytest.raises(ArmError, match="standard or g2"):
        XArm(XArmConfig(host="a", gripper="vacuum"), api=FakeXArm)


def test_what_is_called_exists_in_the_sdk_as_it_is_called() -> None:
    """Names and arguments against the SDK itself, where it is installed."""
    try:
        api = import_xarm()
    except MissingExtraError:
        pytest.skip("xarm-python-sdk is not installed: pip install 'h2r-bench[xarm]'")
    calls: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
        "clean_warn": ((), {}),
        "clean_error": ((), {}),
        "motion_enable": ((True,), {}),
        "set_mode": ((1,), {}),
        "set_state": ((0,), {}),
        "set_reduced_tcp_boundary": (([1] * 6,), {}),
        "set_reduced_max_tcp_speed": ((600,), {}),
        "set_fence_mode": ((True,), {}),
        "set_reduced_mode": ((True,), {}),
        "set_gripper_mode": ((0,), {}),
        "set_gripper_enable": ((True,), {}),
        "set_gripper_speed": ((3000,), {}),
        "set_gripper_position": ((0,), {"wait": False}),
        "set_gripper_g2_position": ((0.0,), {"force": 50, "wait": False}),
        "get_gripper_position": ((), {}),
        "get_gripper_g2_position": ((), {}),
        "get_position_aa": ((), {"is_radian": True}),
        "get_err_warn_code": ((), {}),
        "set_servo_cartesian_aa": (([0.0] * 6,), {"is_radian": True}),
        "disconnect": ((), {}),
    }
    for name, (arguments, keywords) in calls.items():
        inspect.signature(getattr(api, name)).bind(None, *arguments, **keywords)
    inspect.signature(api.__init__).bind(None, "host", is_radian=True)


def test_a_missing_sdk_names_its_extra() -> None:
    if importlib.util.find_spec("xarm"):
        pytest.skip("xarm-python-sdk is installed")
    with pytest.raises(MissingExtraError, match=r"h2r-bench\[xarm\]"):
        make_arm("xarm", "192.168.1.20")
