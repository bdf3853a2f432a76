"""One writer per folder. The lock goes with the process that holds it, however that ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from h2r_bench.datasets.lerobot_format import DatasetError
from h2r_bench.files import BusyError, only_writer


@contextmanager
def hold(root: Path) -> Iterator[None]:
    """Be the one that writes to `root` until the end of the block.

    Raises:
        DatasetError: another process is.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(only_writer(root / ".lock"))
        except BusyError:
            raise DatasetError(f"{root} is being written by another process: wait for its end") from None
        yield
