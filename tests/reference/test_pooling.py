"""Pooling: by hand, against torch over a grid of settings (with ties), and against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from glassnet.reference.finite_differences import assert_gradient
from glassnet.reference.pooling import (
    average_pooling_backward,
    average_pooling_forward,
    max_pooling_backward,
    max_pooling_forward,
)

PICTURE = np.array([[1.0, 3, 2, 1], [2, 9, 1, 1], [1, 3, 2, 3], [5, 6, 1, 2]])[None, None]
DA = np.array([[10.0, 20], [30, 40]])[None, None]
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
kernels = st.tuples(st.integers(1, 4), st.integers(1, 4))
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


def test_the_maximum_by_hand() -> None:
    a, cache = max_pooling_forward(PICTURE, 2)
    assert a[0, 0].tolist() == [[9, 2], [6, 3]]
    da_prev = max_pooling_backward(DA, cache)
    assert da_prev[0, 0].tolist() == [[0, 0, 20, 0], [0, 10, 0, 0], [0, 0, 0, 40], [0, 30, 0, 0]]


def test_the_mean_by_hand() -> None:
    a, cache = average_pooling_forward(PICTURE, 2)
    assert a[0, 0].tolist() == [[3.75, 1.25], [3.75, 2]]
    da_prev = average_pooling_backward(DA, cache)
    assert da_prev[0, 0].tolist() == [[2.5, 2.5, 5, 5]] * 2 + [[7.5, 7.5, 10, 10]] * 2


def test_of_equal_values_the_first_gets_the_gradient() -> None:
    _, cache = max_pooling_forward(np.ones((1, 1, 4, 4)), 2)
    assert max_pooling_backward(DA, cache)[0, 0].tolist() == [[10, 0, 20, 0], [0] * 4, [30, 0, 40, 0], [0] * 4]


def test_a_pixel_that_wins_twice_collects_twice() -> None:
    a, cache = max_pooling_forward(np.array([[[[0.0, 5, 0]]]]), (1, 2), 1)
    assert a.tolist() == [[[[5, 5]]]]
    assert max_pooling_backward(np.array([[[[1.0, 2]]]]), cache).tolist() == [[[[0, 3, 0]]]]


def test_padding_never_wins_but_may_count() -> None:
    below_zero = np.full((1, 1, 2, 2), -8.0)
    assert max_pooling_forward(below_zero, 2, padding=1)[0][0, 0].tolist() == [[-8, -8], [-8, -8]]
    assert average_pooling_forward(below_zero, 2, padding=1)[0][0, 0].tolist() == [[-2, -2], [-2, -2]]
    without = average_pooling_forward(below_zero, 2, padding=1, count_include_pad=False)[0]
    assert without[0, 0].tolist() == [[-8, -8], [-8, -8]]


def test_a_nan_shows() -> None:
    assert np.isnan(max_pooling_forward(np.array([[[[1.0, np.nan, 2, 0]]]]), (1, 4))[0]).all()


@settings(max_examples=120, deadline=None)
@given(sizes, kernels, pairs, pairs, st.booleans(), st.data())
def test_the_maximum_is_torchs(
    torch_says: Callable[..., Any],
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    few_values: bool,
    data: st.DataObject,
) -> None:
    padding = data.draw(st.tuples(*[st.integers(0, k // 2) for k in kernel]))  # torch allows no more
    assume(all(s + 2 * p > d * (k - 1) for s, p, d, k in zip(size, padding, dilation, kernel, strict=True)))
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = generator.integers(-2, 2, (2, 2, *size)) if few_values else generator.standard_normal((2, 2, *size))
    x = x.astype(np.float64)  # few values: ties everywhere
    a, cache = max_pooling_forward(x, kernel, stride, padding=padding, dilation=dilation)
    assume(np.isfinite(a).all())  # a dilated window may miss the picture altogether: its maximum is that of no pixel
    da = generator.standard_normal(a.shape)
    expected, (gradient,) = torch_says(lambda x: F.max_pool2d(x, kernel, stride, padding, dilation), da, x)
    np.testing.assert_array_equal(a, expected)
    np.testing.assert_allclose(max_pooling_backward(da, cache), gradient, atol=1e-12)


@settings(max_examples=80, deadline=None)
@given(sizes, kernels, st.none() | pairs, st.booleans(), st.data())
def test_the_mean_is_torchs(
    torch_says: Callable[..., Any],
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int] | None,
    count_include_pad: bool,
    data: st.DataObject,
) -> None:
    padding = data.draw(st.tuples(*[st.integers(0, k // 2) for k in kernel]))
    assume(all(s + 2 * p >= k for s, p, k in zip(size, padding, kernel, strict=True)))
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = generator.standard_normal((2, 2, *size))
    a, cache = average_pooling_forward(x, kernel, stride, padding=padding, count_include_pad=count_include_pad)
    da = generator.standard_normal(a.shape)
    expected, (gradient,) = torch_says(
        lambda x: F.avg_pool2d(x, kernel, stride, padding, False, count_include_pad), da, x
    )
    np.testing.assert_allclose(a, expected, atol=1e-12)
    np.testing.assert_allclose(average_pooling_backward(da, cache), gradient, atol=1e-12)


@pytest.mark.parametrize("setting", [{}, {"stride": 1}, {"stride": (1, 2), "padding": 1}, {"padding": "same"}], ids=str)
def test_the_gradients_are_what_finite_differences_say(setting: dict[str, Any]) -> None:
    generator = np.random.default_rng(0)
    x = generator.permutation(60.0 - np.arange(60)).reshape(2, 1, 5, 6)  # far apart: a nudge changes no winner
    for forward, backward in (
        (max_pooling_forward, max_pooling_backward),
        (average_pooling_forward, average_pooling_backward),
    ):
        a, cache = forward(x, (3, 2), **setting)
        da = generator.standard_normal(a.shape)

        def loss(forward: Callable[..., Any] = forward, da: np.ndarray = da) -> float:
            return float((da * forward(x, (3, 2), **setting)[0]).sum())

        assert_gradient(loss, x, backward(da, cache))


def test_a_window_larger_than_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="a kernel of 5 does not fit a padded input of 4"):
        max_pooling_forward(PICTURE, 5)
    with pytest.raises(ValueError, match=r"the input has shape \(4, 4\); expected \(N, C, H, W\)"):
        average_pooling_forward(PICTURE[0, 0], 2)
