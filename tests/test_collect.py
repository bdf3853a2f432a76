from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from episodes import make_episode

from h2r_bench import collect
from h2r_bench.collect import CollectConfig, Order, order, parse_size
from h2r_bench.datasets import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.types import Episode


def fake(asked: Order) -> Episode:
    """Stands for the recorder; importable by workers."""
    return make_episode(asked.seed, size=asked.image_size)


def config(out: Path, **changes: object) -> CollectConfig:
    return CollectConfig(out, **{"episodes": 4, "size": "64x64", "workers": 1, **changes})  # type: ignore[arg-type]


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    for workers in (1, 2):
        collect.collect(config(tmp_path / str(workers), workers=workers), 1, fake)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


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
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_more_episodes_keep_those_that_are_there(tmp_path: Path) -> None:
    first = contents(collect.collect(config(tmp_path / "a", episodes=2), 1, fake).root)
    more = contents(collect.collect(config(tmp_path / "a", episodes=3), 1, fake).root)
    assert first.items() <= more.items()
    with pytest.raises(DatasetError, match="seed"):
        collect.collect(config(tmp_path / "a", seed=1), 1, fake)


def test_the_mixture(tmp_path: Path) -> None:
    orders = [order(config(tmp_path), index) for index in range(2000)]
    tasks = [each.task for each in orders]
    assert tasks.count("pick_place") / 2000 == pytest.approx(8 / 18, abs=0.04)
    assert tasks.count("rotation") / 2000 == pytest.approx(4 / 18, abs=0.04)
    assert sum(each.shift_cm > 0 for each in orders) / 2000 == pytest.approx(0.3, abs=0.04)
    assert sum(each.cue == "video" for each in orders) / 2000 == pytest.approx(0.5, abs=0.04)
    assert max(each.shift_cm for each in orders) <= 4.0
    assert len({each.seed for each in orders}) == 2000


@pytest.mark.parametrize("text", ["128", "128x", "0x128", "127x128", "axb"])
def test_a_size_is_two_even_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="WIDTHxHEIGHT"):
        parse_size(text)


@pytest.mark.parametrize(
    "changes", [{"episodes": 0}, {"workers": 0}, {"seed": -1}, {"shifted": 1.5}, {"tasks": ("x",)}]
)
def test_settings_are_checked(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"--|training task"):
        config(tmp_path, **changes)
