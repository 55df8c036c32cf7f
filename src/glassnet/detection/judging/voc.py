"""Average precision as Pascal VOC defines it, at one IoU: by 11 points until 2009, by area since.

Everingham et al. 2010, "The Pascal visual object classes challenge", section 4.2, and the development kit of 2012.
VOC's rule differs from COCO's: each found box goes to the object it overlaps most, taken or not, so that a second box
on an object is wrong even where another object would have been left for it. Boxes on a difficult object do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from glassnet.data.annotations.objects import Objects
from glassnet.detection.detections import Detections
from glassnet.detection.judging.coco import by_score, falling
from glassnet.detection.judging.matching import overlaps
from glassnet.detection.judging.rows import Flags, Floats, Rows
from glassnet.errors import InputError

Way = Literal["area", "11 points"]


def voc_average_precision(
    found: Sequence[Detections],
    truth: Sequence[Objects],
    classes: Sequence[str],
    *,
    iou: float = 0.5,
    way: Way = "area",
) -> dict[str, float | None]:
    """Return each class's average precision, in [0, 1]; None for a class without an object to find.

    found: un-thresholded boxes, all of which count. Crowds are passed over as difficult objects are.

    Raises:
        InputError: `iou` is not above 0 and at most 1, `way` is neither, or what `Rows.of` raises.
    """
    if not 0 < iou <= 1:
        raise InputError(f"iou is {iou}; expected a number above 0 and at most 1")
    if way not in ("area", "11 points"):
        raise InputError(f"way is {way!r}; expected 'area' or '11 points'")
    rows = Rows.of(found, truth, classes, limit=max((len(one) for one in found), default=1))
    none = np.zeros_like(rows.truth.crowd)
    rows = replace(rows, truth=replace(rows.truth, crowd=none, difficult=~rows.truth.counted))
    right, ignored = _voc_matches(rows, iou)
    to_find = np.bincount(rows.truth.label[rows.truth.counted], minlength=len(rows.classes))
    result: dict[str, float | None] = {}
    for name, chosen, objects in zip(rows.classes, by_score(rows), to_find.tolist(), strict=True):
        hits = right[chosen[~ignored[chosen]]].cumsum()
        recall, precision = hits / max(objects, 1), hits / np.arange(1, len(hits) + 1)
        average = area_average(recall, precision) if way == "area" else eleven_point_average(recall, precision)
        result[name] = average if objects else None
    return result


def eleven_point_average(recall: Floats, precision: Floats) -> float:
    """Return the mean of the highest precision at a recall of at least 0, 0.1, ..., 1; curves (N,), recall rising.

    >>> eleven_point_average(np.array([0.5, 1.0]), np.array([1.0, 0.5])) == (6 * 1.0 + 5 * 0.5) / 11
    True
    """
    best = np.append(falling(np.asarray(precision, np.float64)), 0.0)
    return float(best[np.searchsorted(recall, np.arange(11) / 10)].mean())


def area_average(recall: Floats, precision: Floats) -> float:
    """Return the area under the curve (N,), recall rising, once precision is made falling from right to left.

    >>> area_average(np.array([0.5, 1.0]), np.array([1.0, 0.5]))
    0.75
    """
    return float((np.diff(recall, prepend=0.0) * falling(np.asarray(precision, np.float64))).sum())


def _voc_matches(rows: Rows, iou: float) -> tuple[Flags, Flags]:
    """Tell which found boxes (N,) are right, and which do not count."""
    pairs = overlaps(rows, iou)
    order = np.lexsort((pairs.truth, -pairs.iou, pairs.found))
    box, first = np.unique(pairs.found[order], return_index=True)
    thing = pairs.truth[order][first]  # (boxes that overlap any,)
    right, ignored = np.zeros(len(rows.found), np.bool_), np.zeros(len(rows.found), np.bool_)
    ignored[box[rows.truth.difficult[thing]]] = True
    _, surest = np.unique(thing, return_index=True)  # boxes of a class in a picture stand by falling score
    right[box[surest]] = True
    return right & ~ignored, ignored
