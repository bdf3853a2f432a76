"""Whether two success rates differ, and how many trials would show it.

Needs the `report` extra; the interval of a single rate is in `h2r_bench.statistics`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from scipy.stats import boschloo_exact
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

ALPHA = 0.05
"""Two rates differ significantly when the (adjusted) p-value lies below this."""
POWER = 0.8
"""Chance of telling two rates apart that `trials_needed` asks for."""

Key = TypeVar("Key")


@dataclass(frozen=True)
class Pairs:
    """How two agents fared on the same trials."""

    both: int
    only_first: int
    only_second: int
    neither: int

    def __len__(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float:
        """Rate of the first minus rate of the second, -1..1; 0 without trials."""
        return (self.only_first - self.only_second) / max(1, len(self))

    @property
    def p_value(self) -> float:
        """Two-sided exact McNemar test: were the disagreements a fair coin?"""
        return mcnemar_p(self.only_first, self.only_second)


def pair(first: Mapping[Key, bool], second: Mapping[Key, bool]) -> Pairs:
    """Compare outcomes on the trials that both have."""
    shared = [(first[key], second[key]) for key in first.keys() & second.keys()]
    return Pairs(
        both=shared.count((True, True)),
        only_first=shared.count((True, False)),
        only_second=shared.count((False, True)),
        neither=shared.count((False, False)),
    )


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Two-sided exact McNemar test of paired outcomes from the counts that disagree.

    McNemar (1947), "Note on the sampling error of the difference between correlated proportions"; exact:
    twice the tail of a binomial with one half, at most 1.
    """
    if min(only_first, only_second) < 0:
        raise ValueError(f"counts are 0 or more, got {only_first} and {only_second}")
    if only_first == only_second:
        return 1.0
    return float(mcnemar([[0, only_first], [only_second, 0]], exact=True).pvalue)


@lru_cache(maxsize=4096)
def boschloo_p(successes_1: int, trials_1: int, successes_2: int, trials_2: int) -> float:
    """Two-sided Boschloo test of two independent success rates.

    Boschloo (1970), "Raised conditional level of significance for the 2x2 table": exact like Fisher's test
    but uniformly more powerful, for the total of successes is not fixed beforehand.
    """
    for successes, trials in ((successes_1, trials_1), (successes_2, trials_2)):
        if not 0 <= successes <= trials:
            raise ValueError(f"successes must be between 0 and the {trials} trials, got {successes}")
    successes, trials = successes_1 + successes_2, trials_1 + trials_2
    if successes in (0, trials) or 0 in (trials_1, trials_2):
        return 1.0
    table = [[successes_1, successes_2], [trials_1 - successes_1, trials_2 - successes_2]]
    return min(1.0, float(boschloo_exact(table).pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being many, in the same order.

    Holm (1979), "A simple sequentially rejective multiple test procedure": the chance of even one false
    finding among all stays below the level. (statsmodels has it too, behind a full garbage collection that
    takes longer than all other statistics of a report together.)
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = largest
    return adjusted


def trials_needed(rate_1: float, rate_2: float, power: float = POWER, alpha: float = ALPHA) -> int:
    """How many trials each of two agents needs for their rates to differ significantly.

    By the normal approximation (Fleiss, Levin and Paik, "Statistical Methods for Rates and Proportions",
    section 4.2, without continuity correction), two-sided, as if trials were not paired; the same seeds for
    both need rather fewer, Holm's correction more.

    Raises:
        ValueError: a rate lies outside 0..1, or they are equal.
    """
    if not (0 <= rate_1 <= 1 and 0 <= rate_2 <= 1) or rate_1 == rate_2:
        raise ValueError(f"two different rates in 0..1 are needed, got {rate_1} and {rate_2}")
    trials = samplesize_proportions_2indep_onetail(
        rate_1 - rate_2, rate_2, power, alpha=alpha, alternative="two-sided"
    )
    return max(1, math.ceil(float(trials)))
