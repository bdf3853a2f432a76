"""Many pictures in one file, each compressed by itself: a random one costs a fraction of a millisecond.

Raw frames of the full dataset would fill 27 GB, and a random frame of an H.264 file has to be decoded from
the key frame before it. As JPEG of high quality they fit into the page cache of a laptop.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from h2r_bench.types import UInt8Array

QUALITY = 95
"""JPEG quality; the videos themselves are lossy already."""


class JpegStore:
    """N pictures of equal size, read by index like an array of shape (N, H, W, 3)."""

    def __init__(self, path: Path) -> None:
        """Open what `write_pictures` wrote at `path`."""
        record = json.loads(path.with_suffix(".json").read_text())
        self._ends = np.load(path.with_suffix(".npy"))
        self._bytes = np.memmap(path, np.uint8, "r")
        self.shape: tuple[int, int, int, int] = (len(self._ends), *record["size"], 3)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: Any) -> UInt8Array:
        """Pictures at an integer, a slice or an array of integers: shape (*index shape, H, W, 3)."""
        chosen = np.arange(len(self))[index]
        flat = [self._decode(int(number)) for number in np.ravel(chosen)]
        return np.array(flat, np.uint8).reshape(*np.shape(chosen), *self.shape[1:])

    def _decode(self, number: int) -> UInt8Array:
        start = int(self._ends[number - 1]) if number else 0
        with Image.open(io.BytesIO(self._bytes[start : self._ends[number]].tobytes())) as image:
            return np.asarray(image)


def write_pictures(path: Path, batches: Iterable[UInt8Array], tick: Callable[[], None]) -> None:
    """Write all pictures of `batches`, each (T, H, W, 3), to `path`; `tick` is called after each batch."""
    part, ends, end, size = path.with_suffix(".part"), [], 0, (0, 0)
    with part.open("wb") as file:
        for batch in batches:
            size = (batch.shape[1], batch.shape[2])
            for picture in batch:
                file.write(blob := _encode(picture))
                end += len(blob)
                ends.append(end)
            tick()
    np.save(path.with_suffix(".npy"), np.array(ends, np.int64))
    path.with_suffix(".json").write_text(json.dumps({"size": list(size), "quality": QUALITY}))
    part.replace(path)


def _encode(picture: UInt8Array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()
