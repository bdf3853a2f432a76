from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2r_bench.real.arms.base import ArmError, MissingExtraError
from h2r_bench.real.arms.lerobot import LONGEST_STEP, TOOL_KEYS, LeRobotArm, LeRobotConfig

from arm_fakes import HandClock

CHAIN = """<mujoco><compiler angle="radian" autolimits="true"/><worldbody>
<body pos="0 0 0.1"><inertial pos="0 0 0" mass="1" diaginertia=".1 .1 .1"/>
<joint name="pan" axis="0 0 1" range="-2 2"/>
<body><inertial pos="0 0 0" mass="1" diaginertia=".1 .1 .1"/><joint name="lift" axis="0 1 0" range="-2 2"/>
<body pos="0 0 .3"><inertial pos="0 0 0" mass="1" diaginertia=".1 .1 .1"/>
<joint name="elbow" axis="0 1 0" range="0 2.6"/>
<body pos="0 0 .3"><inertial pos="0 0 0" mass="1" diaginertia=".1 .1 .1"/>
<joint name="wrist" axis="0 1 0" range="-2.5 2.5"/>
<body><inertial pos="0 0 .05" mass="1" diaginertia=".1 .1 .1"/>
<joint name="roll" axis="0 0 1" range="-3 3"/><site name="tool" pos="0 0 .1" quat="0 1 0 0"/></body>
</body></body></body></body></worldbody></mujoco>"""
JOINTS = ("pan", "lift", "elbow", "wrist", "roll")


@dataclasses.dataclass
class FakeConfig:
    port: str = ""
    id: str = "x"


class FakeRobot:
    """As LeRobot's `Robot` has it: features, connect, get_observation, send_action, disconnect."""

    config_class = FakeConfig
    keys: tuple[str, ...] = (*TOOL_KEYS, "ee.gripper_pos")
    start: tuple[float, ...] = (0.4, 0.0, 0.2, np.pi, 0.0, 0.0, 100.0)

    def __init__(self, config: FakeConfig) -> None:
        self.config = config
        self.values = dict(zip(self.keys, self.start, strict=True))
        self.is_connected = False
        self.is_calibrated = True
        self.actions: list[dict[str, float]] = []
        self.broken = False

    @property
    def action_features(self) -> dict[str, type]:
        return dict.fromkeys(self.keys, float)

    def connect(self, calibrate: bool = True) -> None:
        assert not calibrate
        self.is_connected = True

    def get_observation(self) -> dict[str, Any]:
        assert self.is_connected
        return {**self.values, "front": np.zeros((4, 4, 3), np.uint8)}

    def send_action(self, action: dict[str, float]) -> dict[str, float]:
        if self.broken:
            raise RuntimeError("motor 3 is hot")
        assert set(action) == set(self.keys)
        self.actions.append(dict(action))
        self.values = dict(action)
        return action

    def disconnect(self) -> None:
        self.is_connected = False


class JointRobot(FakeRobot):
    """Joint features in degrees, as the SO-101 has them."""

    keys = (*(f"{name}.pos" for name in JOINTS), "gripper.pos")
    start = (0.0, -10.0, 100.0, 90.0, 0.0, 100.0)


def made(monkeypatch: pytest.MonkeyPatch, **options: Any) -> LeRobotArm:
    monkeypatch.setattr("h2r_bench.real.arms.lerobot.ServoLoop.start", lambda loop: None)
    settings = {"robot": "test_lerobot:FakeRobot", "gripper_key": "ee.gripper_pos", **options}
    arm = LeRobotArm(LeRobotConfig(**settings), HandClock())
    arm.connect()
    return arm


def joint_arm(monkeypatch: pytest.MonkeyPatch, folder: Path, **options: Any) -> LeRobotArm:
    (folder / "arm.xml").write_text(CHAIN)
    settings = {"robot": "test_lerobot:JointRobot", "gripper_key": "gripper.pos", **options}
    return made(monkeypatch, model=str(folder / "arm.xml"), **settings)


def test_cartesian_features_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = made(monkeypatch, robot_args='{"id": "mine"}', host="/dev/ttyACM0")
    assert arm._robot.config == FakeConfig("/dev/ttyACM0", "mine")
    state = arm.read_state()
    np.testing.assert_allclose(state.position, [0.4, 0.0, 0.2])
    np.testing.assert_allclose(state.rotation, 0.0, atol=1e-9)
    arm.stream(np.array([0.43, 0.0, 0.2]), np.array([0.0, 0.0, 0.1]))
    for _ in range(5):
        arm.servo_step()
    x = [action["ee.x"] for action in arm._robot.actions]
    assert max(np.diff([0.4, *x])) <= LONGEST_STEP + 1e-9
    np.testing.assert_allclose(arm.read_state().position, [0.43, 0.0, 0.2], atol=1e-9)
    np.testing.assert_allclose(arm.read_state().rotation, [0.0, 0.0, 0.1], atol=1e-9)


def test_joint_features_go_through_the_model_in_degrees(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arm = joint_arm(monkeypatch, tmp_path)
    start = arm.read_state()
    goal = start.position + np.array([0.02, 0.02, -0.01])
    told = arm.stream(goal, start.rotation)
    np.testing.assert_allclose(told.position, goal, atol=0.005)
    for _ in range(100):
        arm.servo_step()
    np.testing.assert_allclose(arm.read_state().position, goal, atol=0.005)
    values = np.array([[action[key] for key in JointRobot.keys[:5]] for action in arm._robot.actions])
    assert np.abs(np.diff(values, axis=0)).max() <= np.degrees(1.5 / 50) + 1e-6
    assert arm.sent == arm._robot.actions[-1]


def test_what_is_out_of_reach_is_not_commanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arm = joint_arm(monkeypatch, tmp_path)
    start = arm.read_state()
    told = arm.stream(np.array([2.0, 0.0, 0.5]), start.rotation)
    np.testing.assert_allclose(told.position, start.position, atol=1e-6)


def test_the_gripper_goes_with_the_pose(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = made(monkeypatch)
    arm.grip(False, 10.0)
    assert arm._robot.actions[-1]["ee.gripper_pos"] == 0.0
    assert arm.read_state().opening == 0.0


def test_stopping_takes_no_further_step(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = made(monkeypatch)
    arm.stream(np.array([0.43, 0.0, 0.2]), np.zeros(3))
    arm.stop()
    arm.servo_step()
    assert arm._robot.actions == []


def test_a_robot_that_fails_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = made(monkeypatch)
    arm.stream(np.array([0.43, 0.0, 0.2]), np.zeros(3))
    arm._robot.broken = True
    arm.servo_step()
    assert "motor 3 is hot" in arm.read_state().faults[0]
    arm.close()
    arm.close()
    assert not arm._robot.is_connected


def test_a_robot_that_was_never_calibrated_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = made(monkeypatch)
    arm._robot.is_calibrated = False
    with pytest.raises(ArmError, match="lerobot-calibrate"):
        arm.connect()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "say which robot"),
        ({"robot": "test_lerobot:Nobody"}, "has no 'Nobody'"),
        ({"robot": "no_such_package.arm:Arm"}, "cannot import"),
        ({"robot": "test_lerobot:FakeRobot", "robot_args": '{"colour": 1}'}, "do not fit"),
        ({"robot": "test_lerobot:FakeRobot", "robot_args": "{"}, "do not fit"),
        ({"robot": "test_lerobot:FakeRobot", "gripper_key": "claw"}, "no feature 'claw'"),
        ({"robot": "test_lerobot:JointRobot"}, "give its model"),
        ({"robot": "test_lerobot:JointRobot", "model": "nowhere.xml"}, "cannot read the model"),
    ],
)
def test_bad_input_says_what_to_do(options: dict[str, str], text: str) -> None:
    with pytest.raises(ArmError, match=text):
        LeRobotArm(LeRobotConfig(**options))


def test_a_missing_lerobot_names_its_extra() -> None:
    try:
        import lerobot  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"h2r-bench\[lerobot\]"):
            LeRobotArm(LeRobotConfig(robot="lerobot.robots.so_follower:SO101Follower"))


def test_the_fake_has_what_lerobots_robot_has() -> None:
    """Against the real base class, where it is installed."""
    robot = pytest.importorskip("lerobot.robots.robot", reason="lerobot is not installed").Robot
    for name in ("connect", "get_observation", "send_action", "disconnect"):
        ours, theirs = inspect.signature(getattr(FakeRobot, name)), inspect.signature(getattr(robot, name))
        assert list(ours.parameters) == list(theirs.parameters)
    for name in ("action_features", "is_connected", "is_calibrated"):
        assert isinstance(inspect.getattr_static(robot, name), property)
