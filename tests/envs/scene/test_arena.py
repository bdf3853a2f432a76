"""The robot's camera: what is drawn at a point is where `project` says."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from h2r_bench.envs.rendering.renderer import CameraRenderer
from h2r_bench.envs.scene.arena import (
    CAMERA_POSITION,
    CAMERA_TARGET,
    HUMAN_CAMERA,
    ROBOT_CAMERA,
    build_arena,
    project,
)
from h2r_bench.types import FloatArray, UInt8Array

Size = tuple[int, int]
Point = tuple[float, float, float]


def found_ball(image: UInt8Array) -> FloatArray:
    """Where the magenta ball is (2,) [pixels]."""
    colours = image.astype(int)
    rows, columns = np.nonzero((colours[..., 0] - colours[..., 1] > 60) & (colours[..., 2] > 60))
    assert len(rows), "the ball is not in the picture"
    return np.array([columns.mean(), rows.mean()])


@pytest.mark.parametrize("size", [(128, 128), (424, 240)])
@pytest.mark.parametrize("point", [(0.5, 0.0, 0.05), (0.4, 0.2, 0.2), (0.62, -0.15, 0.02)])
def test_a_ball_is_drawn_where_it_is_projected(size: Size, point: Point) -> None:
    arena = build_arena()
    arena.worldbody.add("geom", type="sphere", size=[0.012], pos=point, rgba=(1, 0, 1, 1))
    model = mujoco.MjModel.from_xml_string(arena.to_xml_string(), arena.get_assets())
    data = mujoco.MjData(model)
    beside, turn = np.array([0.02, -0.03, 0.04]), np.array([0.03, -0.02, 0.1])
    camera = model.camera(HUMAN_CAMERA)
    camera.pos += beside
    added = np.empty(4)
    mujoco.mju_axisAngle2Quat(added, turn / np.linalg.norm(turn), np.linalg.norm(turn))
    turned = np.empty(4)
    mujoco.mju_mulQuat(turned, camera.quat, added)
    camera.quat[:] = turned
    mujoco.mj_forward(model, data)
    with CameraRenderer(model, *size, shadows=False) as renderer:
        views = {
            name: renderer.render(data, name, show_hand=False, show_robot=True)
            for name in (ROBOT_CAMERA, HUMAN_CAMERA)
        }
    robots = project(np.array(point), size)
    humans = project(np.array(point), size, beside, turn)
    assert np.linalg.norm(robots - humans) > 5
    assert np.linalg.norm(found_ball(views[ROBOT_CAMERA]) - robots) < 1.0
    assert np.linalg.norm(found_ball(views[HUMAN_CAMERA]) - humans) < 1.0


def test_the_target_is_in_the_middle_and_nothing_lies_behind() -> None:
    np.testing.assert_allclose(project(np.array(CAMERA_TARGET), (128, 128)), [63.5, 63.5], atol=1e-9)
    behind = 2 * np.array(CAMERA_POSITION) - np.array(CAMERA_TARGET)
    assert np.isnan(project(behind[None], (128, 128))).all()
