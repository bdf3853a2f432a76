from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.files import BusyError, append_line, only_writer, replacing, write_whole


@given(st.text())
def test_text_is_written_whole_as_utf_8(text: str) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "deep" / "file"
        write_whole(path, text)
        assert path.read_bytes() == text.encode()
        assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_an_error_leaves_what_was_there_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def fail() -> None:
        with replacing(path) as unfinished:
            unfinished.write_bytes(b"half of the n")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="full"):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def try_to_write(path: Path) -> bool:
    try:
        with only_writer(path):
            return True
    except BusyError:
        return False


def test_another_process_is_kept_out_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with only_writer(path):
            assert not pool.apply(try_to_write, (path,))
        assert pool.apply(try_to_write, (path,))


def test_lines_are_appended_whole(tmp_path: Path) -> None:
    for line in (b"one", b"two"):
        append_line(tmp_path / "deep" / "log", line)
    assert (tmp_path / "deep" / "log").read_bytes() == b"one\ntwo\n"
