"""Intervals: against drawing the items themselves, and scipy's."""

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import f1_score

from glassnet.errors import InputError
from glassnet.evaluation import bootstrap
from glassnet.evaluation.metrics import confusion_matrix, macro_f1


def case() -> tuple[np.ndarray, np.ndarray]:
    """Two hundred labels of four unequal classes and predictions that are mostly right."""
    generator = np.random.default_rng(1)
    labels = generator.choice(4, 200, p=[0.5, 0.3, 0.15, 0.05])
    return labels, np.where(generator.random(200) < 0.8, labels, generator.integers(0, 4, 200))


def test_same_distribution_as_drawing_items() -> None:
    labels, predictions = case()
    ours = bootstrap.resampled_statistic(confusion_matrix(labels, predictions, 4), macro_f1, resamples=2000)
    generator = np.random.default_rng(2)
    draws = generator.integers(0, 200, (1000, 200))
    slowly = [macro_f1(confusion_matrix(labels[draw], predictions[draw], 4)) for draw in draws]
    assert slowly[0] == pytest.approx(f1_score(labels[draws[0]], predictions[draws[0]], average="macro"))
    assert scipy.stats.ks_2samp(ours, np.array(slowly)).pvalue > 0.01


def test_accuracy_interval_equals_scipys() -> None:
    labels, predictions = case()
    low, high = bootstrap.accuracy_interval(confusion_matrix(labels, predictions, 4))
    right = (labels == predictions).astype(float)
    reference = scipy.stats.bootstrap((right,), np.mean, method="percentile", rng=0).confidence_interval
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=0.01)


def test_the_interval_is_the_same_every_time() -> None:
    matrix = confusion_matrix(*case(), 4)
    assert bootstrap.accuracy_interval(matrix) == bootstrap.accuracy_interval(matrix)
    assert bootstrap.accuracy_interval(matrix, seed=1) != bootstrap.accuracy_interval(matrix)


def test_five_of_five_is_not_certainty() -> None:
    low, high = bootstrap.accuracy_interval(np.diag([3, 2]))
    reference = scipy.stats.binomtest(5, 5).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=1e-6)
    assert 0.56 < low < 0.57


@pytest.mark.parametrize("right, total", [(0, 7), (3, 10), (99, 100)])
def test_wilson_equals_scipys(right: int, total: int) -> None:
    reference = scipy.stats.binomtest(right, total).proportion_ci(method="wilson")
    assert bootstrap.wilson_interval(right, total) == pytest.approx((reference.low, reference.high), abs=1e-6)


def test_many_classes_are_drawn_in_chunks() -> None:
    values = bootstrap.resampled_statistic(np.eye(300, dtype=int), bootstrap.accuracies, resamples=100)
    assert values.tolist() == [1.0] * 100


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InputError, match="at least one item"):
        bootstrap.resampled_statistic(np.zeros((2, 2), int), bootstrap.accuracies)
    with pytest.raises(InputError, match="level must be between 0 and 1; got 95"):
        bootstrap.confidence_interval(np.eye(2), bootstrap.accuracies, level=95)
    with pytest.raises(InputError, match="0 <= right <= total"):
        bootstrap.wilson_interval(3, 2)
