"""Files that outlive a crash, a full disk and a second process: locks, and lines that are only appended."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class BusyError(OSError):
    """Another process is writing; the message says where."""


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the lock on the file `path`, which is made where it is missing, until the end of the block.

    The lock goes with the process that holds it, however that ends. The file itself stays.

    Raises:
        BusyError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{path} is being written by another process: wait for its end") from None
        yield


def append_line(path: Path, line: bytes) -> None:
    """Append one line, without its line break: all of it is on disk when this returns, or nothing.

    Raises OSError when the disk does not take it.
    """
    raw = line + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        before = os.fstat(handle).st_size
        try:
            taken = os.write(handle, raw)
            if taken != len(raw):
                raise OSError(f"{path}: the disk took only part of a line")
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, before)  # half a line would spoil the next one
            raise
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write `path` whole or not at all: what the block writes to the place it is given becomes `path` then.

    Readers see the old file or the new one. After an error in the block the old one stays. The folder is made
    where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{os.getpid()}.{path.name}")  # some writers look at the ending
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes | str) -> None:
    """Write bytes, or text as UTF-8, to `path`, whole or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
