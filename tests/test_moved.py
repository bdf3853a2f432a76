"""Old import paths that users may have."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from h2r_bench import moved


@pytest.mark.parametrize("old", moved.MODULES)
def test_an_old_path_hands_out_what_is_at_the_new_one(old: str) -> None:
    module = importlib.import_module(f"h2r_bench.{old}")
    for place in moved.MODULES[old]:
        new = importlib.import_module(f"h2r_bench.{place}")
        names = [
            name for name, value in vars(new).items() if getattr(value, "__module__", "") == new.__name__
        ]
        assert names
        with pytest.warns(DeprecationWarning, match="is now"):
            assert getattr(module, names[0]) is getattr(new, names[0])


def test_old_names_are_found_under_old_paths() -> None:
    with pytest.warns(DeprecationWarning, match="ChunkRequest"):
        from h2r_bench.policies.chunking import ChunkingAgent, Due  # type: ignore[import-not-found]
    from h2r_bench.policies.common.chunking import ChunkingAgent as New
    from h2r_bench.policies.common.chunking import ChunkRequest

    assert (ChunkingAgent, Due) == (New, ChunkRequest)


def test_what_is_gone_is_said_to_be() -> None:
    with pytest.raises(ImportError, match="nothing"):
        from h2r_bench.trials import nothing  # type: ignore[import-not-found]  # noqa: F401
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("h2r_bench.never_was")


def test_nothing_in_the_package_imports_from_an_old_path() -> None:
    program = (
        "import warnings; warnings.simplefilter('error', DeprecationWarning, append=False)\n"
        "warnings.filterwarnings('ignore', module='(?!h2r_bench)')\n"
        "import h2r_bench.run, h2r_bench.collect, h2r_bench.report, h2r_bench.real.trials\n"
        "import sys; from h2r_bench import moved\n"
        "sys.exit(any(f'h2r_bench.{old}' in sys.modules for old in moved.MODULES))\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
