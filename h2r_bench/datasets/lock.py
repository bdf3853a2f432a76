"""One writer per folder. The lock goes with the process that holds it, however that ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from h2r_bench.datasets.layout import DatasetError


@contextmanager
def hold(root: Path) -> Iterator[None]:
    """Be the one that writes to `root` until the end of the block.

    Raises:
        DatasetError: another process is.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatasetError(f"{root} is being written by another process: wait for its end") from None
        yield
