"""Is a network that says "90 %" right nine times out of ten? Reliability, its error, and temperature scaling.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks" (2017): modern networks are over-confident,
and dividing the logits by one number, the temperature, learnt on validation, repairs most of it without changing any
answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glassnet.errors import InputError
from glassnet.evaluation.metrics import check_scores, ratio

BINS = 15  # as in the paper
TEMPERATURES = (0.05, 20.0)
"""Outside this range the validation split says nothing: all right (pulls to 0) or all wrong (pulls to infinity)."""


def log_softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Log-probabilities (N, K) float64 of logits (N, K) divided by `temperature`."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(1, keepdims=True)  # exp of at most 0 never overflows
    scaled -= np.log(np.exp(scaled).sum(1, keepdims=True))
    return scaled


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities (N, K) float64 of logits (N, K) divided by `temperature`; rows sum to 1."""
    probabilities: np.ndarray = np.exp(log_softmax(logits, temperature))
    return probabilities


def cross_entropy(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """The loss of each item (N,): minus the log-probability of its true class, in nats."""
    loss: np.ndarray = -log_softmax(logits, temperature)[np.arange(len(labels)), labels]
    return loss


@dataclass(frozen=True)
class Reliability:
    """Items grouped by confidence into equal bins of (0, 1], each field (B,): how many, their mean confidence, and
    the share that is right. In a well calibrated network the last two agree; empty bins hold zeros."""

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: the mean gap between confidence and accuracy, weighted by count, in [0, 1]."""
        gaps = np.abs(self.confidence - self.accuracy)
        return float((self.counts * gaps).sum() / max(self.counts.sum(), 1))


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Reliability:
    """Group the items by the probability of their predicted class; `probabilities` (N, K), `labels` (N,)."""
    if bins < 1:
        raise InputError(f"bins must be at least 1; got {bins}")
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    which = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)  # bin b holds (b/B, (b+1)/B]
    counts = np.bincount(which, minlength=bins)
    return Reliability(
        counts=counts,
        confidence=ratio(np.bincount(which, confidence, bins), counts),
        accuracy=ratio(np.bincount(which, right, bins), counts),
    )


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Mean gap between confidence and accuracy over `bins` equal bins, weighted by count, in [0, 1]."""
    return reliability(probabilities, labels, bins).error


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature in [0.05, 20] that minimises the cross-entropy of VALIDATION logits (N, K), labels (N,).

    The cross-entropy is convex in b = 1/temperature: its slope is the mean of E[z] - z_true and its curvature the mean
    variance of the logits z under softmax(b z). Newton steps, kept inside a bracket that bisection shrinks.
    """
    check_scores(logits, labels)
    z = np.asarray(logits, np.float64)
    truth = z[np.arange(len(z)), labels]
    low, high = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
    inverse = 1.0
    for _ in range(60):
        probabilities = softmax(z * inverse)
        mean = (probabilities * z).sum(1)
        slope = float((mean - truth).mean())
        curvature = float(((probabilities * z * z).sum(1) - mean * mean).mean())
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        newton = inverse - slope / curvature if curvature > 0 else inverse
        proposal = newton if low < newton < high else (low + high) / 2
        if abs(proposal - inverse) <= 1e-9 * inverse:
            break
        inverse = proposal
    return 1 / inverse
