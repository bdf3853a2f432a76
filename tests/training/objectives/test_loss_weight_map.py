from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.envs.scene.arena import project
from h2r_bench.training.objectives.loss_weight_map import focus_map

SIZE, CELLS = (128, 128), (16, 16)


def cell_of(point: list[float]) -> tuple[int, int]:
    """Row and column of the cell in which the camera sees `point`."""
    x, y = project(np.array(point), SIZE)
    return int((y + 0.5) // 8), int((x + 0.5) // 8)


@given(st.floats(0.36, 0.63), st.floats(-0.18, 0.19), st.floats(0.15, 0.3))
def test_gripper_and_shadow_stand_out_where_the_camera_sees_them(x: float, y: float, z: float) -> None:
    focus = focus_map(np.array([x, y, z], np.float32), SIZE, CELLS)
    gripper, shadow = cell_of([x, y, z]), cell_of([x, y, 0.0])
    assert focus[gripper] > 0.6
    assert focus[shadow] > 0.4
    far = [row for row in range(16) if abs(row - gripper[0]) > 4 and abs(row - shadow[0]) > 4]
    assert focus[far].max(initial=0.0) < 1e-3


def test_on_the_table_both_are_one_spot() -> None:
    point = [0.5, 0.06, 0.0]
    focus = focus_map(np.array(point, np.float32), SIZE, CELLS)
    assert np.unravel_index(focus.argmax(), focus.shape) == cell_of(point)
    assert 1.0 < focus.max() <= 1.7


def test_shapes_follow_the_positions() -> None:
    assert focus_map(np.zeros((3, 5, 3), np.float32), (424, 240), (30, 53)).shape == (3, 5, 30, 53)
