"""Curves: by hand, then scikit-learn's, with ties."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.errors import InputError
from glassnet.evaluation import curves


def random_case(seed: int, n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores in a few coarse steps, so that many tie; at least one of each kind."""
    generator = np.random.default_rng(seed)
    positive = generator.random(n) < 0.3
    positive[:2] = [True, False]
    return positive, np.round(generator.random(n) * 0.7 + positive * 0.3, 1)


def test_by_hand() -> None:
    positive = np.array([True, False, True, False])
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    curve = curves.precision_recall_curve(positive, scores)
    assert curve.x.tolist() == [0, 0.5, 0.5, 1, 1]
    assert curve.y == pytest.approx([1, 1, 1 / 2, 2 / 3, 1 / 2])
    assert curve.area == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert curves.roc_curve(positive, scores).area == 0.75  # of four pairs one is the wrong way round
    assert curves.best_f1_threshold(positive, scores) == (0.7, pytest.approx(0.8))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 80))
def test_equal_to_scikit_learn(seed: int, n: int) -> None:
    positive, scores = random_case(seed, n)
    precision, recall, _ = sklearn.metrics.precision_recall_curve(positive, scores)
    curve = curves.precision_recall_curve(positive, scores)
    assert curve.x == pytest.approx(recall[::-1])
    assert curve.y == pytest.approx(precision[::-1])
    assert curves.average_precision(positive, scores) == pytest.approx(
        sklearn.metrics.average_precision_score(positive, scores)
    )
    x, y, _ = sklearn.metrics.roc_curve(positive, scores, drop_intermediate=False)
    roc = curves.roc_curve(positive, scores)
    assert roc.x == pytest.approx(x)
    assert roc.y == pytest.approx(y)
    assert roc.area == pytest.approx(sklearn.metrics.roc_auc_score(positive, scores))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_no_threshold_beats_the_best(seed: int) -> None:
    positive, scores = random_case(seed)
    threshold, best = curves.best_f1_threshold(positive, scores)
    assert sklearn.metrics.f1_score(positive, scores >= threshold) == pytest.approx(best)
    every = [sklearn.metrics.f1_score(positive, scores >= candidate) for candidate in np.unique(scores)]
    assert best == pytest.approx(max(every))


def test_thresholds_by_name_leave_out_a_class_without_pictures() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.6, 0.3, 0.1]])
    thresholds = curves.best_f1_thresholds(probabilities, np.array([0, 1, 0]), ["cat", "dog", "owl"])
    assert thresholds == {"cat": 0.6, "dog": 0.5}


def test_without_positives() -> None:
    nothing, scores = np.zeros(3, bool), np.array([0.1, 0.2, 0.3])
    assert curves.average_precision(nothing, scores) == 0
    assert np.isnan(curves.roc_curve(nothing, scores).area)
    assert np.isnan(curves.roc_curve(~nothing, scores).area)


def test_thinning_keeps_ends_area_and_shape() -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(20_000) < 0.3
    curve = curves.roc_curve(positive, generator.normal(size=20_000) + positive)
    thin = curve.thinned(100)
    assert len(thin.x) <= 100
    assert (thin.x[0], thin.y[0], thin.x[-1], thin.y[-1]) == (0, 0, 1, 1)
    assert np.interp(curve.x, thin.x, thin.y) == pytest.approx(curve.y, abs=0.02)
    assert thin.area == curve.area
    assert thin.thinned(100) is thin


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(InputError, match=r"expected two \(N,\) arrays, N > 0; got \(2,\) and \(3,\)"):
        curves.roc_curve(np.zeros(2, bool), np.zeros(3))
