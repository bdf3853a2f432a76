"""The Franka driver's kinematics, without its driver: an arm that is at once where it is told."""

from __future__ import annotations

import numpy as np
import pytest

from h2r_bench.envs.robot.control import InverseKinematics
from h2r_bench.envs.robot.model import HOME, MAX_JOINT_SPEED
from h2r_bench.motion import ToolPose
from h2r_bench.real.arms.base import ArmState, Commanded
from h2r_bench.real.arms.franka import MAX_MISS, FrankaArm
from h2r_bench.real.arms.mount import Mount
from h2r_bench.real.safety.safe_arm import SafeArm
from h2r_bench.types import CONTROL_HZ, FloatArray

from arm_fakes import HandClock

UNTURNED = np.zeros(3)


class KinematicFranka(FrankaArm):
    """Solves as the driver does."""

    name = "kinematic"

    def __init__(self) -> None:
        self.clock = HandClock()
        self._mount, self._kinematics, self._joints = Mount(), InverseKinematics(), HOME.copy()
        self.stream(np.array([0.5, 0.0, 0.25]), UNTURNED)

    def connect(self) -> None:
        pass

    def read_state(self) -> ArmState:
        pose = self._kinematics.forward(self._joints)
        return ArmState(self.clock.now(), pose.position, pose.rotvec, 1.0, ())

    def stream(self, position: FloatArray, rotation: FloatArray) -> Commanded:
        self._joints = self._solve(ToolPose(position, rotation))
        pose = self._kinematics.forward(self._joints)
        return Commanded(self.clock.now(), pose.position, pose.rotvec, True)

    def grip(self, open_: bool, force_n: float) -> None:
        pass

    def stop(self) -> None:
        pass


@pytest.fixture
def arm() -> KinematicFranka:
    return KinematicFranka()


def test_a_pose_nearby_is_reached(arm: KinematicFranka) -> None:
    told = arm.stream(np.array([0.52, 0.02, 0.24]), np.array([0.0, 0.1, 0.1]))
    np.testing.assert_allclose(told.position, [0.52, 0.02, 0.24], atol=0.002)
    np.testing.assert_allclose(told.rotation, [0.0, 0.1, 0.1], atol=0.02)


def test_no_joint_jumps_and_the_tool_keeps_to_its_way(arm: KinematicFranka) -> None:
    rng, reach = np.random.default_rng(0), MAX_JOINT_SPEED / CONTROL_HZ + 1e-9
    for _ in range(100):
        before, here = arm._joints, arm.read_state().position
        goal = rng.uniform([0.3, -0.35, 0.01], [0.74, 0.35, 0.45])
        step = here + min(1.0, 0.05 / float(np.linalg.norm(goal - here))) * (goal - here)
        told = arm.stream(step, rng.uniform(-0.8, 0.8, 3))
        assert (np.abs(arm._joints - before) <= reach).all()
        way = np.linspace(here, step, 51)
        assert np.linalg.norm(way - told.position, axis=1).min() <= MAX_MISS + 5e-4


def test_where_a_turn_is_out_of_reach_the_tool_goes_on_unturned(arm: KinematicFranka) -> None:
    arm.stream(np.array([0.5, 0.05, 0.25]), np.array([0.0, 0.0, 3.0]))
    assert arm.read_state().position[1] > 0.01


def test_what_is_out_of_reach_is_not_left_the_way_for(arm: KinematicFranka) -> None:
    for _ in range(30):
        told = arm.stream(np.array([0.5, 0.0, 1.9]), UNTURNED)
    np.testing.assert_allclose(told.position[:2], [0.5, 0.0], atol=0.02)


def test_wild_agents_end_no_session(arm: KinematicFranka) -> None:
    """From wherever random actions lead, the arm comes back upright over the table."""
    safe = SafeArm(arm)
    safe.connect()
    arm.clock.sleep_until(1.0)
    rng = np.random.default_rng(3)
    for _ in range(4):
        goal = rng.uniform([0.3, -0.35, 0.01, -0.8, -0.8, -2.5, 0], [0.74, 0.35, 0.45, 0.8, 0.8, 2.5, 1])
        for _ in range(30):
            safe.act(goal)
            arm.clock.sleep_until(arm.clock.now() + 0.1)
        place = safe.read_state().position
        safe.move_to(np.array([*place[:2], 0.4]), UNTURNED, speed=0.12)
        safe.move_to(np.array([0.4, 0.0, 0.4]), UNTURNED, speed=0.12)
    np.testing.assert_allclose(safe.read_state().rotation, 0.0, atol=0.05)
