"""Arrays that are computed piece by piece or when first asked for, and kept in a file."""

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


def compute_cached(
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


class CachedArray:
    """An array whose rows are computed when they are first asked for, and kept on disk from then on."""

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        compute: Callable[[NDArray[np.int64]], Any],
        piece: int = 64,
    ) -> None:
        """Rows of `shape`[1:] float16 in the file `path`; `compute` gives those at up to `piece` indices."""
        self._compute, self._piece = compute, piece
        self.shape = shape
        self._rows = _opened(path, shape, np.float16)
        self._known = _opened(path.with_suffix(".known.npy"), shape[:1], np.bool_)

    def __getitem__(self, index: NDArray[np.int64]) -> NDArray[np.float16]:
        """The rows at `index`, shape (*index shape, *row shape)."""
        wanted = np.unique(index)
        missing = wanted[~self._known[wanted]]
        for start in range(0, len(missing), self._piece):
            some = missing[start : start + self._piece]
            self._rows[some] = self._compute(some)
            self._known[some] = True
        rows: NDArray[np.float16] = self._rows[index]
        return rows


def _opened(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> Any:
    """A memory map that can be written to. Raises ValueError when the file is of another shape."""
    if not path.is_file():
        return np.lib.format.open_memmap(path, "w+", dtype, shape)
    array = np.lib.format.open_memmap(path, "r+")
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{path} holds {array.shape} instead of {shape}: delete it to make it anew")
    return array
