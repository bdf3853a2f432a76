from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import mujoco
import numpy as np
import pytest

from h2r_bench.envs.rendering.mipmaps import Mipmaps
from h2r_bench.envs.rendering.renderer import CameraRenderer

SCENE = """
<mujoco>
  <visual><global offwidth="96" offheight="64"/><headlight ambient=".5 .5 .5"/></visual>
  <worldbody>
    <light pos="0 0 3" dir="0 0 -1" castshadow="true"/>
    <camera name="top" pos="0 0 2" fovy="60"/>
    <camera name="side" pos="0 -2 0.5" xyaxes="1 0 0 0 0 1" fovy="60"/>
    <geom name="table" type="plane" size="2 2 .1" rgba=".4 .4 .4 1"/>
    <geom name="robot" group="2" type="box" size=".2 .2 .1" pos="-.6 0 .3" rgba="1 0 0 1"/>
    <geom name="hand" group="4" type="box" size=".2 .2 .1" pos=".6 0 .3" rgba="0 1 0 1"/>
    <geom name="collision" group="3" type="box" size=".2 .2 .1" pos="0 .5 .3" rgba="0 0 1 1"/>
    <site name="mark" type="box" size=".2 .2 .1" pos="0 -.5 .3" rgba="0 0 1 1"/>
  </worldbody>
</mujoco>
"""


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(SCENE)


@pytest.fixture(scope="module")
def data(model: mujoco.MjModel) -> mujoco.MjData:
    state = mujoco.MjData(model)
    mujoco.mj_forward(model, state)
    return state


@pytest.fixture
def renderer(model: mujoco.MjModel) -> Iterator[CameraRenderer]:
    with CameraRenderer(model, 96, 64) as made:
        yield made


def colours(image: np.ndarray) -> set[str]:
    """Which of the saturated colours appear in an image, shape (H, W, 3)."""
    strong = image.astype(int)
    others = {"red": (1, 2), "green": (0, 2), "blue": (0, 1)}
    return {
        name
        for index, (name, rest) in enumerate(others.items())
        if (strong[..., index] - strong[..., list(rest)].max(-1) > 60).any()
    }


@pytest.mark.parametrize("hand", [False, True])
@pytest.mark.parametrize("robot", [False, True])
def test_hand_and_robot_on_demand_and_helpers_never(
    renderer: CameraRenderer, data: mujoco.MjData, hand: bool, robot: bool
) -> None:
    image = renderer.render(data, "top", show_hand=hand, show_robot=robot)
    assert (image.shape, image.dtype) == ((64, 96, 3), np.uint8)
    assert colours(image) == {name for name, shown in (("green", hand), ("red", robot)) if shown}


def test_image_is_the_right_way_round(renderer: CameraRenderer, data: mujoco.MjData) -> None:
    image = renderer.render(data, "top", show_hand=True, show_robot=True).astype(int)
    assert image[:, :48, 0].sum() > image[:, 48:, 0].sum()  # the robot, red, is on the left
    side = renderer.render(data, "side", show_hand=False, show_robot=False)
    assert side[-5:].mean() > side[:5].mean()  # the table is below


def test_out_is_filled(renderer: CameraRenderer, data: mujoco.MjData) -> None:
    out = np.zeros((64, 96, 3), np.uint8)
    assert renderer.render(data, 0, show_hand=True, show_robot=True, out=out) is out
    np.testing.assert_array_equal(out, renderer.render(data, "top", show_hand=True, show_robot=True))


def test_images_are_not_overwritten_by_the_next(renderer: CameraRenderer, data: mujoco.MjData) -> None:
    first = renderer.render(data, "top", show_hand=True, show_robot=True)
    copy = first.copy()
    renderer.render(data, "side", show_hand=False, show_robot=False)
    np.testing.assert_array_equal(first, copy)


def test_shadows_are_an_option(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    images = []
    for shadows in (True, False):
        with CameraRenderer(model, 96, 64, shadows=shadows) as renderer:
            images.append(renderer.render(data, "top", show_hand=False, show_robot=True))
    assert images[0].mean() < images[1].mean()


def test_two_renderers_do_not_disturb_each_other(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    with CameraRenderer(model, 96, 64) as large, CameraRenderer(model, 40, 30) as small:
        before = large.render(data, "top", show_hand=True, show_robot=True)
        assert small.render(data, "top", show_hand=True, show_robot=True).shape == (30, 40, 3)
        assert small.image_size == (40, 30)
        np.testing.assert_array_equal(large.render(data, "top", show_hand=True, show_robot=True), before)
        small.close()
        np.testing.assert_array_equal(large.render(data, "top", show_hand=True, show_robot=True), before)


def test_an_image_does_not_depend_on_what_was_drawn_before(
    model: mujoco.MjModel, data: mujoco.MjData
) -> None:
    with CameraRenderer(model, 96, 64) as fresh:
        first = fresh.render(data, "top", show_hand=True, show_robot=True)
        for camera in ("side", "top", "side"):
            last = fresh.render(data, camera, show_hand=False, show_robot=camera == "side")
        np.testing.assert_array_equal(fresh.render(data, "top", show_hand=True, show_robot=True), first)
    with CameraRenderer(model, 96, 64) as other:
        np.testing.assert_array_equal(other.render(data, "side", show_hand=False, show_robot=True), last)
        np.testing.assert_array_equal(other.render(data, "top", show_hand=True, show_robot=True), first)


@pytest.mark.parametrize("camera", ["front", 2, -1])
def test_unknown_camera_names_the_valid_ones(
    renderer: CameraRenderer, data: mujoco.MjData, camera: str | int
) -> None:
    with pytest.raises(ValueError, match=r"\['top', 'side'\]"):
        renderer.render(data, camera, show_hand=True, show_robot=True)


def test_too_large_an_image_says_what_to_enlarge(model: mujoco.MjModel) -> None:
    with pytest.raises(ValueError, match="offwidth"):
        CameraRenderer(model, 97, 64)


def test_closed_renderer_refuses(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    renderer = CameraRenderer(model, 8, 8)
    renderer.close()
    renderer.close()
    with pytest.raises(RuntimeError, match="closed"):
        renderer.render(data, "top", show_hand=True, show_robot=True)


def test_forgotten_renderers_are_freed(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    for _ in range(15):
        CameraRenderer(model, 96, 64).render(data, "top", show_hand=True, show_robot=True)
    gc.collect()
    with CameraRenderer(model, 96, 64) as renderer:
        assert colours(renderer.render(data, "top", show_hand=True, show_robot=True)) == {"red", "green"}


def test_other_threads_have_renderers_of_their_own(model: mujoco.MjModel) -> None:
    images = []

    def work() -> None:
        state = mujoco.MjData(model)
        mujoco.mj_forward(model, state)
        with CameraRenderer(model, 96, 64) as renderer:
            images.append(renderer.render(state, "top", show_hand=True, show_robot=True))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(images[0], images[1])


def test_a_changed_texture_is_sent_again() -> None:
    textured = mujoco.MjModel.from_xml_string(
        '<mujoco><asset><texture name="t" type="2d" builtin="flat" rgb1="1 0 0" width="8" height="8"/>'
        '<material name="m" texture="t" emission="1"/></asset><worldbody><light pos="0 0 3"/>'
        '<camera name="top" pos="0 0 2"/><geom type="box" size="1 1 .1" material="m"/></worldbody></mujoco>'
    )
    state = mujoco.MjData(textured)
    mujoco.mj_forward(textured, state)
    with CameraRenderer(textured, 32, 32) as renderer:
        assert colours(renderer.render(state, "top", show_hand=False, show_robot=False)) == {"red"}
        textured.tex_data[:] = np.tile([0, 255, 0], textured.tex_data.size // 3)
        renderer.refresh_texture(0)
        assert colours(renderer.render(state, "top", show_hand=False, show_robot=False)) == {"green"}


def test_patches_of_a_texture_show_as_the_whole_of_it_would() -> None:
    """At several distances, so that every smaller level of the texture is looked at."""
    cameras = "".join(f'<camera name="{z}" pos="0.1 0.2 {z}"/>' for z in (1, 2, 5, 12, 30, 80))
    textured = mujoco.MjModel.from_xml_string(
        '<mujoco><asset><texture name="t" type="2d" builtin="flat" rgb1="1 0 0" width="64" height="64"/>'
        '<material name="m" texture="t" emission="1"/></asset><worldbody><light pos="0 0 3"/>'
        f'{cameras}<geom type="box" size="1 1 .1" material="m"/></worldbody></mujoco>'
    )
    state, rng = mujoco.MjData(textured), np.random.default_rng(0)
    mujoco.mj_forward(textured, state)
    pixels = textured.tex_data.reshape(64, 64, 3)

    def look(renderer: CameraRenderer) -> list[np.ndarray]:
        return [renderer.render(state, i, show_hand=False, show_robot=True) for i in range(textured.ncam)]

    with CameraRenderer(textured, 48, 48) as patched, CameraRenderer(textured, 48, 48) as whole:
        if not patched.takes_patches(0):
            pytest.skip("this driver rounds mipmaps in another way")
        mipmaps = Mipmaps(pixels)
        for left, top, right, bottom in ((3, 5, 20, 9), (0, 0, 64, 64), (63, 63, 64, 64), (31, 8, 34, 33)):
            pixels[top:bottom, left:right] = rng.integers(0, 256, (bottom - top, right - left, 3))
            patched.patch_texture(0, mipmaps.update((left, top, right, bottom)))
            whole.refresh_texture(0)
            for one, other in zip(look(patched), look(whole), strict=True):
                np.testing.assert_array_equal(one, other)
    with pytest.raises(RuntimeError, match="closed"):
        patched.patch_texture(0, [])


LEFT_OPEN = """
import mujoco
{first}
from h2r_bench.envs.rendering.renderer import CameraRenderer
model = mujoco.MjModel.from_xml_string('''{scene}''')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderers = [CameraRenderer(model, 8, 8) for _ in range(3)]
renderers.append(renderers)  # a reference cycle, collected last
print(renderers[0].render(data, 0, show_hand=True, show_robot=True).shape)
"""


@pytest.mark.parametrize("first", ["", "import h2r_bench.envs; from dm_control import mjcf"])
def test_leaving_renderers_open_makes_no_noise_at_exit(first: str) -> None:
    """Also when MuJoCo was imported before this package could choose the back end for it."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    done = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN.format(first=first, scene=SCENE)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "(8, 8, 3)", "")
