"""Precision-recall and ROC curves, the areas under them, and the best-F1 threshold of each class.

One pass serves them all: sort by score, and count at every distinct score how many positives and negatives lie at or
above it. Average precision is the step-wise sum (no interpolation), as Davis & Goadrich (2006) advise: linear
interpolation between points of a precision-recall curve is too kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glassnet.errors import InputError
from glassnet.evaluation.metrics import ratio


@dataclass(frozen=True)
class Curve:
    """Points (P,) of one curve. PR: x recall, y precision; ROC: x false-positive rate, y recall. `area` below it."""

    x: np.ndarray
    y: np.ndarray
    area: float

    def thinned(self, points: int = 120) -> Curve:
        """At most `points` of the points, evenly spread along the curve's drawn length; ends and area stay."""
        if len(self.x) <= points:
            return self
        length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(self.x), np.diff(self.y)))])
        wanted = np.linspace(0.0, length[-1], points)
        keep = np.unique(np.clip(np.searchsorted(length, wanted), 0, len(self.x) - 1))
        keep[0], keep[-1] = 0, len(self.x) - 1
        return Curve(self.x[keep], self.y[keep], self.area)


def counts_at_thresholds(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (thresholds, true positives, false positives), each (T,): the counts of items scoring >= the threshold.

    `positive` is (N,) bool, `scores` (N,) float, higher means more positive; thresholds are the distinct scores,
    falling.
    """
    if positive.shape != scores.shape or positive.ndim != 1 or not len(positive):
        raise InputError(f"expected two (N,) arrays, N > 0; got {positive.shape} and {scores.shape}")
    order = np.argsort(-scores, kind="stable")
    sorted_scores, sorted_positive = scores[order], positive[order]
    last_of_its_score = np.append(np.nonzero(np.diff(sorted_scores))[0], len(scores) - 1)
    true_positives = np.cumsum(sorted_positive, dtype=np.int64)[last_of_its_score]
    return sorted_scores[last_of_its_score], true_positives, last_of_its_score + 1 - true_positives


def precision_recall_curve(positive: np.ndarray, scores: np.ndarray) -> Curve:
    """Precision against recall from the strictest threshold to the laxest; starts at (0, 1). Area: average precision.

    With no positive at all recall is undefined: the curve is the single point (0, 1) with area 0.
    """
    _, true_positives, false_positives = counts_at_thresholds(positive, scores)
    if true_positives[-1] == 0:
        return Curve(np.zeros(1), np.ones(1), 0.0)
    recall = np.append(0.0, true_positives / true_positives[-1])
    precision = np.append(1.0, true_positives / (true_positives + false_positives))
    return Curve(recall, precision, float(np.sum(np.diff(recall) * precision[1:])))


def average_precision(positive: np.ndarray, scores: np.ndarray) -> float:
    """Area under the precision-recall curve, summed in steps."""
    return precision_recall_curve(positive, scores).area


def roc_curve(positive: np.ndarray, scores: np.ndarray) -> Curve:
    """True-positive rate against false-positive rate, from (0, 0) to (1, 1). Area: the chance that a positive scores
    above a negative (ties count half). Without positives or without negatives it is undefined: area is NaN."""
    _, true_positives, false_positives = counts_at_thresholds(positive, scores)
    if true_positives[-1] == 0 or false_positives[-1] == 0:
        return Curve(np.array([0.0, 1.0]), np.array([0.0, 1.0]), float("nan"))
    x = np.append(0.0, false_positives / false_positives[-1])
    y = np.append(0.0, true_positives / true_positives[-1])
    return Curve(x, y, float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2)))


def best_f1_threshold(positive: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """The threshold with the highest F1 of "score >= threshold", and that F1; of equal ones the highest threshold."""
    thresholds, true_positives, false_positives = counts_at_thresholds(positive, scores)
    f1 = ratio(2 * true_positives, true_positives + false_positives + positive.sum())
    best = int(np.argmax(f1))
    return float(thresholds[best]), float(f1[best])


def best_f1_thresholds(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """The best-F1 threshold of every class against the rest, by name, from VALIDATION `probabilities` (N, K).

    A class without a validation picture gets no entry: there is nothing to learn its threshold from.
    """
    return {
        name: best_f1_threshold(labels == number, probabilities[:, number])[0]
        for number, name in enumerate(classes)
        if (labels == number).any()
    }
