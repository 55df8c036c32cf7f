"""Batch and local response normalisation: by hand, against torch over several steps, against finite differences."""

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
from glassnet.reference.normalisation import (
    batch_norm_eval_backward,
    batch_norm_eval_forward,
    batch_norm_train_backward,
    batch_norm_train_forward,
    local_response_norm_backward,
    local_response_norm_forward,
)

shapes = st.tuples(st.integers(2, 4), st.integers(1, 4)) | st.tuples(st.integers(2, 3), *[st.integers(1, 4)] * 3)


def test_batch_norm_by_hand() -> None:
    x = np.array([[1.0], [3], [5], [7]])  # mean 4, variance (9 + 1 + 1 + 9) / 4 = 5, unbiased 20 / 3
    start = np.array([2.0]), np.array([1.0])
    y, _, (mean, variance) = batch_norm_train_forward(x, np.array([2.0]), np.array([10.0]), start, epsilon=4.0)
    np.testing.assert_allclose(y[:, 0], [10 - 2, 10 - 2 / 3, 10 + 2 / 3, 10 + 2])  # sqrt(5 + 4) = 3
    assert mean == pytest.approx(0.9 * 2 + 0.1 * 4)
    assert variance == pytest.approx(0.9 * 1 + 0.1 * 20 / 3)
    y, _ = batch_norm_eval_forward(x, np.array([2.0]), np.array([10.0]), (np.array([1.0]), np.array([5.0])), epsilon=4)
    np.testing.assert_allclose(y[:, 0], [10, 10 + 4 / 3, 10 + 8 / 3, 10 + 4])


@settings(max_examples=50, deadline=None)
@given(shapes, st.sampled_from([0.1, 0.01, 0.9]), st.sampled_from([1e-5, 1e-3]), st.integers(0, 99))
def test_batch_norm_is_torchs_in_training(
    torch_says: Callable[..., Any], shape: tuple[int, ...], momentum: float, epsilon: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    gamma, beta = generator.standard_normal((2, shape[1]))
    running = np.zeros(shape[1]), np.ones(shape[1])
    theirs = torch.zeros(shape[1], dtype=torch.float64), torch.ones(shape[1], dtype=torch.float64)
    for _ in range(4):  # the running statistics remember all of it
        x, dy = generator.standard_normal((2, *shape)) * 3 + 1
        y, cache, running = batch_norm_train_forward(x, gamma, beta, running, momentum=momentum, epsilon=epsilon)
        expected, gradients = torch_says(
            lambda x, g, b: F.batch_norm(x, *theirs, g, b, True, momentum, epsilon), dy, x, gamma, beta
        )
        np.testing.assert_allclose(y, expected, atol=1e-9)
        for ours, by_torch in zip(batch_norm_train_backward(dy, cache), gradients, strict=True):
            np.testing.assert_allclose(ours, by_torch, atol=1e-7)  # a tiny variance divides rounding errors
        for ours, by_torch in zip(running, theirs, strict=True):
            np.testing.assert_allclose(ours, by_torch.numpy(), atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(shapes, st.integers(0, 99))
def test_batch_norm_is_torchs_in_evaluation(torch_says: Callable[..., Any], shape: tuple[int, ...], seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, dy = generator.standard_normal((2, *shape))
    gamma, beta, mean = generator.standard_normal((3, shape[1]))
    variance = generator.uniform(0.1, 3, shape[1])
    y, cache = batch_norm_eval_forward(x, gamma, beta, (mean, variance))
    fixed = torch.tensor(mean), torch.tensor(variance)
    expected, gradients = torch_says(lambda x, g, b: F.batch_norm(x, *fixed, g, b), dy, x, gamma, beta)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    for ours, theirs in zip(batch_norm_eval_backward(dy, cache), gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 2), (3, 2, 2, 3)], ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_batch_norms_gradient_is_what_finite_differences_say(shape: tuple[int, ...], training: bool) -> None:
    generator = np.random.default_rng(0)
    x, dy = generator.standard_normal((2, *shape))
    gamma, beta = generator.standard_normal((2, 2))
    running = np.array([0.3, -0.2]), np.array([0.7, 2.0])
    forward: Callable[..., Any] = batch_norm_train_forward if training else batch_norm_eval_forward
    backward = batch_norm_train_backward if training else batch_norm_eval_backward
    gradients = backward(dy, forward(x, gamma, beta, running)[1])
    for array, gradient in zip((x, gamma, beta), gradients, strict=True):
        assert_gradient(lambda: float((dy * forward(x, gamma, beta, running)[0]).sum()), array, gradient)


def test_in_training_a_shift_and_a_scale_of_the_input_change_nothing() -> None:
    x = np.random.default_rng(0).standard_normal((4, 3, 5, 5))
    one, zero = np.ones(3), np.zeros(3)
    y, _, _ = batch_norm_train_forward(x, one, zero, (zero, one), epsilon=0)
    moved, _, _ = batch_norm_train_forward(x * 7 + 100, one, zero, (zero, one), epsilon=0)
    np.testing.assert_allclose(y, moved, atol=1e-9)
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var((0, 2, 3)), 1)


def test_the_variance_of_one_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"an input \(1, 3\) has one number in each channel"):
        batch_norm_train_forward(np.zeros((1, 3)), np.ones(3), np.zeros(3), (np.zeros(3), np.ones(3)))


def test_local_response_norm_by_hand() -> None:
    a = np.array([1.0, 2, 3, 4]).reshape(1, 4, 1, 1)
    b, _ = local_response_norm_forward(a, 3, k=2, alpha=1, beta=1)  # a / (2 + squares of three neighbours)
    np.testing.assert_allclose(b.flatten(), [1 / (2 + 5), 2 / (2 + 14), 3 / (2 + 29), 4 / (2 + 25)])


def test_local_response_norm_is_the_papers_formula_term_by_term() -> None:
    a = np.random.default_rng(0).standard_normal((2, 7, 2, 3)) * 30
    b, _ = local_response_norm_forward(a)
    for i in range(7):
        neighbours = [a[:, j] ** 2 for j in range(max(0, i - 2), min(6, i + 2) + 1)]
        np.testing.assert_allclose(b[:, i], a[:, i] / (2 + 1e-4 * sum(neighbours)) ** 0.75)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 8), st.integers(1, 7), st.sampled_from([1e-4, 0.5]), st.floats(0.3, 1.5), st.integers(0, 99))
def test_local_response_norm_is_torchs(
    torch_says: Callable[..., Any], channels: int, n: int, alpha: float, beta: float, seed: int
) -> None:
    a, db = np.random.default_rng(seed).standard_normal((2, 2, channels, 3, 2)) * 3
    b, cache = local_response_norm_forward(a, n, k=1.5, alpha=alpha, beta=beta)
    # torch divides alpha by n, the paper does not
    expected, (gradient,) = torch_says(lambda a: F.local_response_norm(a, n, alpha * n, beta, 1.5), db, a)
    np.testing.assert_allclose(b, expected, atol=1e-9)
    np.testing.assert_allclose(local_response_norm_backward(db, cache), gradient, atol=1e-9)


@pytest.mark.parametrize("n", [1, 3, 4, 5])
def test_local_response_norms_gradient_is_what_finite_differences_say(n: int) -> None:
    a, db = np.random.default_rng(n).standard_normal((2, 2, 6, 2, 1))
    _, cache = local_response_norm_forward(a, n, alpha=0.3)
    gradient = local_response_norm_backward(db, cache)
    assert_gradient(lambda: float((db * local_response_norm_forward(a, n, alpha=0.3)[0]).sum()), a, gradient)


def test_a_window_of_no_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="n is 0; expected at least 1 channel"):
        local_response_norm_forward(np.zeros((1, 3, 2, 2)), 0)
