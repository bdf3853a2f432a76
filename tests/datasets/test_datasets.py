from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from h2r_bench.datasets import DatasetError, DatasetMeta, EpisodeStore, shards, staging
from h2r_bench.datasets.h264 import KEY_EVERY, join_videos, read_video, write_video
from h2r_bench.datasets.lerobot_format import ARRAYS, FACTS, INFO_FILE, MAX_OBJECTS, read_tasks
from h2r_bench.datasets.lock import hold

from episodes import make_dataset, make_episode

if TYPE_CHECKING:
    from pathlib import Path

BITS = 12


def coded(numbers: np.ndarray, side: int = 96) -> np.ndarray:
    """Frames that show a number each, as black and white bars."""
    frames = np.zeros((len(numbers), side, side, 3), np.uint8)
    for frame, number in zip(frames, numbers, strict=True):
        for bit in range(BITS):
            frame[:, 8 * bit : 8 * bit + 8] = 255 * (int(number) >> bit & 1)
    return frames


def decoded(frames: np.ndarray) -> list[int]:
    """The numbers that frames show."""
    return [sum((int(f[40, 8 * bit + 4, 0]) > 127) << bit for bit in range(BITS)) for f in frames]


def assert_same(read: object, wrote: object) -> None:
    for key in ARRAYS:
        np.testing.assert_array_equal(getattr(read, key), getattr(wrote, key))
    for key in FACTS:
        assert getattr(read, key) == getattr(wrote, key)
    for key in ("human", "robot"):
        assert np.abs(getattr(read, key).astype(int) - getattr(wrote, key)).mean() < 4


def test_what_is_written_is_read(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", 3)
    store = EpisodeStore.open(tmp_path / "data")
    assert len(store) == 3
    for index, read in enumerate(store):
        assert_same(read, make_episode(index))
        assert store.length(index) == len(read)
    assert store.steps == sum(len(make_episode(index)) for index in range(3))


def test_frame_i_of_the_file_is_frame_i_that_was_rendered(tmp_path: Path) -> None:
    lengths, first, parts = [13, 1, 40, KEY_EVERY, 27], 0, []
    for number, length in enumerate(lengths):
        parts.append(tmp_path / f"{number}.mp4")
        write_video(parts[-1], coded(np.arange(first, first + length)), 10.0)
        first += length
    join_videos(parts, tmp_path / "all.mp4", 10.0)
    assert decoded(read_video(tmp_path / "all.mp4")) == list(range(first))
    for start in range(first):
        assert decoded(read_video(tmp_path / "all.mp4", start, 7)) == list(
            range(start, min(start + 7, first))
        )


def test_frames_of_an_episode_are_addressed_exactly_across_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "EPISODES_PER_SHARD", 2)
    store = EpisodeStore.create(tmp_path, DatasetMeta(world=1, image_size=(96, 96)))
    from dataclasses import replace

    for index in range(5):
        video = coded(np.arange(100 * index, 100 * index + 12))
        store.write(index, replace(make_episode(index, size=(96, 96)), human=video, robot=video))
    store.publish()
    assert len(list((tmp_path / "data/chunk-000").iterdir())) == 3
    for index in range(5):
        for name in ("human", "robot"):
            assert decoded(store.read_frames(index, name, 3, 5)) == list(
                range(100 * index + 3, 100 * index + 8)
            )


def test_a_video_keeps_its_frames_and_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    frames = make_episode(steps=7, size=(48, 32)).human
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, frames, 10.0)
    assert read_video(tmp_path / "a.mp4").shape == (7, 32, 48, 3)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_the_layout_is_lerobots(tmp_path: Path) -> None:
    store = make_dataset(tmp_path, 3)
    info = json.loads((tmp_path / INFO_FILE).read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["total_episodes"], info["total_frames"]) == (3, store.steps)
    steps = pq.read_table(tmp_path / "data/chunk-000/file-000.parquet")
    described = {name for name, each in info["features"].items() if each["dtype"] != "video"}
    assert set(steps.column_names) == described
    assert steps.column("index").to_pylist() == list(range(store.steps))
    rows = pq.read_table(tmp_path / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [row["dataset_to_index"] - row["dataset_from_index"] for row in rows] == [12, 12, 12]
    assert read_tasks(tmp_path) == ["push the square"]
    stats = json.loads((tmp_path / "meta/stats.json").read_text())
    every = np.concatenate([make_episode(index).state for index in range(3)]).astype(float)
    np.testing.assert_allclose(stats["observation.state"]["mean"], every.mean(0), atol=1e-6)
    np.testing.assert_allclose(stats["observation.state"]["std"], every.std(0), atol=1e-6)
    assert np.shape(stats["observation.images.robot"]["mean"]) == (3, 1, 1)


def test_an_episode_that_is_there_stays(tmp_path: Path) -> None:
    store = make_dataset(tmp_path / "data", 1)
    store.write(0, make_episode(99))
    store.publish()
    assert [episode.seed for episode in store] == [0]
    assert not staging.staged(store.root)


def test_what_waits_is_published_in_order_and_without_gaps(tmp_path: Path) -> None:
    store = make_dataset(tmp_path, 1)
    store.write(2, make_episode(2))
    store.publish()
    assert len(store) == 1
    assert store.recorded == {0, 2}
    store.write(1, make_episode(1))
    store.publish(partial=False)
    assert len(store) == 1
    store.publish()
    assert [episode.seed for episode in store] == [0, 1, 2]


@pytest.mark.parametrize("where", ["join_videos", "write_parquet", "write_tasks", "_write_steps"])
def test_publishing_goes_on_after_it_was_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    store = make_dataset(tmp_path, 1)
    store.write(1, make_episode(1))

    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    if where == "write_tasks":
        monkeypatch.setattr(shards, "read_tasks", lambda _: [])
    monkeypatch.setattr(shards, where, fail)
    with pytest.raises(OSError, match="No space"):
        store.publish()
    monkeypatch.undo()
    again = EpisodeStore.open(tmp_path)
    assert len(again) == 1
    assert_same(again[0], make_episode(0))
    again.publish()
    assert_same(again[1], make_episode(1))


def test_an_interrupted_write_leaves_no_episode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_dataset(tmp_path / "data", 1)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(staging, "save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        store.write(1, make_episode(1))
    monkeypatch.undo()
    assert not staging.staged(store.root)
    store.write(1, make_episode(1))
    store.publish()
    assert len(EpisodeStore.open(store.root)) == 2


def test_a_dataset_goes_on_only_with_the_same_meta(tmp_path: Path) -> None:
    store = make_dataset(tmp_path / "data", 1)
    assert len(EpisodeStore.create(store.root, store.meta)) == 1
    with pytest.raises(DatasetError, match="world"):
        EpisodeStore.create(store.root, DatasetMeta(world=2, image_size=(32, 32), recipe=store.meta.recipe))


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no dataset at"):
        EpisodeStore.open(tmp_path)
    (tmp_path / "meta").mkdir()
    for content, message in (
        ("{", "not readable"),
        ("{}", "another origin"),
        (json.dumps({"h2r_bench": {"schema": 99}}), "layout 99"),
    ):
        (tmp_path / INFO_FILE).write_text(content)
        with pytest.raises(DatasetError, match=message):
            EpisodeStore.open(tmp_path)


def test_an_episode_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    store, good = make_dataset(tmp_path, 1), make_episode(1)
    with pytest.raises(DatasetError, match=r"episode 1: human has frames \(48, 48, 3\)"):
        store.write(1, make_episode(1, size=(48, 48)))
    with pytest.raises(DatasetError, match="lengths differ"):
        store.write(1, replace(good, robot=good.robot[:-1]))
    many = np.zeros((len(good), MAX_OBJECTS + 1, 9), np.float32)
    with pytest.raises(DatasetError, match="objects"):
        store.write(1, replace(good, object_pose=many))
    assert store.recorded == {0}


def test_damaged_files_are_named(tmp_path: Path) -> None:
    store = make_dataset(tmp_path, 2)
    video = tmp_path / "videos/observation.images.human/chunk-000/file-000.mp4"
    steps = tmp_path / "data/chunk-000/file-000.parquet"
    whole = video.read_bytes()
    for damage in (whole[: len(whole) // 2], b""):
        video.write_bytes(damage)
        with pytest.raises(DatasetError, match=r"images\.human.*episode 1"):
            store[1]
    write_video(video, make_episode(0).human, 10.0)
    with pytest.raises(DatasetError, match="ends in episode 1: 0 frames for 12 steps"):
        store[1]
    steps.unlink()
    with pytest.raises(DatasetError, match=r"file-000\.parquet cannot be read for episode 1"):
        store[1]
    (tmp_path / "meta/episodes/chunk-000/file-000.parquet").write_bytes(b"no")
    with pytest.raises(DatasetError, match="cannot be read"):
        EpisodeStore.open(tmp_path)


def test_two_writers_on_one_folder(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(DatasetError, match="another process"), hold(tmp_path):
        pass
    with hold(tmp_path):
        pass


def test_a_real_recording_has_no_object_poses(tmp_path: Path) -> None:
    from dataclasses import replace

    store = EpisodeStore.create(tmp_path, DatasetMeta(world=0, image_size=(32, 32)))
    store.write(0, replace(make_episode(0), object_pose=None))
    store.publish()
    assert store[0].object_pose is None
