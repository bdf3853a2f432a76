from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from h2r_bench import collect
from h2r_bench.datasets import DatasetError, EpisodeStore, shards
from h2r_bench.datasets.collection import CollectConfig, Order, orders, parse_size, task_order
from h2r_bench.datasets.lock import hold
from h2r_bench.envs.registration import TASK_WEIGHTS

from episodes import make_episode

if TYPE_CHECKING:
    from h2r_bench.types import Episode


def fake(asked: Order) -> Episode:
    """Stands for the recorder; importable by workers."""
    return make_episode(asked.seed, size=asked.image_size)


def slow(asked: Order) -> Episode:
    """A recorder that takes a moment."""
    time.sleep(0.05)
    return fake(asked)


def config(out: Path, **changes: object) -> CollectConfig:
    return CollectConfig(out, **{"episodes": 4, "size": "64x64", "workers": 1, **changes})  # type: ignore[arg-type]


def assert_equal(one: Path, two: Path) -> None:
    """Both datasets hold the same episodes."""
    first, second = EpisodeStore.open(one), EpisodeStore.open(two)
    assert len(first) == len(second)
    for position in range(len(first)):
        assert first.read_facts(position) == second.read_facts(position)
        for name, values in first.read_arrays(position).items():
            np.testing.assert_array_equal(values, second.read_arrays(position)[name])
        for name in ("human", "robot"):
            np.testing.assert_array_equal(
                first.read_frames(position, name), second.read_frames(position, name)
            )


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    for workers in (1, 2):
        collect.collect(config(tmp_path / str(workers), workers=workers), 1, fake)
    assert_equal(tmp_path / "1", tmp_path / "2")


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    left = [3]

    def tiring(asked: Order) -> Episode:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return fake(asked)

    with pytest.raises(KeyboardInterrupt):
        collect.collect(config(tmp_path / "a"), 1, tiring)
    left[0] = 1
    assert len(collect.collect(config(tmp_path / "a"), 1, tiring)) == 4
    collect.collect(config(tmp_path / "b"), 1, fake)
    assert_equal(tmp_path / "a", tmp_path / "b")


def test_a_killed_run_goes_on_and_leaves_no_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(__file__).parent
    program = (
        "import sys; sys.path[:0] = [{tests!r}, {helpers!r}, {root!r}]\n"
        "from pathlib import Path\n"
        "import test_collect as t\n"
        "from h2r_bench import collect\n"
        "if __name__ == '__main__':\n"
        "    t.shards.EPISODES_PER_SHARD = 3\n"
        "    collect.collect(t.config(Path({out!r}), episodes=40, workers=2), 1, t.slow)\n"
    ).format(tests=str(here), helpers=str(here / "helpers"), root=str(here.parent), out=str(tmp_path / "a"))
    script = tmp_path / "run.py"
    script.write_text(program)
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while (
        len(list((tmp_path / "a/meta/episodes").rglob("file*.parquet"))) < 2 and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    children = _children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert children
    assert not [child for child in children if Path(f"/proc/{child}/exe").exists()]
    store = EpisodeStore.open(tmp_path / "a")
    assert 6 <= len(store) < 40
    store[len(store) - 1]
    monkeypatch.setattr(shards, "EPISODES_PER_SHARD", 3)
    collect.collect(config(tmp_path / "a", episodes=40), 1, fake)
    collect.collect(config(tmp_path / "b", episodes=40), 1, fake)
    assert_equal(tmp_path / "a", tmp_path / "b")


def _children(process: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_more_episodes_keep_those_that_are_there(tmp_path: Path) -> None:
    collect.collect(config(tmp_path / "a", episodes=2), 1, fake)
    collect.collect(config(tmp_path / "a", episodes=5), 1, fake)
    collect.collect(config(tmp_path / "b", episodes=5), 1, fake)
    assert_equal(tmp_path / "a", tmp_path / "b")
    with pytest.raises(DatasetError, match="seed"):
        collect.collect(config(tmp_path / "a", seed=1), 1, fake)


def test_two_collectors_on_one_folder(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(DatasetError, match="another process"):
        collect.collect(config(tmp_path), 1, fake)


def test_the_mixture(tmp_path: Path) -> None:
    tasks = task_order(tuple(TASK_WEIGHTS), 2600)
    assert {task: tasks.count(task) for task in tasks} == pytest.approx(TASK_WEIGHTS, abs=1)
    assert tasks[:260].count("pick_place") == pytest.approx(80, abs=1)
    asked = orders(config(tmp_path, episodes=2000))
    assert sum(each.shift_cm > 0 for each in asked) / 2000 == pytest.approx(0.3, abs=0.04)
    assert sum(each.cue == "video" for each in asked) / 2000 == pytest.approx(0.5, abs=0.04)
    assert max(each.shift_cm for each in asked) <= 4.0
    assert len({each.seed for each in asked}) == 2000
    assert orders(config(tmp_path, episodes=100)) == asked[:100]


@pytest.mark.parametrize("text", ["128", "128x", "0x128", "127x128", "axb"])
def test_a_size_is_two_even_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="WIDTHxHEIGHT"):
        parse_size(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"episodes": 0},
        {"workers": 0},
        {"seed": -1},
        {"shifted": 1.5},
        {"fps": 20},
        {"tasks": ("instance_gen",)},
    ],
)
def test_settings_are_checked(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"--|training task"):
        config(tmp_path, **changes)


def test_the_command_line_records_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--out",
        str(tmp_path),
        "--episodes",
        "2",
        "--size",
        "32x32",
        "--fps",
        "30",
        "--workers",
        "1",
    ]
    assert collect.main(arguments) == 0
    told = capsys.readouterr().out
    assert "2 episodes" in told
    assert "0 held-out things" in told
    store = EpisodeStore.open(tmp_path)
    assert store.meta.rate_hz == 30.0
    episode = store[0]
    np.testing.assert_array_equal(episode.action[0], episode.action[2])
    assert np.abs(np.diff(episode.state[:, :3], axis=0)).max() < 0.02
    assert collect.main(["--replay", str(tmp_path), "--workers", "1"]) == 0
    assert "2/2" in capsys.readouterr().out
    assert collect.main(["--show", str(tmp_path)]) == 0
    assert (tmp_path / "index.html").stat().st_size > 10_000
    assert collect.main([*arguments, "--seed", "1"]) == 2
    assert "made otherwise (seed)" in capsys.readouterr().err
