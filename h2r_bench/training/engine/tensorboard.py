"""TensorBoard, where it is installed: `tensorboard --logdir DIR` shows losses and pictures of a run."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from h2r_bench.types import UInt8Array

EVERY = 10
"""Steps between two points of a curve."""


def sheet(*rows: UInt8Array) -> UInt8Array:
    """Rows of pictures, each (n, H, W, 3), as one picture (rows H, n W, 3)."""
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows])


class TensorBoardLogger:
    """Writes to `out`/tensorboard; without TensorBoard, or in a process that is not the first, to nowhere."""

    def __init__(self, out: Path, active: bool = True) -> None:
        self._writer: Any = None
        if active and importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(out / "tensorboard"))

    def scalars(self, step: int, **values: float) -> None:
        """Points of curves, by name."""
        if self._writer is not None and step % EVERY == 0:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def pictures(self, step: int, sample: Callable[[], dict[str, UInt8Array]] | None) -> None:
        """Pictures (H, W, 3) by name, made only when there is somewhere to show them."""
        if self._writer is not None and sample is not None:
            for name, picture in sample().items():
                self._writer.add_image(name, picture, step, dataformats="HWC")
            self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
