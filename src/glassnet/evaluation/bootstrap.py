"""Confidence intervals by the bootstrap (Efron 1979): what would the number be on another test set like this one?

Drawing N items with replacement and counting them into a confusion matrix is the same as drawing one multinomial
sample from the matrix's cells. So 1,000 resamples cost 1,000 small draws, however many items there are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glassnet.errors import InputError

LEVEL = 0.95
RESAMPLES = 1000


def resampled_statistic(
    confusion: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """`statistic`, a function of (R, K, K) counts to (R,), on `resamples` bootstrap draws of a confusion matrix."""
    total = int(confusion.sum())
    if total == 0 or resamples < 1:
        raise InputError(f"the bootstrap needs at least one item and one resample; got {total} and {resamples}")
    generator = np.random.default_rng(seed)
    cells = np.nonzero(confusion.ravel())[0]  # a cell nobody is in stays empty
    shares = confusion.ravel()[cells] / total
    chunk = max(1, 4_000_000 // confusion.size)  # at most 32 MB of counts at a time, for a hundred classes too
    values = []
    for start in range(0, resamples, chunk):
        draws = np.zeros((min(chunk, resamples - start), confusion.size), np.int64)
        draws[:, cells] = generator.multinomial(total, shares, size=len(draws))
        values.append(statistic(draws.reshape(-1, *confusion.shape)))
    return np.concatenate(values)


def confidence_interval(
    confusion: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile bootstrap interval of `statistic` at confidence `level`, as (low, high)."""
    if not 0 < level < 1:
        raise InputError(f"level must be between 0 and 1; got {level}")
    values = resampled_statistic(confusion, statistic, resamples=resamples, seed=seed)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def accuracies(confusions: np.ndarray) -> np.ndarray:
    """Accuracy of each of (R, K, K) confusion matrices, (R,)."""
    shares: np.ndarray = np.trace(confusions, axis1=1, axis2=2) / confusions.sum((1, 2))
    return shares


def accuracy_interval(confusion: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval of the accuracy, widened to Wilson's (1927) where every answer is right, or wrong.

    There the bootstrap only ever redraws what it has seen and claims certainty; 5 of 5 right means 57 to 100 %.
    """
    right, total = int(np.trace(confusion)), int(confusion.sum())
    if 0 < right < total:
        return confidence_interval(confusion, accuracies, seed=seed)
    return wilson_interval(right, total)


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share `right / total`; honest for few items and shares near 0 and 1."""
    if not 0 <= right <= total or total < 1:
        raise InputError(f"expected 0 <= right <= total and total >= 1; got {right} of {total}")
    z = 1.959964  # the normal distribution's 97.5 % quantile
    share, scale = right / total, 1 + z * z / total
    centre = (share + z * z / (2 * total)) / scale
    half = z / scale * ((share * (1 - share) + z * z / (4 * total)) / total) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)
