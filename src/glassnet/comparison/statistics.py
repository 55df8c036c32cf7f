"""Intervals from a few seeds: a mean by Student's t, and a difference seed by seed.

With three numbers the spread itself is hardly known, and Student's t (1908, "The probable error of a mean") pays for
that with a wide interval: 4.30 standard errors, where endless seeds would need 1.96. Seeds are shared by all options:
the same seed splits and orders the pictures alike, so what a lucky split gives to both drops out of their difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

CONFIDENCE = 0.95
MOST_SEEDS = 50  # beyond it a difference is too small to chase


@dataclass(frozen=True)
class Interval:
    """A mean and the `half` width of its 95 % interval; `half` is None for a single number, which has no spread."""

    mean: float
    half: float | None
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.half is not None and abs(self.mean) > self.half


def t_inside(t: float, freedom: int) -> float:
    """Return the probability that Student's t with `freedom` degrees lies in [-t, t]; t >= 0.

    The finite series for whole degrees of freedom (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4), in the angle
    atan(t / sqrt(freedom)).
    """
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(1 + odd, freedom, 2):  # odd: 1, 2/3 cos^2, 2*4/(3*5) cos^4 ... times cos; even: 1, 1/2 cos^2 ...
        total += term
        term *= cosine**2 * k / (k + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


@cache
def t_quantile(freedom: int, confidence: float = CONFIDENCE) -> float:
    """Return the t for which Student's t with `freedom` >= 1 degrees lies in [-t, t] with probability `confidence`.

    >>> round(t_quantile(2), 3)
    4.303
    """
    low, high = 0.0, math.pi / 2  # of the angle, by bisection: 60 halvings leave nothing of a double
    for _ in range(60):
        middle = (low + high) / 2
        if t_inside(math.tan(middle) * math.sqrt(freedom), freedom) < confidence:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(freedom)


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of at least two `values` as a sample: the sum of squares over n - 1."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def interval(values: Sequence[float]) -> Interval:
    """Return the mean of `values` with its 95 % interval: t times s / sqrt(n)."""
    n = len(values)
    half = t_quantile(n - 1) * deviation(values) / math.sqrt(n) if n > 1 else None
    return Interval(math.fsum(values) / n, half, n)


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Return how much `ours` is above `theirs`, number by number: both come from the same seeds in the same order."""
    return interval([a - b for a, b in zip(ours, theirs, strict=True)])


def seeds_needed(ours: Sequence[float], theirs: Sequence[float]) -> int | None:
    """Return how many seeds would separate a difference of this size and spread, None where over `MOST_SEEDS`.

    A guess from the few seeds there are: both the difference and its spread may turn out otherwise.
    """
    found = difference(ours, theirs)
    if found.half is None:
        return None
    spread = found.half * math.sqrt(found.n) / t_quantile(found.n - 1)
    enough = (n for n in range(found.n, MOST_SEEDS + 1) if t_quantile(n - 1) * spread / math.sqrt(n) < abs(found.mean))
    return next(enough, None)


def chance_of_a_fluke(comparisons: int) -> float:
    """Return how likely at least one of so many independent 95 % intervals misses the truth."""
    return 1 - CONFIDENCE**comparisons
