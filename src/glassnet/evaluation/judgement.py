"""Everything that can be said about a classifier from its logits and the truth, as one plain, JSON-able record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from glassnet.errors import InputError
from glassnet.evaluation import bootstrap, calibration, curves, metrics
from glassnet.evaluation.sentences import sentences

TOP_LOSSES = 24
CONFUSED_PAIRS = 12
DRAWN_CLASSES = 10
"""Precision-recall and ROC curves are kept for this many classes, those with the lowest average precision."""


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """One class against the rest. Shares are in [0, 1]; an area is None where it is undefined."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int
    average_precision: float | None
    roc_auc: float | None


@dataclass(frozen=True, kw_only=True)
class TopLoss:
    """A picture the network is most surprised by: confidently wrong, or barely right."""

    item: int
    path: str
    label: str
    predicted: str
    probability: float
    label_probability: float
    loss: float


@dataclass(frozen=True, kw_only=True)
class ConfusedPair:
    """`count` pictures of `label` were called `predicted`: a `share` of all pictures of `label`."""

    label: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True, kw_only=True)
class ClassCurve:
    """A thinned curve of one class; PR: x recall, y precision; ROC: x false-positive rate, y recall."""

    name: str
    x: list[float]
    y: list[float]
    area: float | None


@dataclass(frozen=True, kw_only=True)
class CalibrationResult:
    """Reliability bins of equal width over (0, 1], their error, and the mean cross-entropy in nats."""

    temperature: float
    error: float
    loss: float
    mean_confidence: float
    counts: list[int]
    confidence: list[float]
    accuracy: list[float]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """How good a network is on some pictures; shares and probabilities in [0, 1].

    `confusion` counts [true class][predicted class]. `calibration` is at temperature 1 ("before") and at the card's
    ("after"); top losses use the latter, as predictions do. Intervals are at 95 %. `top5` is None with five classes or
    fewer. `seconds` is None where the answers came from features that were known. `peak_memory` is in bytes, None where
    the system does not tell it. `left_out` names each picture of the split that could not be judged, with the reason;
    it is not part of `n`.
    """

    network: str
    data: str
    split: str
    classes: tuple[str, ...]
    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_f1: float
    macro_f1_interval: tuple[float, float]
    top5: float | None
    balanced_accuracy: float
    baseline: float
    baseline_class: str
    averages: dict[str, dict[str, float]]
    per_class: list[ClassResult]
    confusion: list[list[int]]
    confused_pairs: list[ConfusedPair]
    calibration: dict[str, CalibrationResult]
    precision_recall: list[ClassCurve]
    roc: list[ClassCurve]
    top_losses: list[TopLoss]
    seconds: float | None
    device: str
    peak_memory: int | None
    left_out: list[str] = field(default_factory=list)

    @property
    def pictures_per_second(self) -> float | None:
        """Pictures judged in a second, decoding not included; None where the network did not run for it."""
        return None if self.seconds is None else self.n / max(self.seconds, 1e-9)

    def sentences(self) -> dict[str, str]:
        """What accuracy, precision, recall and calibration mean for these pictures, a few plain words each."""
        return sentences(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: no NaN, no NumPy."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Judgement:
        """Rebuild what `to_dict` gave, also after a journey through JSON; raises `InputError` for anything else."""
        rebuild: dict[str, Callable[[Any], Any]] = {
            "classes": tuple,
            "accuracy_interval": tuple,
            "macro_f1_interval": tuple,
            "per_class": lambda rows: [ClassResult(**row) for row in rows],
            "confused_pairs": lambda rows: [ConfusedPair(**row) for row in rows],
            "calibration": lambda rows: {name: CalibrationResult(**row) for name, row in rows.items()},
            "precision_recall": lambda rows: [ClassCurve(**row) for row in rows],
            "roc": lambda rows: [ClassCurve(**row) for row in rows],
            "top_losses": lambda rows: [TopLoss(**row) for row in rows],
        }
        try:
            return cls(**{name: rebuild.get(name, lambda value: value)(value) for name, value in plain.items()})
        except (TypeError, AttributeError) as error:
            raise InputError(f"this is not a judgement that this version wrote ({error}); evaluate again") from error


def summarise(
    logits: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    *,
    items: np.ndarray,
    where: Callable[[int], str],
    temperature: float = 1.0,
    network: str = "",
    data: str = "",
    split: str = "test",
    seconds: float | None = 0.0,
    device: str = "cpu",
    peak_memory: int | None = None,
    left_out: Sequence[str] = (),
    seed: int = 0,
) -> Judgement:
    """Judge logits (N, K) against labels (N,) in [0, K).

    `items` (N,) are the items' numbers, `where` their paths; `seed` draws the bootstrap. Raises `InputError` for
    shapes that do not fit, nothing to judge, or scores that are not finite.
    """
    metrics.check_scores(logits, labels)
    if logits.shape[1] != len(classes):
        raise InputError(f"expected a score for each of {len(classes)} classes; got {logits.shape[1]}")
    confusion = metrics.confusion_matrix(labels, logits.argmax(1), len(classes))
    probabilities = calibration.softmax(logits, temperature)
    support = confusion.sum(1)
    precision_recall, roc = _class_curves(probabilities, labels, classes)
    drawn = _worst(precision_recall, support)
    average = metrics.averages(confusion)
    return Judgement(
        network=network,
        data=data,
        split=split,
        classes=tuple(classes),
        n=len(labels),
        accuracy=metrics.accuracy(confusion),
        accuracy_interval=bootstrap.accuracy_interval(confusion, seed=seed),
        macro_f1=average["macro"]["f1"],
        macro_f1_interval=bootstrap.confidence_interval(confusion, metrics.macro_f1, seed=seed),
        top5=metrics.top_k(logits, labels, 5) if len(classes) > 5 else None,
        balanced_accuracy=metrics.balanced_accuracy(confusion),
        baseline=float(support.max() / support.sum()),
        baseline_class=classes[int(support.argmax())],
        averages=average,
        per_class=_per_class(confusion, classes, precision_recall, roc),
        confusion=confusion.tolist(),
        confused_pairs=confused_pairs(confusion, classes),
        calibration={
            "before": _calibration(logits, labels, 1.0),
            "after": _calibration(logits, labels, temperature),
        },
        precision_recall=[_plain(classes[number], precision_recall[number]) for number in drawn],
        roc=[_plain(classes[number], roc[number]) for number in drawn],
        top_losses=_top_losses(probabilities, labels, classes, items, where),
        seconds=seconds,
        device=device,
        peak_memory=peak_memory,
        left_out=list(left_out),
    )


def confused_pairs(confusion: np.ndarray, classes: Sequence[str], count: int = CONFUSED_PAIRS) -> list[ConfusedPair]:
    """The at most `count` largest cells off the diagonal of a (K, K) confusion matrix, largest first."""
    mistakes = confusion - np.diag(np.diagonal(confusion))
    support = confusion.sum(1)
    largest = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    pairs = [divmod(int(cell), len(classes)) for cell in largest]
    return [
        ConfusedPair(
            label=classes[true],
            predicted=classes[called],
            count=int(mistakes[true, called]),
            share=float(mistakes[true, called] / support[true]),
        )
        for true, called in pairs
        if mistakes[true, called]
    ]


def _class_curves(
    probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]
) -> tuple[list[curves.Curve], list[curves.Curve]]:
    columns = [(labels == number, probabilities[:, number]) for number in range(len(classes))]
    return [curves.precision_recall_curve(*c) for c in columns], [curves.roc_curve(*c) for c in columns]


def _worst(precision_recall: list[curves.Curve], support: np.ndarray) -> list[int]:
    """The classes worth drawing, in class order: those that have pictures, the lowest average precision first."""
    present = [number for number in range(len(support)) if support[number]]
    return sorted(sorted(present, key=lambda number: precision_recall[number].area)[:DRAWN_CLASSES])


def _plain(name: str, curve: curves.Curve) -> ClassCurve:
    thin = curve.thinned()
    x, y = (np.round(values, 4).tolist() for values in (thin.x, thin.y))
    return ClassCurve(name=name, x=x, y=y, area=_defined(curve.area))


def _defined(value: float) -> float | None:
    return value if np.isfinite(value) else None  # JSON has no NaN


def _per_class(
    confusion: np.ndarray, classes: Sequence[str], precision_recall: list[curves.Curve], roc: list[curves.Curve]
) -> list[ClassResult]:
    result = metrics.class_metrics(confusion)
    return [
        ClassResult(
            name=name,
            precision=float(result.precision[number]),
            recall=float(result.recall[number]),
            f1=float(result.f1[number]),
            support=int(result.support[number]),
            predicted=int(result.predicted[number]),
            average_precision=precision_recall[number].area if result.support[number] else None,
            roc_auc=_defined(roc[number].area),
        )
        for number, name in enumerate(classes)
    ]


def _calibration(logits: np.ndarray, labels: np.ndarray, temperature: float) -> CalibrationResult:
    probabilities = calibration.softmax(logits, temperature)
    bins = calibration.reliability(probabilities, labels)
    return CalibrationResult(
        temperature=temperature,
        error=bins.error,
        loss=float(calibration.cross_entropy(logits, labels, temperature).mean()),
        mean_confidence=float(probabilities.max(1).mean()),
        counts=bins.counts.tolist(),
        confidence=bins.confidence.tolist(),
        accuracy=bins.accuracy.tolist(),
    )


def _top_losses(
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    items: np.ndarray,
    where: Callable[[int], str],
) -> list[TopLoss]:
    own = probabilities[np.arange(len(labels)), labels]
    predicted = probabilities.argmax(1)
    return [
        TopLoss(
            item=int(items[row]),
            path=where(int(items[row])),
            label=classes[labels[row]],
            predicted=classes[predicted[row]],
            probability=float(probabilities[row, predicted[row]]),
            label_probability=float(own[row]),
            loss=float(-np.log(max(own[row], np.finfo(np.float64).tiny))),
        )
        for row in np.argsort(own, kind="stable")[:TOP_LOSSES]
    ]
