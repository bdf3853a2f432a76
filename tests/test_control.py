"""Limits, inverse kinematics and the gripper's latch."""

from __future__ import annotations

import mujoco
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from h2r_bench.envs.control import GripperLatch, InverseKinematics, ToolPose, limit_target
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


@given(st.floats(0.36, 0.68), st.floats(-0.25, 0.25), st.floats(0.012, 0.25), st.floats(-1.8, 1.8))
@settings(max_examples=40, deadline=None)
def test_inverse_kinematics_reaches_the_workspace(x: float, y: float, z: float, yaw: float) -> None:
    SOLVER.reset()
    joints = SOLVER.solve(ToolPose.at(x, y, z, yaw))
    data = mujoco.MjData(SOLVER.model)
    data.qpos[:] = joints
    mujoco.mj_kinematics(SOLVER.model, data)
    site = SOLVER.model.site("tool").id
    # From rest to a far wrist in one call: 2 of 1,000 poses end 1 to 2 mm off; the next step mends that.
    np.testing.assert_allclose(data.site_xpos[site], (x, y, z), atol=3e-3)
    expected = Rotation.from_euler("z", yaw).as_matrix()
    np.testing.assert_allclose(data.site_xmat[site].reshape(3, 3), expected, atol=1e-2)


def test_the_gripper_keeps_its_state_between_the_thresholds() -> None:
    latch = GripperLatch()
    heard = [latch.command(value) for value in (0.5, 0.39, 0.5, 0.6, 0.61, 0.4, 0.0)]
    assert heard == [True, False, False, False, True, True, False]
