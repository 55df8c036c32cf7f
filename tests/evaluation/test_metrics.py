"""Metrics: numbers done by hand, then scikit-learn's."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.errors import InputError
from glassnet.evaluation import metrics

CONFUSION = np.array([[8, 2, 0], [1, 3, 0], [0, 1, 0]])  # rows: truth; the third class is never predicted


def random_case(seed: int, n: int = 300, classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Labels of very unequal frequency, and predictions that are right about half the time."""
    generator = np.random.default_rng(seed)
    weights = generator.dirichlet(np.full(classes, 0.5))
    labels = generator.choice(classes, n, p=weights)
    return labels, np.where(generator.random(n) < 0.5, labels, generator.integers(0, classes, n))


def test_confusion_matrix_by_hand() -> None:
    matrix = metrics.confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_class_metrics_by_hand() -> None:
    result = metrics.class_metrics(CONFUSION)
    assert result.precision.tolist() == [8 / 9, 3 / 6, 0]
    assert result.recall.tolist() == [8 / 10, 3 / 4, 0]
    assert result.f1 == pytest.approx([16 / 19, 6 / 10, 0])
    assert result.support.tolist() == [10, 4, 1]
    assert metrics.accuracy(CONFUSION) == 11 / 15
    assert metrics.balanced_accuracy(CONFUSION) == pytest.approx((0.8 + 0.75 + 0) / 3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 60), st.integers(2, 9))
def test_equal_to_scikit_learn(seed: int, n: int, classes: int) -> None:
    labels, predictions = random_case(seed, n, classes)
    matrix = metrics.confusion_matrix(labels, predictions, classes)
    everything = range(classes)
    assert (matrix == sklearn.metrics.confusion_matrix(labels, predictions, labels=everything)).all()
    ours = metrics.class_metrics(matrix)
    theirs = sklearn.metrics.precision_recall_fscore_support(labels, predictions, labels=everything, zero_division=0)
    for mine, reference in zip((ours.precision, ours.recall, ours.f1, ours.support), theirs, strict=True):
        assert mine == pytest.approx(reference)
    averages = metrics.averages(matrix)
    for kind in metrics.AVERAGES:
        reference = sklearn.metrics.precision_recall_fscore_support(labels, predictions, average=kind, zero_division=0)
        assert list(averages[kind].values()) == pytest.approx(reference[:3])
    assert metrics.macro_f1(matrix) == pytest.approx(averages["macro"]["f1"])
    assert metrics.accuracy(matrix) == pytest.approx(sklearn.metrics.accuracy_score(labels, predictions))


def test_balanced_accuracy_equals_scikit_learn() -> None:
    labels, predictions = random_case(3)
    present = np.isin(predictions, labels)  # scikit-learn warns about predicted classes that never occur
    matrix = metrics.confusion_matrix(labels[present], predictions[present], 7)
    reference = sklearn.metrics.balanced_accuracy_score(labels[present], predictions[present])
    assert metrics.balanced_accuracy(matrix) == pytest.approx(reference)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_top_k_equals_scikit_learn(k: int) -> None:
    generator = np.random.default_rng(k)
    scores, labels = generator.normal(size=(200, 8)), generator.integers(0, 8, 200)
    reference = sklearn.metrics.top_k_accuracy_score(labels, scores, k=k, labels=range(8))
    assert metrics.top_k(scores, labels, k) == pytest.approx(reference)


def test_a_constant_output_never_looks_good() -> None:
    assert metrics.top_k(np.zeros((4, 10)), np.array([0, 1, 2, 3]), 5) == 0


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InputError, match=r"k must be between 1 and the number of classes, 3; got 5"):
        metrics.top_k(np.zeros((1, 3)), np.array([0]), 5)
    with pytest.raises(InputError, match=r"in \[0, 2\); got 0 to 2"):
        metrics.confusion_matrix(np.array([0, 2]), np.array([0, 0]), 2)
    with pytest.raises(InputError, match="as many predictions as labels"):
        metrics.confusion_matrix(np.array([0]), np.array([0, 1]), 2)
    for average in (metrics.accuracy, metrics.balanced_accuracy, metrics.averages):
        with pytest.raises(InputError, match="counts no item"):
            average(np.zeros((2, 2), int))


@pytest.mark.parametrize(
    "scores, labels, message",
    [
        (np.zeros(3), np.zeros(3, int), r"expected scores \(N, K\)"),
        (np.zeros((0, 3)), np.zeros(0, int), "nothing to judge"),
        (np.zeros((1, 3)), np.array([3]), r"labels must be in \[0, 3\); got 3 to 3"),
        (np.array([[np.nan, 0.0]]), np.array([0]), "not finite"),
    ],
)
def test_scores_are_checked(scores: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metrics.check_scores(scores, labels)
