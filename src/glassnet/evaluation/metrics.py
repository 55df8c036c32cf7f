"""The measures of a classifier, from the confusion matrix upwards, in plain NumPy.

Everything but top-k follows from one (K, K) table of counts. The definitions are the textbook's; where a division has
nothing to divide by (no picture of a class, or none called so) the value is 0, as scikit-learn's `zero_division=0`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glassnet.errors import InputError

AVERAGES = ("macro", "micro", "weighted")


def check_scores(scores: np.ndarray, labels: np.ndarray) -> None:
    """Raise `InputError` unless `scores` is a finite (N, K) table, N > 0, and `labels` (N,) integers in [0, K)."""
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise InputError(f"expected scores (N, K) and labels (N,); got {scores.shape} and {labels.shape}")
    if len(labels) == 0:
        raise InputError("there is nothing to judge: no item has a score; give at least one picture")
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise InputError(f"labels must be in [0, {scores.shape[1]}); got {labels.min()} to {labels.max()}")
    if not np.isfinite(scores).all():
        raise InputError("some scores are not finite numbers; the network has diverged or its file is damaged")


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Count items by true class (rows) and predicted class (columns).

    `labels` and `predictions` are (N,) integers in [0, classes); the result is (classes, classes) int64.
    """
    if labels.shape != predictions.shape:
        raise InputError(f"as many predictions as labels are needed; got {predictions.shape} for {labels.shape}")
    both = np.concatenate([labels, predictions])
    if both.size and (both.min() < 0 or both.max() >= classes):
        raise InputError(f"labels and predictions must be in [0, {classes}); got {both.min()} to {both.max()}")
    cells = labels.astype(np.int64) * classes + predictions
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True)
class ClassMetrics:
    """Per class, each (K,) or (..., K): of those called so, how many are (precision); of those that are, how many are
    found (recall); the harmonic mean of both (F1); how many there are (support) and how many were called so."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    predicted: np.ndarray


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide elementwise; 0 where the denominator is 0."""
    result = np.zeros(np.broadcast_shapes(numerator.shape, denominator.shape))
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


def class_metrics(confusion: np.ndarray) -> ClassMetrics:
    """Precision, recall, F1 and support of every class of a confusion matrix (..., K, K)."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    support, predicted = confusion.sum(-1), confusion.sum(-2)
    return ClassMetrics(
        precision=ratio(right, predicted),
        recall=ratio(right, support),
        f1=ratio(2 * right, support + predicted),  # 2PR / (P + R) with its zeros already resolved
        support=support,
        predicted=predicted,
    )


def _not_empty(confusion: np.ndarray) -> np.ndarray:
    if confusion.sum() == 0:
        raise InputError("there is nothing to judge: the confusion matrix counts no item; give at least one picture")
    return confusion


def accuracy(confusion: np.ndarray) -> float:
    """Share of items whose predicted class is the true one."""
    return float(np.trace(_not_empty(confusion)) / confusion.sum())


def balanced_accuracy(confusion: np.ndarray) -> float:
    """Mean recall over the classes that have items: every class counts the same, however few its items."""
    metrics = class_metrics(_not_empty(confusion))
    return float(metrics.recall[metrics.support > 0].mean())


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Mean F1 of (..., K, K) over the classes that occur, as truth or as prediction (scikit-learn's default)."""
    metrics = class_metrics(confusion)
    occurs = metrics.support + metrics.predicted > 0
    return ratio((metrics.f1 * occurs).sum(-1), occurs.sum(-1))


def averages(confusion: np.ndarray) -> dict[str, dict[str, float]]:
    """Precision, recall and F1 averaged three ways: {"macro" | "micro" | "weighted": {"precision": ...}}.

    Macro: every occurring class counts the same. Weighted: by support. Micro: over items, where all three equal
    the accuracy because every item has exactly one class and gets exactly one answer.
    """
    metrics = class_metrics(_not_empty(confusion))
    occurs = metrics.support + metrics.predicted > 0
    by_class = {"precision": metrics.precision, "recall": metrics.recall, "f1": metrics.f1}
    return {
        "macro": {name: float(values[occurs].mean()) for name, values in by_class.items()},
        "micro": dict.fromkeys(by_class, accuracy(confusion)),
        "weighted": {name: float(np.average(values, weights=metrics.support)) for name, values in by_class.items()},
    }


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Share of items whose true class is among the `k` highest of `scores` (N, K); logits or probabilities.

    Ties count against the network: a class that merely equals the k-th best is among the top k only if it fits, so a
    constant output never looks good.
    """
    if not 1 <= k <= scores.shape[1]:
        raise InputError(f"k must be between 1 and the number of classes, {scores.shape[1]}; got {k}")
    own = scores[np.arange(len(labels)), labels][:, None]
    ahead = (scores >= own).sum(1) - 1
    return float((ahead < k).mean())
