"""The dense layer: by hand, against torch, against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.reference.dense import dense_backward, dense_forward
from glassnet.reference.finite_differences import assert_gradient


def test_both_steps_by_hand() -> None:
    z, cache = dense_forward(np.array([[1.0, 2, 3]]), np.array([[1.0, 0, -1], [2, 2, 2]]), np.array([0.5, -2]))
    assert z.tolist() == [[1 - 3 + 0.5, 2 + 4 + 6 - 2]]
    da_prev, dW, db = dense_backward(np.array([[10.0, 1]]), cache)
    assert da_prev.tolist() == [[10 + 2, 2, -10 + 2]]
    assert dW.tolist() == [[10, 20, 30], [1, 2, 3]]
    assert db.tolist() == [10, 1]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7), st.integers(0, 99))
def test_both_steps_are_torchs(torch_says: Callable[..., Any], n: int, inputs: int, outputs: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, W, b, dz = (generator.standard_normal(s) for s in ((n, inputs), (outputs, inputs), (outputs,), (n, outputs)))
    z, cache = dense_forward(x, W, b)
    expected, gradients = torch_says(F.linear, dz, x, W, b)
    np.testing.assert_allclose(z, expected, atol=1e-12)
    for ours, theirs in zip(dense_backward(dz, cache), gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_the_gradient_is_what_finite_differences_say() -> None:
    generator = np.random.default_rng(0)
    x, W, b, dz = (generator.standard_normal(shape) for shape in ((3, 4), (2, 4), (2,), (3, 2)))
    _, cache = dense_forward(x, W, b)
    for array, gradient in zip((x, W, b), dense_backward(dz, cache), strict=True):
        assert_gradient(lambda: float((dz * dense_forward(x, W, b)[0]).sum()), array, gradient)


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weights \(2, 3\) and bias \(2,\) do not fit an input \(5, 4\)"):
        dense_forward(np.zeros((5, 4)), np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(ValueError, match=r"weights \(2, 4\) and bias \(1,\)"):
        dense_forward(np.zeros((5, 4)), np.zeros((2, 4)), np.zeros(1))
