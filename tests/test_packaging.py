"""Wheel and sdist hold what they should, install by themselves, and work where the sources are not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SMOKE = """
import sys
import gymnasium, h2r_bench
from pathlib import Path
from h2r_bench.policies.catalog import AGENTS
from h2r_bench.statistics import wilson_interval
home = Path(h2r_bench.__file__).parent
assert str(home).startswith(sys.argv[1]), home
assert (home / "py.typed").exists()
assert "h2r_bench/PickPlace-v0" in gymnasium.registry
assert AGENTS.get("random").load() is not None
assert wilson_interval(0, 20)[0] == 0.0
import importlib.util
assert not any(importlib.util.find_spec(name) for name in ("envs", "policies", "real", "assets"))
print(h2r_bench.__version__)
"""


def python(*arguments: str | Path, cwd: Path, executable: str = sys.executable) -> str:
    """Run Python outside the checkout and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [executable, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources without what is built, recorded or cached beside them."""
    target = tmp_path_factory.mktemp("sources") / "checkout"
    leftovers = (".*", "runs", "data", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, target, symlinks=True, ignore=shutil.ignore_patterns(*leftovers))
    return target


@pytest.fixture(scope="module")
def dist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with an sdist, and the wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    python("-m", "build", "--no-isolation", "--outdir", folder, checkout, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def sdist(dist: Path) -> Path:
    (path,) = dist.glob("*.tar.gz")
    return path


def test_wheel_holds_one_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"h2r_bench"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_holds_every_module_and_asset(wheel: Path, checkout: Path) -> None:
    """Nothing a checkout has is lost on the way: a package without __init__.py, an asset of another kind."""
    package = checkout / "h2r_bench"
    wanted = {path.relative_to(checkout).as_posix() for path in package.rglob("*") if path.is_file()}
    assert wanted == {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("h2r_bench/")}


def test_sdist_holds_the_package_once(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "h2r_bench/py.typed",
        "h2r_bench/envs/rendering/gl.py",
    } <= names
    assert not any(name.startswith(("envs/", "policies/", "real/", "assets/")) for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_installs_and_works_elsewhere(
    kind: str, checkout: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Installed without its dependencies, which are borrowed from the environment of the tests."""
    target = checkout if kind == "editable" else request.getfixturevalue(kind)
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False)
    executable = str(environment / "bin" / "python")
    own = Path(python("-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    theirs = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "-q"]
    editable = ["--editable"] if kind == "editable" else []
    (theirs / "borrowed.pth").write_text(f"import sys; sys.path.append({str(own)!r})\n")
    python("-m", "pip", "--python", executable, "install", *options, *editable, target, cwd=tmp_path)
    home = str(checkout if kind == "editable" else environment)
    assert python("-c", SMOKE, home, cwd=tmp_path, executable=executable).strip()
