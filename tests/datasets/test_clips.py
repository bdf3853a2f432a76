from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from h2r_bench.datasets import EpisodeStore
from h2r_bench.datasets.clips import ClipDataset

from episodes import make_dataset

if TYPE_CHECKING:
    from pathlib import Path


def test_a_clip_is_the_frames_from_its_start(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    clips, store = ClipDataset(tmp_path, count=40, frames=5), EpisodeStore.open(tmp_path)
    for index in range(40):
        episode, start = clips.place(index)
        whole, item = store[episode], clips[index]
        steps = np.minimum(np.arange(start, start + 5), len(whole) - 1)
        for name in ("human", "robot", "state", "action", "hand_pose"):
            np.testing.assert_array_equal(item[name], getattr(whole, name)[steps])
    assert {clips.place(index)[0] for index in range(40)} == {0, 1, 2}


def test_workers_change_nothing(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    clips = ClipDataset(tmp_path, count=8, frames=4, seed=3)
    alone = list(DataLoader(clips, batch_size=4))
    spread = list(DataLoader(clips, batch_size=4, num_workers=2, multiprocessing_context="spawn"))
    for one, other in zip(alone, spread, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path, 1)
    with pytest.raises(ValueError, match="no episodes of writing"):
        ClipDataset(tmp_path, count=1, tasks=["writing"])
    with pytest.raises(ValueError, match="at least 1"):
        ClipDataset(tmp_path, count=0)
    with pytest.raises(IndexError, match="clip 2 of 2"):
        ClipDataset(tmp_path, count=2)[2]
