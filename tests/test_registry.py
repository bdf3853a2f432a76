from __future__ import annotations

import pytest

from h2r_bench.registry import Registry, UnknownNameError


@pytest.fixture
def fruit() -> Registry[int]:
    registry: Registry[int] = Registry("fruit")
    registry.add("apple", 1, aliases=("pomme",))
    registry.add("banana", 2)
    return registry


def test_keeps_order_and_values(fruit: Registry[int]) -> None:
    assert fruit.names() == list(fruit) == ["apple", "banana"]
    assert (fruit.get("apple"), fruit.get("banana"), len(fruit)) == (1, 2, 2)


def test_alias_leads_to_the_registered_name(fruit: Registry[int]) -> None:
    assert fruit.canonical("pomme") == "apple"
    assert fruit.get("pomme") == 1
    assert "pomme" not in fruit.names()


@pytest.mark.parametrize("name", ["apple", "pomme"])
def test_a_taken_name_is_refused(fruit: Registry[int], name: str) -> None:
    with pytest.raises(ValueError, match="already registered"):
        fruit.add(name, 3)
    with pytest.raises(ValueError, match="already registered"):
        fruit.add("other", 3, aliases=(name,))
    assert fruit.names() == ["apple", "banana"]


def test_unknown_name_teaches(fruit: Registry[int]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        fruit.get("bananna")
    message = str(caught.value)
    assert "Unknown fruit 'bananna'" in message
    assert "Did you mean 'banana'?" in message
    assert "apple, banana" in message


def test_no_suggestion_where_nothing_is_near(fruit: Registry[int]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        fruit.get("xyz")
    assert "Did you mean" not in str(caught.value)
