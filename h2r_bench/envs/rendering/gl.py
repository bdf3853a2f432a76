"""Picks the OpenGL back end MuJoCo renders with, before anything imports MuJoCo.

An explicit `MUJOCO_GL` wins; else EGL, else OSMesa. Where neither works, rendering is switched off, so that
everything without images still runs, and the first attempt to render raises `GLUnavailableError`, which names
the package to install. Outside Linux the defaults of MuJoCo are left alone.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import platform
from typing import Final

EGL_PACKAGES: Final = "libegl1 libopengl0 libgl1-mesa-dri"
OSMESA_PACKAGES: Final = "libosmesa6"
OFF: Final = ("disable", "disabled", "off", "false", "0")
"""Values of `MUJOCO_GL` that switch rendering off."""

_EGL_PLATFORM_DEVICE_EXT = 0x313F
_MAX_DEVICES = 16


class GLUnavailableError(RuntimeError):
    """No library to render with; the message says which package brings one."""


def configure() -> str:
    """Choose a back end and tell MuJoCo and PyOpenGL through the environment variables they read.

    Returns:
        The value of `MUJOCO_GL`: "egl", "osmesa", "disable", whatever the user had set, or "" where the
        choice is left to MuJoCo (macOS, Windows).
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower().strip()
    if platform.system() != "Linux":
        return chosen
    if not chosen:
        chosen = _first_working(os.environ.get("PYOPENGL_PLATFORM", "").lower()) or "disable"
        os.environ["MUJOCO_GL"] = chosen
    if chosen in ("egl", "osmesa"):
        # MuJoCo refuses to load when the two disagree.
        os.environ["PYOPENGL_PLATFORM"] = chosen
    return chosen


def require() -> str:
    """The back end in use. Raises GLUnavailableError, with the remedy, when there is none."""
    backend = configure()
    if backend in OFF:
        if _first_working(""):
            raise GLUnavailableError(
                f"Rendering is switched off by MUJOCO_GL={backend}. Unset it, or set it to egl or osmesa."
            )
        raise GLUnavailableError(_missing("No OpenGL library to render with was found.", EGL_PACKAGES))
    if backend == "egl" and not egl_works():
        raise GLUnavailableError(_missing("MUJOCO_GL=egl, but EGL does not work here.", EGL_PACKAGES))
    if backend == "osmesa" and not osmesa_works():
        raise GLUnavailableError(_missing("MUJOCO_GL=osmesa, but libOSMesa is missing.", OSMESA_PACKAGES))
    return backend


def _first_working(preferred: str) -> str | None:
    """The first back end that works here, trying `preferred` first."""
    order = ("osmesa", "egl") if preferred == "osmesa" else ("egl", "osmesa")
    probes = {"egl": egl_works, "osmesa": osmesa_works}
    return next((name for name in order if probes[name]()), None)


def _missing(problem: str, packages: str) -> str:
    """The one error text: what is wrong, and the command that mends it on Debian and Ubuntu."""
    other = OSMESA_PACKAGES if packages == EGL_PACKAGES else EGL_PACKAGES
    return (
        f"{problem} On Debian or Ubuntu install it with:\n"
        f"    sudo apt-get install {packages}\n"
        f"(or, instead: sudo apt-get install {other}, and leave MUJOCO_GL unset)"
    )


def _load(*names: str) -> ctypes.CDLL | None:
    """The first of the shared libraries `names` that loads."""
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def osmesa_works() -> bool:
    """Whether libOSMesa is installed, under the name by which PyOpenGL will look for it."""
    found = ctypes.util.find_library("OSMesa")
    return _load(*([found] if found else []), "libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so") is not None


def egl_works() -> bool:
    """Whether some EGL device, a GPU or Mesa's software one, can be initialised.

    Loading libEGL.so.1 proves too little: the dispatch library is often there without any driver behind it.
    """
    egl = _load("libEGL.so.1", "libEGL.so")
    if egl is None or _load("libOpenGL.so.0", "libGL.so.1", "libGL.so") is None:
        return False
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
    query = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    display_of = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query or not display_of:
        return False
    return any(_initialises(egl, display_of, device) for device in _devices(query))


def _devices(query: int) -> list[int]:
    """Handles of the EGL devices; `query` is the address of eglQueryDevicesEXT."""
    signature = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    handles = (ctypes.c_void_p * _MAX_DEVICES)()
    count = ctypes.c_int(0)
    if not signature(query)(_MAX_DEVICES, ctypes.addressof(handles), ctypes.addressof(count)):
        return []
    return [handle for handle in handles[: count.value] if handle]


def _initialises(egl: ctypes.CDLL, display_of: int, device: int) -> bool:
    """Whether the EGL device can be opened; `display_of` is the address of eglGetPlatformDisplayEXT."""
    signature = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)
    display = signature(display_of)(_EGL_PLATFORM_DEVICE_EXT, device, None)
    if not display:
        return False
    egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    # Left initialised on purpose: MuJoCo opens the same display next, and closes it at exit.
    return bool(egl.eglInitialize(display, None, None))
