"""What is taken for what: classes and background, each object and each box counted once."""

from __future__ import annotations

import numpy as np

from glassnet.detection.judging.matching import overlaps
from glassnet.detection.judging.mistakes import CORRECT, FOREGROUND, IGNORED, Mistakes
from glassnet.detection.judging.rows import Numbers, Rows


def confusion(rows: Rows, mistakes: Mistakes) -> Numbers:
    """Return counts [true][found] over the K classes and background, (K + 1, K + 1).

    Right boxes lie on the diagonal. Of the boxes and objects left over, the surest box is paired with the object of
    another class that it overlaps most, by 0.5 at least, and so on. What is then left is background taken for a class
    (last row) or an object taken for background (last column). A row's sum is its class's number of objects, a
    column's the number of boxes called so, but for those that count neither way.
    """
    background = len(rows.classes)
    counts = np.zeros((background + 1, background + 1), np.int64)
    box_left = (mistakes.verdict >= 0) & (mistakes.verdict != IGNORED) & (mistakes.verdict != CORRECT)
    object_left = rows.truth.counted & (mistakes.found_by < 0)
    found = mistakes.found_by[mistakes.found_by >= 0]
    np.add.at(counts, (rows.found.label[found], rows.found.label[found]), 1)
    pairs = overlaps(rows, FOREGROUND, across_classes=True)
    order = np.lexsort((-pairs.iou, -rows.found.score[pairs.found]))
    order = order[box_left[pairs.found[order]] & object_left[pairs.truth[order]]]
    for box, thing in zip(pairs.found[order].tolist(), pairs.truth[order].tolist(), strict=True):
        if box_left[box] and object_left[thing] and rows.found.label[box] != rows.truth.label[thing]:
            counts[rows.truth.label[thing], rows.found.label[box]] += 1
            box_left[box] = object_left[thing] = False
    counts[background, :background] = np.bincount(rows.found.label[box_left], minlength=background)
    counts[:background, background] = np.bincount(rows.truth.label[object_left], minlength=background)
    return counts
