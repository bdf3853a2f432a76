"""Camera images of a MuJoCo model, without a window and without noise when the interpreter exits.

MuJoCo's own `Renderer` binds its OpenGL library when `mujoco` is first imported and frees its context in
`__del__`, which at interpreter exit can come after EGL was shut down. Here the library is bound when a
renderer is made, and whatever is still open at exit is freed by a handler that runs before EGL's own.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import weakref
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np

from h2r_bench.envs.rendering import gl

gl.configure()  # before MuJoCo is imported, which reads the choice once

import mujoco  # noqa: E402

from h2r_bench.envs.rendering import texture_upload  # noqa: E402
from h2r_bench.envs.rendering.mipmaps import Patch  # noqa: E402
from h2r_bench.types import UInt8Array  # noqa: E402

SCENE_GROUPS: Final = (0, 1)
"""Geom groups of table, props and surroundings: always shown."""
ROBOT_GROUP: Final = 2
"""Geom group of the robot's visual meshes."""
COLLISION_GROUP: Final = 3
"""Geom group of collision shapes: never shown."""
HAND_GROUP: Final = 4
"""Geom and skin group of the human hand and its sleeve."""

_MAX_GEOMS = 2000
_CONTEXT_CLASSES = {"egl": "mujoco.egl", "osmesa": "mujoco.osmesa", "": "mujoco.gl_context"}

_renderers: weakref.WeakSet[CameraRenderer] = weakref.WeakSet()


class CameraRenderer:
    """Renders one model's cameras at one size. Use a renderer in the thread that made it."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int, *, shadows: bool = True) -> None:
        """Prepare to render `model` at `width` x `height` [pixels].

        Raises:
            GLUnavailableError: no OpenGL library is there; the message names the package to install.
            ValueError: the model's offscreen buffer is smaller than the image.
        """
        buffer = model.vis.global_
        if width > buffer.offwidth or height > buffer.offheight:
            raise ValueError(
                f"image {width}x{height} exceeds the offscreen buffer {buffer.offwidth}x{buffer.offheight}: "
                'enlarge <visual><global offwidth="..." offheight="..."/></visual>'
            )
        self._context: mujoco.MjrContext | None = None
        self._process = os.getpid()
        self._model = model
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._scene = mujoco.MjvScene(model, maxgeom=_MAX_GEOMS)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
        self._flipped = np.empty((height, width, 3), np.uint8)
        self._cameras: dict[str | int, mujoco.MjvCamera] = {}
        self._takes_patches: dict[int, bool] = {}
        # One OpenGL context each: two MuJoCo contexts in one of them change each other's light.
        self._gl = _new_gl_context()
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._flush = importlib.import_module("OpenGL.GL").glFlush
        _renderers.add(self)

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height [pixels]."""
        return self._rect.width, self._rect.height

    def render(
        self,
        data: mujoco.MjData,
        camera: str | int,
        *,
        show_hand: bool,
        show_robot: bool,
        out: UInt8Array | None = None,
    ) -> UInt8Array:
        """The view of `camera`, shape (H, W, 3) RGB, written into `out` when given.

        Args:
            data: the state to draw; `mj_forward` must have been called on it.
            camera: name or index of a camera of the model.
            show_hand: draw the human hand.
            show_robot: draw the robot.
            out: array of the same shape to fill instead of a new one.

        Raises:
            RuntimeError: the renderer is closed.
            ValueError: the model has no such camera; the message lists those it has.
        """
        self.begin(data, camera, show_hand=show_hand, show_robot=show_robot)
        return self.finish(out)

    def begin(self, data: mujoco.MjData, camera: str | int, *, show_hand: bool, show_robot: bool) -> None:
        """Start to draw what `finish` gives; `data` may change as soon as this returns.

        A software renderer fills in the pixels on threads of its own, so what is done before `finish` costs
        little. Raises as `render` does.
        """
        if self._context is None:
            raise RuntimeError("this renderer is closed")
        option = _visible(show_hand=show_hand, show_robot=show_robot)
        self._gl.make_current()
        every = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, data, option, None, self._camera(camera), every, self._scene)
        mujoco.mjr_render(self._rect, self._scene, self._context)
        self._flush()

    def finish(self, out: UInt8Array | None = None) -> UInt8Array:
        """The image that was begun last, shape (H, W, 3) RGB, written into `out` when given."""
        if self._context is None:
            raise RuntimeError("this renderer is closed")
        self._gl.make_current()
        mujoco.mjr_readPixels(self._flipped, None, self._rect, self._context)
        image = np.empty_like(self._flipped) if out is None else out
        image[:] = self._flipped[::-1]  # OpenGL's first row is the lowest
        return image

    def refresh_texture(self, texture_id: int) -> None:
        """Send a texture of the model to the graphics memory again, after its pixels were changed."""
        if self._context is None:
            raise RuntimeError("this renderer is closed")
        self._gl.make_current()
        mujoco.mjr_uploadTexture(self._model, self._context, texture_id)

    def takes_patches(self, texture_id: int) -> bool:
        """Whether `patch_texture` gives what `refresh_texture` would, as drivers differ in how they round.

        The texture must be a square RGB one, its side a power of two.
        """
        if self._context is None:
            raise RuntimeError("this renderer is closed")
        if texture_id not in self._takes_patches:
            self._gl.make_current()
            name = int(self._context.texture[texture_id])
            self._takes_patches[texture_id] = texture_upload.driver_agrees(name)
        return self._takes_patches[texture_id]

    def patch_texture(self, texture_id: int, patches: Sequence[Patch]) -> None:
        """Send what changed of a texture of the model, and of its mipmaps, since it was last sent."""
        if self._context is None:
            raise RuntimeError("this renderer is closed")
        self._gl.make_current()
        texture_upload.send(int(self._context.texture[texture_id]), patches)

    def close(self) -> None:
        """Free the graphics memory. Closing twice is fine."""
        context, self._context = self._context, None
        if context is None or self._process != os.getpid():
            return
        with contextlib.suppress(Exception):  # another thread may hold it
            self._gl.make_current()
            context.free()
            self._gl.free()

    def __del__(self) -> None:
        # Also runs when __init__ has raised. At exit everything is closed already, see _close_all.
        if getattr(self, "_context", None) is not None:
            self.close()

    def __enter__(self) -> CameraRenderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _camera(self, camera: str | int) -> mujoco.MjvCamera:
        """MuJoCo's description of a fixed camera, kept for the next frame."""
        if camera not in self._cameras:
            view = mujoco.MjvCamera()
            view.type = mujoco.mjtCamera.mjCAMERA_FIXED
            view.fixedcamid = _camera_index(self._model, camera)
            self._cameras[camera] = view
        return self._cameras[camera]


def _camera_index(model: mujoco.MjModel, camera: str | int) -> int:
    """Index of a camera given by name or index. Raises ValueError naming the valid ones."""
    names = [model.camera(i).name for i in range(model.ncam)]
    if isinstance(camera, str) and camera in names:
        return names.index(camera)
    if isinstance(camera, int) and 0 <= camera < model.ncam:
        return camera
    raise ValueError(f"no camera {camera!r}; this model has {names}")


@lru_cache(maxsize=4)
def _visible(*, show_hand: bool, show_robot: bool) -> mujoco.MjvOption:
    """What to draw: the scene always, hand and robot on demand; sites, tendons, collisions never."""
    option = mujoco.MjvOption()
    for groups in (option.geomgroup, option.skingroup, option.sitegroup, option.tendongroup):
        groups[:] = 0
    option.geomgroup[list(SCENE_GROUPS)] = 1
    option.geomgroup[ROBOT_GROUP] = show_robot
    option.geomgroup[HAND_GROUP] = show_hand
    option.skingroup[HAND_GROUP] = show_hand
    return option


def _new_gl_context() -> Any:
    """An OpenGL context of the chosen back end. Raises GLUnavailableError."""
    module = importlib.import_module(_CONTEXT_CLASSES.get(gl.require(), "mujoco.gl_context"))
    # MuJoCo draws into a buffer of its own, so the context's size does not matter.
    context = module.GLContext(64, 64)
    # Exit handlers run last in, first out: this one must come after MuJoCo's, which ends the EGL display.
    atexit.unregister(_close_all)
    atexit.register(_close_all)
    return context


def _close_all() -> None:
    """At exit: close every renderer while the display is still open."""
    for renderer in list(_renderers):
        renderer.close()
