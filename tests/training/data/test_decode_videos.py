from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from h2r_bench import train
from h2r_bench.datasets import DatasetError, EpisodeStore
from h2r_bench.datasets.lock import hold
from h2r_bench.training.data.decode_videos import decode, decode_raw
from h2r_bench.training.data.frames import frames_folder, load_frames

from episodes import make_dataset

if TYPE_CHECKING:
    from pathlib import Path


def test_raw_frames_are_those_of_the_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_dataset(tmp_path / "data")
    decode_raw(store.root, workers=2)
    monkeypatch.setattr("h2r_bench.training.data.frames.write_pictures", None)
    frames = load_frames(store.root, (32, 32))
    for name in ("human", "robot"):
        wanted = np.concatenate([getattr(episode, name) for episode in EpisodeStore.open(store.root)])
        np.testing.assert_array_equal(getattr(frames, name)[:], wanted)
    picked = frames.robot[np.array([[3, 0], [5, 3]])]
    np.testing.assert_array_equal(picked[0, 0], picked[1, 1])
    assert decode_raw(store.root, workers=2).is_dir()
    assert not list(store.root.rglob("*.part.npy"))


def test_one_process_decodes_at_a_time(tmp_path: Path) -> None:
    store = make_dataset(tmp_path / "data")
    with hold(frames_folder(store.root, len(store))), pytest.raises(DatasetError, match="another process"):
        decode_raw(store.root, workers=1)


def test_two_processes_give_the_jpegs_of_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = (make_dataset(tmp_path / name) for name in ("one", "two"))
    load_frames(one.root, (32, 32))
    assert train.main(["frames", "--data", str(two.root), "--workers", "2"]) == 0
    assert "GB in" in capsys.readouterr().out
    for name in ("human.jpegs", "robot.jpegs"):
        first, second = (next(store.root.rglob(name)).read_bytes() for store in (one, two))
        assert first == second


def test_no_dataset_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no dataset"):
        decode(tmp_path, workers=1)
    assert train.main(["frames", "--data", str(tmp_path)]) == 2
