"""Average precision and recall as COCO defines them (cocodataset.org/#detection-eval), equal to pycocotools's.

Precision is made falling from right to left and read at 101 recalls, 0.00 to 1.00; the mean of those is one class's
average precision at one IoU. The mean over IoU 0.50, 0.55, ..., 0.95 and over the classes that have objects is mAP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glassnet.data.annotations.objects import Objects
from glassnet.detection.detections import Detections
from glassnet.detection.judging.matching import EVERYWHERE, Matches, match
from glassnet.detection.judging.rows import Flags, Floats, Numbers, Rows
from glassnet.errors import InputError

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Area ranges in pixels, both ends inclusive: an object of 32 x 32 is small and medium."""
LIMITS = (1, 10, 100)
"""How many boxes of a class count in a picture, for the recalls."""


@dataclass(frozen=True, kw_only=True)
class AveragePrecision:
    """COCO's twelve numbers, shares in [0, 1], and average precision for each class.

    map: over IoU 0.50 to 0.95; map50, map75: at one IoU. by_size: of small, medium and large objects, None where there
    are none. recall: mean recall over IoU 0.50 to 0.95 with at most 1, 10, 100 boxes of a class in a picture;
    recall_by_size with 100. per_class, per_class50: None for a class without an object to find.
    """

    map: float
    map50: float
    map75: float
    by_size: dict[str, float | None]
    recall: dict[int, float]
    recall_by_size: dict[str, float | None]
    per_class: list[float | None]
    per_class50: list[float | None]


def average_precision(
    found: Sequence[Detections], truth: Sequence[Objects], classes: Sequence[str]
) -> AveragePrecision:
    """Return COCO's numbers for what was `found` in pictures of which `truth` is known, picture by picture.

    found: un-thresholded boxes; the surest 100 of each class in each picture count. A picture that could not be read
    counts as one in which nothing was found.

    Raises:
        InputError: there is nothing to find, or what `Rows.of` raises.
    """
    return of_rows(Rows.of(found, truth, classes))


def of_rows(rows: Rows, matches: Matches | None = None) -> AveragePrecision:
    """As `average_precision`; `matches` are those of `match_for_coco`, where they are known already."""
    must_have_objects(rows)
    matches = match_for_coco(rows) if matches is None else matches
    precision = precisions(rows, matches)  # (A, T, K), not a number where there is nothing to find
    recall = {limit: recalls(rows, matches, limit) for limit in LIMITS}
    return AveragePrecision(
        map=float(np.nanmean(precision[0])),
        map50=float(np.nanmean(precision[0, 0])),
        map75=float(np.nanmean(precision[0, 5])),
        by_size={size: _mean(precision[1 + number]) for number, size in enumerate(SIZES)},
        recall={limit: float(np.nanmean(values[0])) for limit, values in recall.items()},
        recall_by_size={size: _mean(recall[LIMITS[-1]][1 + number]) for number, size in enumerate(SIZES)},
        per_class=[_mean(precision[0, :, label]) for label in range(len(rows.classes))],
        per_class50=[_mean(precision[0, :1, label]) for label in range(len(rows.classes))],
    )


def match_for_coco(rows: Rows) -> Matches:
    """Match at COCO's ten thresholds, for all sizes and then for each of `SIZES`."""
    return match(rows, THRESHOLDS, (EVERYWHERE, *SIZES.values()))


def must_have_objects(rows: Rows) -> None:
    """Raise `InputError` where there is nothing to find in any picture."""
    if not rows.truth.counted.any():
        raise InputError(
            f"none of the {rows.pictures} pictures has an object that counts ({len(rows.truth)} are difficult or "
            "crowds); average precision needs one at least; choose another split or other data"
        )


def precisions(rows: Rows, matches: Matches) -> Floats:
    """Return the average precision (A, T, K) of each area range, threshold and class; NaN without objects."""
    to_find = objects_to_find(rows, matches)  # (A, K)
    result = np.full((*matches.taken.shape[:2], len(rows.classes)), np.nan)
    for label, chosen in enumerate(by_score(rows)):
        right, ignored = matches.right[:, :, chosen], matches.ignored[:, :, chosen]
        hits = right.cumsum(2).astype(np.float64)
        precision = falling(hits / np.maximum(hits + (~right & ~ignored).cumsum(2), 1))
        for area in np.flatnonzero(to_find[:, label]):
            recall = hits[area] / to_find[area, label]
            for level in range(len(recall)):
                result[area, level, label] = at_recalls(recall[level], precision[area, level]).mean()
    return result


def recalls(rows: Rows, matches: Matches, limit: int) -> Floats:
    """Return the recall (A, T, K) with at most `limit` boxes of a class in a picture; NaN without objects."""
    to_find = objects_to_find(rows, matches)[:, None]  # (A, 1, K)
    right = matches.right & (rows.found.rank < limit)
    hits = np.stack([right[:, :, rows.found.label == label].sum(2) for label in range(len(rows.classes))], 2)
    return np.where(to_find > 0, hits / np.maximum(to_find, 1), np.nan)


def objects_to_find(rows: Rows, matches: Matches) -> Numbers:
    """Return how many objects of each class count in each area range, (A, K)."""
    counted = [rows.truth.label[~passed] for passed in matches.passed_over]
    return np.stack([np.bincount(labels, minlength=len(rows.classes)) for labels in counted])


def by_score(rows: Rows) -> list[Numbers]:
    """Return for each class the rows of its found boxes, the surest first; equal scores in the pictures' order."""
    order = np.argsort(-rows.found.score, kind="stable")
    labels = rows.found.label[order]
    return [order[labels == label] for label in range(len(rows.classes))]


def falling(precision: Floats) -> Floats:
    """Return the highest precision (..., N) at this recall or a higher one."""
    best: Floats = np.maximum.accumulate(precision[..., ::-1], -1)[..., ::-1]
    return best


def at_recalls(recall: Floats, precision: Floats) -> Floats:
    """Read a curve, recall (N,) rising and precision (N,), at the 101 recalls; 0 where it does not reach."""
    places = recall.searchsorted(RECALLS)
    reached = places < len(recall)
    values: Floats = np.where(reached, np.append(precision, 0.0)[np.minimum(places, len(recall))], 0.0)
    return values


def _mean(values: Floats) -> float | None:
    """The mean of what is a number, None where nothing is."""
    known: Flags = ~np.isnan(values)
    return float(values[known].mean()) if known.any() else None
