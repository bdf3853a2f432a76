from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from h2r_bench.training.data.jpeg_store import JpegStore, write_pictures

from episodes import make_episode

if TYPE_CHECKING:
    from pathlib import Path


def test_pictures_are_read_like_an_array(tmp_path: Path) -> None:
    videos, batches = [make_episode(seed, size=(48, 32)).human for seed in range(3)], []
    write_pictures(tmp_path / "some.jpegs", videos, lambda: batches.append(1))
    whole, pictures = np.concatenate(videos), JpegStore(tmp_path / "some.jpegs")
    assert len(batches) == 3
    assert pictures.shape == whole.shape
    for index in (0, -1, slice(3, 20, 4), np.array([[5, 0], [35, 12]])):
        assert pictures[index].shape == whole[index].shape
        assert np.abs(pictures[index].astype(int) - whole[index]).mean() < 2
    assert not list(tmp_path.glob("*.part"))
