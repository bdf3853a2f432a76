from __future__ import annotations

import os
import subprocess
import sys

import pytest

from h2r_bench.envs.rendering import gl


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM"):
        monkeypatch.setenv(name, "")  # remembered, so that it is put back
    monkeypatch.setattr("platform.system", lambda: "Linux")


def pretend(monkeypatch: pytest.MonkeyPatch, *, egl: bool, osmesa: bool) -> None:
    monkeypatch.setattr(gl, "egl_works", lambda: egl)
    monkeypatch.setattr(gl, "osmesa_works", lambda: osmesa)


@pytest.mark.parametrize(
    ("egl", "osmesa", "expected"),
    [(True, True, "egl"), (True, False, "egl"), (False, True, "osmesa"), (False, False, "disable")],
)
def test_egl_first_then_osmesa(
    monkeypatch: pytest.MonkeyPatch, egl: bool, osmesa: bool, expected: str
) -> None:
    pretend(monkeypatch, egl=egl, osmesa=osmesa)
    assert gl.configure() == expected
    assert os.environ["MUJOCO_GL"] == expected


@pytest.mark.parametrize("explicit", ["egl", "osmesa", "glfw", "disable"])
def test_an_explicit_choice_wins(monkeypatch: pytest.MonkeyPatch, explicit: str) -> None:
    pretend(monkeypatch, egl=True, osmesa=True)
    monkeypatch.setenv("MUJOCO_GL", explicit)
    assert gl.configure() == explicit
    assert os.environ["MUJOCO_GL"] == explicit


@pytest.mark.parametrize("explicit", ["egl", "osmesa"])
def test_pyopengl_is_told_the_same(monkeypatch: pytest.MonkeyPatch, explicit: str) -> None:
    monkeypatch.setenv("MUJOCO_GL", explicit)
    monkeypatch.setenv("PYOPENGL_PLATFORM", "something else")
    gl.configure()
    assert os.environ["PYOPENGL_PLATFORM"] == explicit


def test_a_wish_for_pyopengl_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, egl=True, osmesa=True)
    monkeypatch.setenv("PYOPENGL_PLATFORM", "osmesa")
    assert gl.configure() == "osmesa"


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    assert gl.configure() == ""
    assert os.environ["MUJOCO_GL"] == ""


@pytest.mark.parametrize(
    ("explicit", "package"), [("", "libegl1"), ("egl", "libegl1"), ("osmesa", "libosmesa6")]
)
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, explicit: str, package: str) -> None:
    pretend(monkeypatch, egl=False, osmesa=False)
    monkeypatch.setenv("MUJOCO_GL", explicit)
    with pytest.raises(gl.GLUnavailableError, match=f"apt-get install {package}"):
        gl.require()


def test_switched_off_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, egl=True, osmesa=False)
    monkeypatch.setenv("MUJOCO_GL", "off")
    with pytest.raises(gl.GLUnavailableError, match="switched off by MUJOCO_GL=off"):
        gl.require()


def test_probes_survive_missing_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", nothing)
    assert not gl.egl_works()
    assert not gl.osmesa_works()


WITHOUT_LIBRARIES = """
import ctypes
def nothing(name, *rest, **options):
    raise OSError(f"{name}: cannot open shared object file")
real, ctypes.CDLL = ctypes.CDLL, nothing
from h2r_bench.envs.rendering import gl
ctypes.CDLL = real
import mujoco
from h2r_bench.envs.rendering.renderer import CameraRenderer
ctypes.CDLL = nothing
model = mujoco.MjModel.from_xml_string("<mujoco/>")
try:
    CameraRenderer(model, 8, 8)
except gl.GLUnavailableError as error:
    print(error)
"""


def test_a_machine_without_libraries_imports_everything_and_says_what_to_install() -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBRARIES],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"sudo apt-get install {gl.EGL_PACKAGES}" in done.stdout
    assert done.stderr == ""


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ["mujoco", "torch", "dm_control", "OpenGL"]
    code = f"import sys, h2r_bench; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
