"""Activations: by hand, against torch, against finite differences, at the ends of the number line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from glassnet.reference.activations import (
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from glassnet.reference.finite_differences import assert_gradient

ACTIVATIONS = [
    pytest.param(relu_forward, relu_backward, torch.relu, id="relu"),
    pytest.param(sigmoid_forward, sigmoid_backward, torch.sigmoid, id="sigmoid"),
    pytest.param(tanh_forward, tanh_backward, torch.tanh, id="tanh"),
]


def test_by_hand() -> None:
    z, da = np.array([-2.0, 0, 3]), np.array([10.0, 10, 10])
    a, cache = relu_forward(z)
    assert (a.tolist(), relu_backward(da, cache).tolist()) == ([0, 0, 3], [0, 0, 10])
    a, cache = sigmoid_forward(np.array([0, np.log(3)]))  # 1 / (1 + 1) and 1 / (1 + 1/3)
    np.testing.assert_allclose(a, [0.5, 0.75])
    np.testing.assert_allclose(sigmoid_backward(np.ones(2), cache), [1 / 4, 3 / 16])
    a, cache = tanh_forward(np.array([0, np.log(2)]))  # (2 - 1/2) / (2 + 1/2)
    np.testing.assert_allclose(a, [0, 0.6])
    np.testing.assert_allclose(tanh_backward(np.ones(2), cache), [1, 0.64])


@pytest.mark.parametrize("forward, backward, of_torch", ACTIVATIONS)
@settings(max_examples=25, deadline=None)
@given(shape=array_shapes(max_dims=4, max_side=4), scale=st.sampled_from([0.1, 1.0, 30.0]), seed=st.integers(0, 99))
def test_both_steps_are_torchs(
    torch_says: Callable[..., Any], forward: Any, backward: Any, of_torch: Any, shape: Any, scale: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    z, da = generator.standard_normal(shape) * scale, generator.standard_normal(shape)
    a, cache = forward(z)
    expected, (gradient,) = torch_says(of_torch, da, z)
    np.testing.assert_allclose(a, expected, atol=1e-12)
    np.testing.assert_allclose(backward(da, cache), gradient, atol=1e-12)


@pytest.mark.parametrize("forward, backward, of_torch", ACTIVATIONS)
def test_the_slope_at_zero_is_torchs(
    torch_says: Callable[..., Any], forward: Any, backward: Any, of_torch: Any
) -> None:
    z = np.zeros(1)
    _, cache = forward(z)
    assert backward(np.ones(1), cache) == torch_says(of_torch, np.ones(1), z)[1][0]


@pytest.mark.parametrize("forward, backward, of_torch", ACTIVATIONS)
def test_the_gradient_is_what_finite_differences_say(forward: Any, backward: Any, of_torch: Any) -> None:  # noqa: ARG001
    z = np.linspace(-3, 3, 8)  # not at the kink
    da = np.arange(1.0, 9)
    _, cache = forward(z)
    assert_gradient(lambda: float((da * forward(z)[0]).sum()), z, backward(da, cache))


def test_nothing_overflows() -> None:
    a, cache = sigmoid_forward(np.array([-1e4, 1e4]))
    assert a.tolist() == [0, 1]
    assert sigmoid_backward(np.ones(2), cache).tolist() == [0, 0]
