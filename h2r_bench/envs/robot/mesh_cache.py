"""Where things are kept that take a moment to compute, such as meshes. Losing them costs only that moment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

CACHE_VARIABLE = "H2R_BENCH_CACHE"
"""Environment variable that moves the cache folder."""


def cache_folder() -> Path:
    """`$H2R_BENCH_CACHE`, else `h2r_bench` in the user's cache folder (`$XDG_CACHE_HOME` or `~/.cache`)."""
    base = Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache")
    return Path(os.environ.get(CACHE_VARIABLE, "") or base / "h2r_bench")


def store(path: Path, data: bytes) -> None:
    """Write a file in one step, so that no reader sees half of it; a read-only cache is no error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            file.write(data)
        Path(file.name).replace(path)
    except OSError:
        return


@contextmanager
def building(what: str) -> Iterator[None]:
    """Say on a terminal that `what` is being built for the first time."""
    with Console(stderr=True).status(f"Building {what}, this once ..."):
        yield
