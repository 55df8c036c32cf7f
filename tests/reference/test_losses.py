"""Softmax and cross-entropy: by hand, against torch, against finite differences, and what softmax does not notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.reference.finite_differences import assert_gradient
from glassnet.reference.losses import softmax, softmax_cross_entropy_backward, softmax_cross_entropy_forward


def test_by_hand() -> None:
    z, labels = np.log(np.array([[1.0, 3], [1, 1]])), np.array([1, 0])
    np.testing.assert_allclose(softmax(z), [[0.25, 0.75], [0.5, 0.5]])
    loss, cache = softmax_cross_entropy_forward(z, labels)
    assert loss == pytest.approx((np.log(4 / 3) + np.log(2)) / 2)
    np.testing.assert_allclose(softmax_cross_entropy_backward(cache), [[1 / 8, -1 / 8], [-1 / 4, 1 / 4]])


def test_smoothing_by_hand() -> None:
    # Two classes, a tenth smoothed: the targets are 0.95 and 0.05.
    loss, cache = softmax_cross_entropy_forward(np.log(np.array([[1.0, 3]])), np.array([1]), smoothing=0.1)
    assert loss == pytest.approx(0.95 * np.log(4 / 3) + 0.05 * np.log(4))
    np.testing.assert_allclose(softmax_cross_entropy_backward(cache), [[0.25 - 0.05, 0.75 - 0.95]])


def test_knowing_nothing_costs_the_logarithm_of_the_number_of_classes() -> None:
    assert softmax_cross_entropy_forward(np.zeros((3, 10)), np.array([0, 4, 9]))[0] == pytest.approx(np.log(10))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.sampled_from([0.1, 1.0, 100.0]),
    st.integers(0, 99),
)
def test_both_steps_are_torchs(
    torch_says: Callable[..., Any], n: int, k: int, smoothing: float, scale: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    z, labels = generator.standard_normal((n, k)) * scale, generator.integers(0, k, n)
    loss, cache = softmax_cross_entropy_forward(z, labels, smoothing=smoothing)
    target = torch.tensor(labels)
    expected, (gradient,) = torch_says(
        lambda z: F.cross_entropy(z, target, label_smoothing=smoothing), np.array(1.0), z
    )
    assert loss == pytest.approx(float(expected), rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(softmax_cross_entropy_backward(cache), gradient, atol=1e-12)
    np.testing.assert_allclose(softmax(z), torch.softmax(torch.tensor(z), 1).numpy(), atol=1e-12)


@pytest.mark.parametrize("smoothing", [0, 0.2])
def test_the_gradient_is_what_finite_differences_say(smoothing: float) -> None:
    z, labels = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 2, 1, 1])
    _, cache = softmax_cross_entropy_forward(z, labels, smoothing=smoothing)
    gradient = softmax_cross_entropy_backward(cache)
    assert_gradient(lambda: softmax_cross_entropy_forward(z, labels, smoothing=smoothing)[0], z, gradient)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.floats(-1e3, 1e3), st.integers(0, 99))
def test_softmax_is_a_distribution_and_does_not_notice_a_shift(n: int, k: int, shift: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    z, order = generator.standard_normal((n, k)) * 5, generator.permutation(k)
    p = softmax(z)
    assert (p > 0).all()
    np.testing.assert_allclose(p.sum(1), 1)
    np.testing.assert_allclose(softmax(z + shift), p, rtol=1e-9)
    np.testing.assert_allclose(softmax(z[:, order]), p[:, order])  # and permuting logits permutes probabilities
    assert (p.argmax(1) == z.argmax(1)).all()
    labels = generator.integers(0, k, n)
    loss, cache = softmax_cross_entropy_forward(z, labels)
    assert softmax_cross_entropy_forward(z + shift, labels)[0] == pytest.approx(loss, abs=1e-9)
    np.testing.assert_allclose(softmax_cross_entropy_backward(cache).sum(1), 0, atol=1e-12)


def test_huge_logits_stay_finite() -> None:
    z = np.array([[1e4, -1e4], [-1e4, 1e4]])
    assert softmax(z).tolist() == [[1, 0], [0, 1]]
    loss, cache = softmax_cross_entropy_forward(z, np.array([1, 1]))
    assert loss == 1e4  # (20,000 + 0) / 2
    assert softmax_cross_entropy_backward(cache).tolist() == [[0.5, -0.5], [0, 0]]


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [0], [[0], [1]]])
def test_labels_that_do_not_fit_are_refused(labels: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"do not fit logits \(2, 3\): one from 0 to 2 for each row"):
        softmax_cross_entropy_forward(np.zeros((2, 3)), np.array(labels))
