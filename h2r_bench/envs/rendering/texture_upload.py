"""A texture that changes while it is shown: only what changed of it is sent to the graphics memory.

MuJoCo sends a texture whole and lets the driver make all its mipmaps again, which costs a software renderer a
fifth of the time of an image. Use all of this with the texture's OpenGL context current.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import numpy as np

from h2r_bench.envs.rendering.mipmaps import Mipmaps, Patch

_PROBE_SIDE = 256
"""Side of the picture with which a driver's mipmaps are looked at [pixels]."""


def send(name: int, patches: Sequence[Patch]) -> None:
    """Send what changed of the RGB texture that OpenGL calls `name`."""
    gl = importlib.import_module("OpenGL.GL")
    # The bare call: its namesake in OpenGL.GL looks at each array for longer than it takes to send it.
    put = importlib.import_module("OpenGL.raw.GL.VERSION.GL_1_1").glTexSubImage2D
    gl.glActiveTexture(gl.GL_TEXTURE0)
    gl.glBindTexture(gl.GL_TEXTURE_2D, name)
    gl.glPixelStorei(gl.GL_UNPACK_ALIGNMENT, 1)
    for level, (left, top, right, bottom), pixels in patches:
        place = (left, top, right - left, bottom - top)
        put(gl.GL_TEXTURE_2D, level, *place, gl.GL_RGB, gl.GL_UNSIGNED_BYTE, pixels.tobytes())


def driver_agrees(name: int) -> bool:
    """Whether the driver would make the very mipmaps of `Mipmaps` for the texture that OpenGL calls `name`.

    Drivers differ in how they round. It is tried on noise, in another texture of the same format.
    """
    gl = importlib.import_module("OpenGL.GL")
    noise = np.random.default_rng(0).integers(0, 256, (_PROBE_SIDE, _PROBE_SIDE, 3), np.uint8)
    gl.glActiveTexture(gl.GL_TEXTURE0)
    gl.glBindTexture(gl.GL_TEXTURE_2D, name)
    kind = int(gl.glGetTexLevelParameteriv(gl.GL_TEXTURE_2D, 0, gl.GL_TEXTURE_INTERNAL_FORMAT))
    for store in (gl.GL_UNPACK_ALIGNMENT, gl.GL_PACK_ALIGNMENT):
        gl.glPixelStorei(store, 1)
    probe = gl.glGenTextures(1)
    gl.glBindTexture(gl.GL_TEXTURE_2D, probe)
    place, pixel = (_PROBE_SIDE, _PROBE_SIDE, 0), (gl.GL_RGB, gl.GL_UNSIGNED_BYTE)
    gl.glTexImage2D(gl.GL_TEXTURE_2D, 0, kind, *place, *pixel, noise)
    gl.glGenerateMipmap(gl.GL_TEXTURE_2D)
    alike = True
    for level, expected in enumerate(Mipmaps(noise).levels):
        made = np.empty_like(expected)
        gl.glGetTexImage(gl.GL_TEXTURE_2D, level, *pixel, made)
        alike = alike and np.array_equal(made, expected)
    gl.glDeleteTextures([probe])
    return alike
