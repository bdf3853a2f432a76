from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from episodes import make_dataset, make_episode

from h2r_bench.datasets import DatasetError, DatasetMeta, EpisodeStore
from h2r_bench.datasets.store import ARRAYS, FACTS
from h2r_bench.datasets.video import read_video, write_video

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", 2)
    store = EpisodeStore.open(tmp_path / "data")
    assert len(store) == 2
    for index, read in enumerate(store):
        wrote = make_episode(index)
        for key in ARRAYS:
            np.testing.assert_array_equal(getattr(read, key), getattr(wrote, key))
        for key in FACTS:
            assert getattr(read, key) == getattr(wrote, key)
        for key in ("human", "robot"):
            assert getattr(read, key).shape == getattr(wrote, key).shape
            assert np.abs(getattr(read, key).astype(int) - getattr(wrote, key)).mean() < 4


def test_a_video_keeps_its_frames_and_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    frames = make_episode(steps=7, size=(48, 32)).human
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, frames, 10.0)
    assert read_video(tmp_path / "a.mp4").shape == (7, 32, 48, 3)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_an_episode_that_is_there_stays(tmp_path: Path) -> None:
    store = make_dataset(tmp_path / "data", 1)
    store.write(0, make_episode(99))
    assert store[0].seed == 0
    assert [path.name for path in (store.root / "episodes").iterdir()] == ["episode_000000"]


def test_an_interrupted_write_leaves_no_episode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_dataset(tmp_path / "data", 1)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("h2r_bench.datasets.store.save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        store.write(1, make_episode(1))
    monkeypatch.undo()
    assert len(EpisodeStore.open(store.root)) == 1
    store.write(1, make_episode(1))
    assert len(EpisodeStore.open(store.root)) == 2


def test_a_dataset_goes_on_only_with_the_same_meta(tmp_path: Path) -> None:
    store = make_dataset(tmp_path / "data", 1)
    assert len(EpisodeStore.create(store.root, store.meta)) == 1
    with pytest.raises(DatasetError, match="world"):
        EpisodeStore.create(store.root, DatasetMeta(world=2, image_size=(32, 32), recipe=store.meta.recipe))


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no dataset at"):
        EpisodeStore.open(tmp_path)
    (tmp_path / "meta.json").write_text("{")
    with pytest.raises(DatasetError, match="not readable"):
        EpisodeStore.open(tmp_path)
    (tmp_path / "meta.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(DatasetError, match="layout 99"):
        EpisodeStore.open(tmp_path)


def test_a_video_that_is_too_short_is_noticed(tmp_path: Path) -> None:
    store = make_dataset(tmp_path / "data", 1)
    write_video(store.folder(0) / "robot.mp4", make_episode(steps=5).robot, 10.0)
    with pytest.raises(DatasetError, match="5 frames for 12 steps"):
        store[0]
