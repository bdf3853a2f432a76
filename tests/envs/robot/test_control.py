"""Limits, inverse kinematics and the gripper's latch."""

from __future__ import annotations

import mujoco
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from h2r_bench.envs.robot.control import InverseKinematics, limit_target
from h2r_bench.motion import GripperLatch, ToolPose
from h2r_bench.types import CONTROL_HZ, DEFAULT_LIMITS

coordinate = st.floats(-2, 2)
angle = st.floats(-3, 3)
SOLVER = InverseKinematics()


@given(st.tuples(coordinate, coordinate, coordinate), st.tuples(angle, angle, angle))
@settings(deadline=None)
def test_a_limited_target_obeys_every_limit(position: tuple[float, ...], rotvec: tuple[float, ...]) -> None:
    previous = ToolPose.at(0.45, 0.0, 0.2)
    target, held = limit_target(previous, ToolPose(np.array(position), np.array(rotvec)))
    assert np.linalg.norm(target.position - previous.position) <= DEFAULT_LIMITS.max_speed / CONTROL_HZ + 1e-9
    turn = Rotation.from_rotvec(previous.rotvec).inv() * Rotation.from_rotvec(target.rotvec)
    assert turn.magnitude() <= DEFAULT_LIMITS.max_rotation_speed / CONTROL_HZ + 1e-9
    assert np.all(target.position >= np.array(DEFAULT_LIMITS.workspace_low) - 1e-9)
    assert np.all(target.position <= np.array(DEFAULT_LIMITS.workspace_high) + 1e-9)
    if not held:
        np.testing.assert_allclose(target.position, position, atol=1e-6)


def test_an_allowed_target_is_left_alone() -> None:
    previous, wanted = ToolPose.at(0.45, 0.0, 0.2), ToolPose.at(0.46, 0.01, 0.19, 0.1)
    target, held = limit_target(previous, wanted)
    assert held == ()
    np.testing.assert_allclose(target.position, wanted.position)
    np.testing.assert_allclose(target.rotvec, wanted.rotvec, atol=1e-9)


def shortfall(pose: ToolPose, calls: int) -> tuple[float, float, bool]:
    """How far `calls` calls from rest end from `pose` [m, rad]; whether a joint is then at its limit."""
    SOLVER.reset()
    for _ in range(calls):
        joints = SOLVER.solve(pose)
    data = mujoco.MjData(SOLVER.model)
    data.qpos[:] = joints
    mujoco.mj_kinematics(SOLVER.model, data)
    site = SOLVER.model.site("tool").id
    turned = Rotation.from_matrix(data.site_xmat[site].reshape(3, 3))
    turn = (turned.inv() * Rotation.from_rotvec(pose.rotvec)).magnitude()
    low, high = SOLVER.model.jnt_range.T
    stopped = bool(np.any((joints <= low + 1e-6) | (joints >= high - 1e-6)))
    return float(np.linalg.norm(data.site_xpos[site] - pose.position)), float(turn), stopped


@given(st.floats(0.42, 0.66), st.floats(-0.2, 0.2), st.floats(0.012, 0.25), st.floats(-1.6, 1.6))
@settings(max_examples=40, deadline=None)
def test_inverse_kinematics_reaches_the_workspace(x: float, y: float, z: float, yaw: float) -> None:
    # From rest to a far wrist in one call: a few of 1,000 poses end 1 to 4 mm off; the next step mends that.
    distance, turn, _ = shortfall(ToolPose.at(x, y, z, yaw), calls=2)
    assert distance < 1e-3
    assert turn < 5e-3


@given(st.floats(0.36, 0.68), st.floats(-0.25, 0.25), st.floats(0.012, 0.25), st.floats(-1.8, 1.8))
@example(x=0.5, y=0.25, z=0.25, yaw=-1.75)
@settings(max_examples=40, deadline=None)
def test_inverse_kinematics_stops_short_at_limits_of_joints_alone(
    x: float, y: float, z: float, yaw: float
) -> None:
    distance, turn, stopped = shortfall(ToolPose.at(x, y, z, yaw), calls=10)
    assert stopped or (distance < 1e-3 and turn < 5e-3)


def test_the_gripper_keeps_its_state_between_the_thresholds() -> None:
    latch = GripperLatch()
    heard = [latch.command(value) for value in (0.5, 0.39, 0.5, 0.6, 0.61, 0.4, 0.0)]
    assert heard == [True, False, False, False, True, True, False]
