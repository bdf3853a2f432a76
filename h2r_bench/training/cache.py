"""Arrays that are computed piece by piece, kept in a file, and gone on with after an interruption."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import track

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def filled(
    path: Path, shape: tuple[int, ...], piece: int, compute: Callable[[slice], Any], title: str
) -> NDArray[np.float16]:
    """A float16 memory map of `shape` at `path`, whose rows `compute(rows)` gives `piece` at a time."""
    marker = path.with_suffix(".json")
    done = int(json.loads(marker.read_text())["rows"]) if marker.is_file() and path.is_file() else 0
    if done < shape[0]:
        array = np.lib.format.open_memmap(path, "r+" if done else "w+", np.float16, None if done else shape)
        starts = range(done, shape[0], piece)
        for start in track(starts, title, console=Console(stderr=True)):
            rows = slice(start, min(start + piece, shape[0]))
            array[rows] = compute(rows)
            array.flush()
            marker.write_text(json.dumps({"rows": rows.stop}))
    loaded: NDArray[np.float16] = np.load(path, mmap_mode="r")
    if loaded.shape != shape:
        raise ValueError(f"{path} holds {loaded.shape} instead of {shape}: delete it to make it anew")
    return loaded
