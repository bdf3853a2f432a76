from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2r_bench.statistics import format_rate, wilson_interval

COUNTS = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 20, 0.0, 0.16113),
        (20, 20, 0.83887, 1.0),
        (10, 20, 0.29930, 0.70070),
        (17, 20, 0.63958, 0.94762),
        (1, 1, 0.20654, 1.0),
        (81, 263, 0.25527, 0.36624),  # Newcombe 1998, table I
        (15, 148, 0.06236, 0.16054),  # Newcombe 1998, table I
    ],
)
def test_known_values(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


@given(COUNTS)
def test_contains_the_rate_and_stays_in_bounds(counts: tuple[int, int]) -> None:
    successes, trials = counts
    low, high = wilson_interval(successes, trials)
    assert 0.0 <= low <= successes / trials <= high <= 1.0
    assert low < high


@given(COUNTS)
def test_successes_and_failures_mirror(counts: tuple[int, int]) -> None:
    successes, trials = counts
    low, high = wilson_interval(successes, trials)
    assert wilson_interval(trials - successes, trials) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(COUNTS, st.integers(2, 10))
def test_more_trials_at_the_same_rate_narrow_it(counts: tuple[int, int], times: int) -> None:
    successes, trials = counts
    low, high = wilson_interval(successes, trials)
    narrow_low, narrow_high = wilson_interval(successes * times, trials * times)
    assert narrow_high - narrow_low < high - low


@given(COUNTS)
def test_more_confidence_widens_it(counts: tuple[int, int]) -> None:
    low, high = wilson_interval(*counts, confidence=0.9)
    wide_low, wide_high = wilson_interval(*counts, confidence=0.99)
    assert wide_low <= low
    assert high <= wide_high


def test_bounds_solve_the_score_equation() -> None:
    z = 1.959963984540054
    for bound in wilson_interval(7, 20):
        assert (7 / 20 - bound) ** 2 == pytest.approx(z * z * bound * (1 - bound) / 20)


def test_no_trials_say_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert format_rate(0, 0).startswith("0/0")


@pytest.mark.parametrize(("successes", "trials"), [(-1, 5), (6, 5), (0, -1)])
def test_impossible_counts(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(successes, trials)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, float("nan")])
def test_impossible_confidence(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        wilson_interval(1, 2, confidence)


def test_format() -> None:
    assert format_rate(17, 20) == "17/20 = 85.0% (95 % interval 64.0% to 94.8%)"
