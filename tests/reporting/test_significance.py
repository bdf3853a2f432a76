from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("statsmodels")

from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from h2r_bench.reporting.significance import boschloo_p, holm, mcnemar_p, pair, trials_needed
from h2r_bench.statistics import wilson_interval

COUNTS = st.integers(0, 200)
P_VALUES = st.lists(st.floats(0, 1), max_size=12)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [
        # Fagerland, Lydersen and Laake (2013), table 1 (Bentur et al.): exact conditional test.
        (1, 7, 0.0703),
        # Fay, vignette "Exact McNemar's test" of the R package exact2x2.
        (9, 2, 0.06543),
        # By hand: one of six coins, both tails.
        (0, 6, 2 / 64),
        (3, 3, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemar_on_published_examples(only_first: int, only_second: int, p_value: float) -> None:
    assert mcnemar_p(only_first, only_second) == pytest.approx(p_value, abs=5e-5)


@given(COUNTS, COUNTS)
def test_mcnemar_is_the_tail_of_a_fair_coin(first: int, second: int) -> None:
    total = first + second
    tail = sum(math.comb(total, k) for k in range(min(first, second) + 1)) / 2**total
    assert mcnemar_p(first, second) == pytest.approx(min(1.0, 2 * tail), rel=1e-9)
    assert mcnemar_p(first, second) == mcnemar_p(second, first)


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        mcnemar_p(-1, 3)


def test_boschloo_on_published_examples() -> None:
    # Mehta and Senchaudhuri (2003), vaccine trial, 7 of 15 against 12 of 15: one-sided 0.0341.
    assert boschloo_p(7, 15, 12, 15) == pytest.approx(2 * 0.0341, abs=2e-4)
    # SciPy's reference page of boschloo_exact, 74 of 117 against 31 of 63, one-sided 0.0355.
    assert boschloo_p(74, 117, 31, 63) == pytest.approx(2 * 0.0355, abs=2e-4)


@given(st.integers(1, 12), st.integers(1, 12), st.data())
@settings(max_examples=25, deadline=None)
def test_boschloo_is_valid_symmetric_and_no_weaker_than_fisher(n: int, m: int, data: st.DataObject) -> None:
    from scipy.stats import fisher_exact

    a, b = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    p_value = boschloo_p(a, n, b, m)
    assert 0 < p_value <= 1
    assert p_value == pytest.approx(boschloo_p(b, m, a, n), abs=1e-6)
    table = [[a, b], [n - a, m - b]]
    one_sided = min(fisher_exact(table, alternative=side).pvalue for side in ("less", "greater"))
    assert p_value <= min(1.0, 2 * one_sided) + 1e-6


def test_boschloo_without_anything_to_tell() -> None:
    assert boschloo_p(0, 20, 0, 20) == boschloo_p(20, 20, 5, 5) == boschloo_p(0, 0, 3, 7) == 1.0
    with pytest.raises(ValueError, match="between 0 and the 5 trials"):
        boschloo_p(6, 5, 0, 5)


def test_holm_on_published_examples() -> None:
    # Wikipedia, "Holm-Bonferroni method", example of four hypotheses.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_that_of_statsmodels(seed: int) -> None:
    p_values = np.random.default_rng(seed).random(9) ** 3
    assert holm(list(p_values)) == pytest.approx(multipletests(p_values, method="holm")[1])


@given(P_VALUES)
def test_holm_lies_between_the_raw_and_bonferroni(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for raw, value in zip(p_values, adjusted, strict=True):
        assert raw <= value + 1e-12
        assert value <= min(1.0, raw * len(p_values)) + 1e-12
    in_order = [value for _, value in sorted(zip(p_values, adjusted, strict=True))]
    assert in_order == sorted(in_order)


def test_trials_needed_on_published_examples() -> None:
    # R's reference page of power.prop.test: n = 76.7 for 50 % against 75 % with 90 % power.
    assert trials_needed(0.50, 0.75, power=0.9) == 77
    # The same page: 50 trials have a power of 0.740.
    assert trials_needed(0.50, 0.75, power=0.740) == 50


@given(st.integers(0, 100), st.integers(0, 100))
def test_trials_needed_is_symmetric(a: int, b: int) -> None:
    if a == b:
        with pytest.raises(ValueError, match="two different rates"):
            trials_needed(a / 100, b / 100)
        return
    needed = trials_needed(a / 100, b / 100)
    assert needed >= 1
    assert abs(needed - trials_needed(b / 100, a / 100)) <= 1
    assert needed >= trials_needed(0.0, 1.0)


@pytest.mark.parametrize("rates", [(-0.1, 0.5), (0.5, 1.1), (0.5, 0.5)])
def test_trials_needed_refuses_what_are_no_two_rates(rates: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="two different rates"):
        trials_needed(*rates)


@given(st.dictionaries(st.integers(0, 30), st.booleans()), st.dictionaries(st.integers(0, 30), st.booleans()))
def test_pairs_count_what_both_have(first: dict[int, bool], second: dict[int, bool]) -> None:
    pairs = pair(first, second)
    shared = first.keys() & second.keys()
    assert len(pairs) == len(shared)
    assert pairs.both + pairs.only_first == sum(first[key] for key in shared)
    assert pairs.both + pairs.only_second == sum(second[key] for key in shared)
    if shared:
        rates = [sum(each[key] for key in shared) / len(shared) for each in (first, second)]
        assert pairs.difference == pytest.approx(rates[0] - rates[1])
    else:
        assert (pairs.difference, pairs.p_value) == (0.0, 1.0)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_that_of_statsmodels(counts: tuple[int, int]) -> None:
    theirs = proportion_confint(*counts, method="wilson")
    assert wilson_interval(*counts) == pytest.approx(theirs, abs=1e-12)
