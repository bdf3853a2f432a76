"""The robot's camera: what is drawn at a point is where `project` says."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from h2r_bench.envs.arena import CAMERA_POSITION, CAMERA_TARGET, ROBOT_CAMERA, build_arena, project
from h2r_bench.envs.rendering import CameraRenderer


@pytest.mark.parametrize("size", [(128, 128), (424, 240)])
@pytest.mark.parametrize("point", [(0.5, 0.0, 0.05), (0.4, 0.2, 0.2), (0.62, -0.15, 0.02)])
def test_a_ball_is_drawn_where_it_is_projected(
    size: tuple[int, int], point: tuple[float, float, float]
) -> None:
    arena = build_arena()
    arena.worldbody.add("geom", type="sphere", size=[0.012], pos=point, rgba=(1, 0, 1, 1))
    model = mujoco.MjModel.from_xml_string(arena.to_xml_string(), arena.get_assets())
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with CameraRenderer(model, *size, shadows=False) as renderer:
        image = renderer.render(data, ROBOT_CAMERA, show_hand=False, show_robot=True)
    magenta = image.astype(int)
    rows, columns = np.nonzero((magenta[..., 0] - magenta[..., 1] > 60) & (magenta[..., 2] > 60))
    assert len(rows), "the ball is not in the picture"
    found = np.array([columns.mean(), rows.mean()])
    assert np.linalg.norm(found - project(np.array(point), size)) < 1.0


def test_the_target_is_in_the_middle_and_nothing_lies_behind() -> None:
    np.testing.assert_allclose(project(np.array(CAMERA_TARGET), (128, 128)), [63.5, 63.5], atol=1e-9)
    behind = 2 * np.array(CAMERA_POSITION) - np.array(CAMERA_TARGET)
    assert np.isnan(project(behind[None], (128, 128))).all()
