"""How sure a success rate is."""

from __future__ import annotations

from statistics import NormalDist


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a success rate.

    Twenty trials are few, and rates of 0 and 1 are common: there the textbook interval p +- z sqrt(p(1-p)/n)
    shrinks to a point. Wilson (1927, "Probable inference, the law of succession, and statistical inference")
    inverts the score test instead: with z the normal quantile of `confidence`, p the rate and n the trials,

        centre = (p + z^2 / 2n) / (1 + z^2 / n)
        half   = z sqrt(p (1 - p) / n + z^2 / 4n^2) / (1 + z^2 / n)

    Args:
        successes: number of successes, 0 .. `trials`.
        trials: number of trials; with none at all the interval is everything, (0, 1).
        confidence: coverage, between 0 and 1.

    Returns:
        Lower and upper bound of the rate, within [0, 1].
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must be between 0 and the {trials} trials, got {successes}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate, scale = successes / trials, 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    half = z * (rate * (1 - rate) / trials + z * z / (4 * trials * trials)) ** 0.5 / scale
    # At the ends the bound is exactly the rate; rounding must not move it.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


def format_rate(successes: int, trials: int) -> str:
    """Successes, rate and 95 % Wilson interval as the runner and the tables print them."""
    low, high = wilson_interval(successes, trials)
    rate = successes / trials if trials else 0.0
    return f"{successes}/{trials} = {rate:.1%} (95 % interval {low:.1%} to {high:.1%})"
