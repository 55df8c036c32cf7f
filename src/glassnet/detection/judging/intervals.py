"""Between what limits mAP probably lies on other pictures of the kind: the bootstrap over pictures (Efron 1979).

Pictures are drawn with replacement; boxes need not be matched anew, since matching knows one picture at a time. A
picture that is drawn twice lends its boxes and objects the weight 2.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from glassnet.detection.judging.coco import at_recalls, by_score, falling
from glassnet.detection.judging.matching import Matches
from glassnet.detection.judging.rows import Flags, Floats, Numbers, Rows
from glassnet.errors import InputError

RESAMPLES = 400
LEVEL = 0.95
AT_ONCE = 1 << 21
"""So many weights of boxes are held at a time."""


def map_intervals(
    rows: Rows, matches: Matches, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float]] | None:
    """Return the 95 % intervals (low, high) of "map" and "map50"; None for fewer than two pictures.

    A class that a draw has no object of is left out of its mean, as COCO does; a draw without any does not count.
    """
    if resamples < 1:
        raise InputError(f"resamples is {resamples}; expected 1 at least")
    if rows.pictures < 2:
        return None
    drawn = np.random.default_rng(seed).multinomial(
        rows.pictures, np.full(rows.pictures, 1 / rows.pictures), size=resamples
    )  # (R, pictures)
    precision = resampled_precisions(rows, matches, drawn)
    objects = ~np.isnan(precision).all((1, 2))  # (R,)
    precision = precision[objects]
    values = {"map": np.nanmean(precision, (1, 2)), "map50": np.nanmean(precision[:, 0], 1)}
    return {name: _limits(each) for name, each in values.items()}


def resampled_precisions(rows: Rows, matches: Matches, drawn: Numbers) -> Floats:
    """Return the average precision (R, T, K) in all sizes with each picture as often as `drawn` (R, pictures)."""
    counted = ~matches.passed_over[0]
    result = np.full((len(drawn), matches.taken.shape[1], len(rows.classes)), np.nan)
    for label, chosen in enumerate(by_score(rows)):
        pictures = rows.truth.picture[counted & (rows.truth.label == label)]
        to_find = drawn[:, pictures].sum(1)  # (R,)
        some = np.flatnonzero(to_find)
        right, ignored = matches.right[0][:, chosen], matches.ignored[0][:, chosen]
        for draws in _parts(some, len(chosen)):
            weight = drawn[np.ix_(draws, rows.found.picture[chosen])]  # (r, n)
            boxes = weight.cumsum(1)
            for level in range(len(right)):
                result[draws, level, label] = _average(weight, boxes, to_find[draws], right[level], ignored[level])
    return result


def _average(weight: Numbers, boxes: Numbers, to_find: Numbers, right: Flags, ignored: Flags) -> Floats:
    """Return the average precision (r,) of weighted boxes (r, n), the surest first; `boxes` are the sums so far."""
    places = np.flatnonzero(right)  # the curve's corners: precision falls between them
    hits = weight[:, places].cumsum(1).astype(np.float64)
    passed = np.flatnonzero(ignored)
    without = np.pad(weight[:, passed].cumsum(1), ((0, 0), (1, 0)))[:, passed.searchsorted(places)]
    precision = falling(hits / np.maximum(boxes[:, places] - without, 1))
    recall = hits / to_find[:, None]
    return np.array([at_recalls(*curve).mean() for curve in zip(recall, precision, strict=True)])


def _parts(numbers: NDArray[np.intp], boxes: int) -> Iterator[NDArray[np.intp]]:
    """Part the numbers of draws so that each part is small enough."""
    size = max(1, AT_ONCE // max(boxes, 1))
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


def _limits(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
