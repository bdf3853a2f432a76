from __future__ import annotations

from pathlib import Path

import pytest

import h2r_bench

from tool_modules import load_tool

house = load_tool("house")


@pytest.mark.parametrize("rule", ["crowded", "unmarked", "doubled_modules", "doubled_classes", "forbidden"])
def test_the_house_keeps_its_rules(rule: str) -> None:
    assert getattr(house, rule)() == []


def test_files_are_short() -> None:
    assert {name: size for name, size in house.lengths().items() if size > house.MOST_LINES} == {}


def test_every_room_is_on_a_floor() -> None:
    on_floors = {name for floor in house.FLOORS for name in floor}
    rooms = {house.room(module) for module in house.modules()} - {"__init__"}
    assert rooms == on_floors


def test_an_arrow_upward_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "bad.py").write_text(
        "from h2r_bench.policies.catalog import AGENTS\nimport h2r_bench.real.trials\n"
        "def late():\n    from h2r_bench import run\n"
    )
    monkeypatch.setattr(house, "PACKAGE", tmp_path)
    assert house.forbidden() == [
        "envs.bad -> policies.catalog",
        "envs.bad -> real.trials",
        "envs.bad -> run",
    ]


def test_the_package_is_what_is_looked_at() -> None:
    assert Path(h2r_bench.__file__).parent == house.PACKAGE
