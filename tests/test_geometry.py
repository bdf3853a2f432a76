from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from h2r_bench import geometry as rot

ROTVECS = arrays(float, (5, 3), elements=st.floats(-1.7, 1.7, allow_subnormal=False))
CODES = arrays(float, (4, 6), elements=st.floats(-3, 3, allow_subnormal=False))


@given(ROTVECS)
def test_matrices_are_rotations(rotvec: rot.Array) -> None:
    matrix = rot.rotvec_to_matrix(rotvec)
    assert matrix.shape == (5, 3, 3)
    np.testing.assert_allclose(
        matrix @ matrix.swapaxes(-1, -2), np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(matrix), 1.0, atol=1e-9)


@given(ROTVECS)
def test_every_form_leads_back(rotvec: rot.Array) -> None:  # |rotvec| < pi, where it is unique
    np.testing.assert_allclose(rot.matrix_to_rotvec(rot.rotvec_to_matrix(rotvec)), rotvec, atol=1e-7)
    np.testing.assert_allclose(rot.rotvec_from_6d(rot.rotvec_to_6d(rotvec)), rotvec, atol=1e-7)


@given(CODES)
def test_any_two_independent_vectors_give_a_rotation(code: rot.Array) -> None:
    sound = np.linalg.norm(np.cross(code[:, :3], code[:, 3:]), axis=-1) > 1e-2
    matrix = rot.matrix_from_6d(code[sound])
    np.testing.assert_allclose(np.linalg.det(matrix), 1.0, atol=1e-6)
    np.testing.assert_allclose(rot.matrix_from_6d(rot.matrix_to_6d(matrix)), matrix, atol=1e-6)


@given(ROTVECS, st.floats(0.1, 10))
def test_6d_ignores_scale(rotvec: rot.Array, scale: float) -> None:
    code = rot.rotvec_to_6d(rotvec)
    np.testing.assert_allclose(rot.matrix_from_6d(code * scale), rot.matrix_from_6d(code), atol=1e-9)


def test_leading_axes_are_kept() -> None:
    for shape in [(), (2,), (2, 3)]:
        rotvec = np.zeros((*shape, 3))
        assert rot.rotvec_to_matrix(rotvec).shape == (*shape, 3, 3)
        assert rot.rotvec_to_6d(rotvec).shape == (*shape, 6)
        assert rot.rotvec_from_6d(rot.rotvec_to_6d(rotvec)).shape == (*shape, 3)


@given(st.floats(-50, 50))
def test_wrapped_angle_is_the_same_direction(angle: float) -> None:
    wrapped = float(rot.wrap_angle(angle))
    assert -np.pi - 1e-9 < wrapped <= np.pi + 1e-9
    np.testing.assert_allclose([np.cos(wrapped), np.sin(wrapped)], [np.cos(angle), np.sin(angle)], atol=1e-9)


def test_wrap_keeps_pi() -> None:
    assert float(rot.wrap_angle(np.pi)) == np.pi
    assert float(rot.wrap_angle(-np.pi)) == np.pi


@given(st.floats(-3.1, 3.1))
def test_yaw_of_a_turn_about_the_vertical(yaw: float) -> None:
    np.testing.assert_allclose(rot.yaw_of(rot.rotvec_to_matrix(np.array([0, 0, yaw]))), yaw, atol=1e-9)
