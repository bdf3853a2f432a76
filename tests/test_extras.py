"""The core, and the bridge on top of it, do without what learned agents need."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from h2r_bench import extras

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LEARNING = ("torch", "diffusers", "accelerate", "transformers", "stable_baselines3", "skimage", "tensorboard")
BLOCKED = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {LEARNING}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
"""
"""Makes imports of these fail as if they were not installed."""

WALK = """
import importlib, json, pkgutil, h2r_bench
broken = {}
for found in pkgutil.walk_packages(h2r_bench.__path__, "h2r_bench.", onerror=lambda name: None):
    if not found.name.endswith("__main__"):
        try:
            importlib.import_module(found.name)
        except ImportError as error:
            broken[found.name] = f"{type(error).__name__}: {error}"
print(json.dumps(broken))
"""
"""Imports every module; prints those that fail, with the reason."""

RUN = """
from h2r_bench import run
for policy in ("expert", "h2r"):
    words = ["--task", "pick_place", "--policy", policy, "--trials", "1", "--out", sys.argv[1]]
    print("status", run.main(words))
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=! ]", each, maxsplit=1)[0].lower().replace("-", "_") for each in requirements}


def needs(extra: str) -> set[str]:
    """Everything that the extra installs beyond the core, through other extras of ours too."""
    found: set[str] = set()
    for requirement in PROJECT["optional-dependencies"][extra]:
        ours = re.match(r"h2r-bench\[(.+)\]", requirement)
        found |= set().union(*map(needs, ours[1].split(","))) if ours else names([requirement])
    return found


def test_neither_core_nor_bridge_names_what_only_learning_needs() -> None:
    assert not names(PROJECT["dependencies"]) & set(LEARNING)
    for extra in ("real", "remote", "xarm", "hdf5", "report"):
        assert not needs(extra) & set(LEARNING), extra


def test_what_learns_builds_on_one_extra() -> None:
    for extra in ("agents", "train", "paper", "test"):
        assert {"torch", "diffusers"} <= needs(extra), extra


def test_every_library_is_in_the_extra_that_is_named() -> None:
    packages = {"cv2": "opencv_python_headless", "franky": "franky_control", "skimage": "scikit_image"}
    for module, extra in extras.EXTRA_OF.items():
        assert packages.get(module, "xarm_python_sdk" if module == "xarm" else module) in needs(extra), module


def test_without_pytorch_modules_import_or_say_what_to_install() -> None:
    done = python(WALK)
    assert done.returncode == 0, done.stderr
    broken: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    assert not [name for name, said in broken.items() if re.search(f"named '({'|'.join(LEARNING)})", said)]
    core = ("run", "collect", "report", "serve", "evaluation.runner", "remote.server", "datasets.store")
    for name in core:
        assert f"h2r_bench.{name}" not in broken
    whole = ("h2r_bench.envs", "h2r_bench.real", "h2r_bench.reporting", "h2r_bench.remote.client")
    assert not [name for name, said in broken.items() if name.startswith(whole) and "franky" not in said]


def test_without_pytorch_trials_run_and_learned_agents_say_what_to_install(tmp_path: Path) -> None:
    done = python(RUN, str(tmp_path))
    assert [line for line in done.stdout.splitlines() if line.startswith("status")] == [
        "status 0",
        "status 2",
    ], done.stderr
    assert "torch is not installed: pip install 'h2r-bench[agents]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", ["train", "predict"])
def test_without_pytorch_programs_that_need_it_say_so_in_one_line(program: str) -> None:
    code = f"import runpy; runpy.run_module('h2r_bench.{program}', run_name='__main__')"
    done = python(code)
    assert done.returncode == 2
    assert done.stderr == "error: torch is not installed: pip install 'h2r-bench[agents]'\n"


def test_what_is_there_is_not_refused() -> None:
    extras.require("msgpack", "torch")


def test_other_missing_modules_are_not_explained() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such'"), extras.explained():
        import no_such  # type: ignore[import-not-found]  # noqa: F401


def test_submodules_are_explained_by_their_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarm", None)
    with (
        pytest.raises(extras.MissingLibraryError, match=r"pip install 'h2r-bench\[xarm\]'"),
        extras.explained(),
    ):
        import xarm.wrapper  # noqa: F401
