"""From which score on a box is worth believing, for each class: where F1 at IoU 0.50 is best.

Chosen on validation pictures and kept in the network's card; never on those that judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from glassnet.data.annotations.objects import Objects
from glassnet.detection.detections import Detections
from glassnet.detection.judging.coco import by_score, objects_to_find
from glassnet.detection.judging.matching import match
from glassnet.detection.judging.rows import Flags, Floats, Rows
from glassnet.errors import InputError, UnknownName

DEFAULT = 0.5
"""For a class of which nothing is known: no object of it, or none that any box found."""
IOU = 0.5


def best_thresholds(found: Sequence[Detections], truth: Sequence[Objects], classes: Sequence[str]) -> dict[str, float]:
    """Return for each class the score with the best F1 = 2 right / (boxes + objects) at IoU 0.50.

    found: un-thresholded boxes. The number lies halfway between the last score that is taken and the next one below,
    so that rounding decides about neither. Of equally good ones the highest; raises what `Rows.of` raises.
    """
    rows = Rows.of(found, truth, classes)
    matches = match(rows, [IOU])
    objects = objects_to_find(rows, matches)[0]
    thresholds = {}
    for label, chosen in enumerate(by_score(rows)):
        counts = chosen[~matches.ignored[0, 0, chosen]]
        thresholds[rows.classes[label]] = best_threshold(
            rows.found.score[counts], matches.right[0, 0, counts], int(objects[label])
        )
    return thresholds


def best_threshold(scores: Floats, right: Flags, objects: int) -> float:
    """Return where F1 is best, for `scores` (N,) falling, which of them are `right` (N,), and how many objects."""
    if not objects or not right.any():
        return DEFAULT
    f1 = 2 * right.cumsum() / (np.arange(1, len(right) + 1) + objects)
    last = np.append(scores[1:] < scores[:-1], True)  # equal scores are taken together or not at all
    best = int(np.where(last, f1, -1.0).argmax())
    below = float(scores[best + 1]) if best + 1 < len(scores) else 0.0
    between = (float(scores[best]) + below) / 2
    return between if np.float32(between) > np.float32(below) else float(scores[best])  # neighbours have no between


def checked_thresholds(thresholds: Mapping[str, float] | None, classes: Sequence[str]) -> Floats:
    """Return the threshold of each class, (K,); `DEFAULT` for one left out, or for all if there are none.

    Raises:
        UnknownName: a threshold of a class that is none of `classes`.
        InputError: one that is not a number from 0 to 1.
    """
    levels = dict.fromkeys(classes, DEFAULT)
    for name, level in (thresholds or {}).items():
        if name not in levels:
            raise UnknownName("class", name, classes, hint="thresholds are given by the names of classes")
        if not 0 <= level <= 1:
            raise InputError(f"the threshold of {name!r} is {level}; expected a score from 0 to 1")
        levels[name] = float(level)
    return np.array(list(levels.values()), np.float64)
