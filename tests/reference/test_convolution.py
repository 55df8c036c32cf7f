"""Convolution: by hand, against torch over a grid of settings, against finite differences, and as a linear map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from glassnet.nn.arithmetic import output_size
from glassnet.nn.layers import conv2d_same
from glassnet.reference.convolution import convolution_backward, convolution_forward
from glassnet.reference.finite_differences import assert_gradient

small = st.integers(1, 3)
pairs = st.tuples(small, small)
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
kernels = st.tuples(st.integers(1, 4), st.integers(1, 4))


def one_channel(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, np.float64)[None, None]


def convolve(picture: np.ndarray, kernel: np.ndarray, **settings: Any) -> list[list[float]]:
    z, _ = convolution_forward(picture, kernel, np.zeros(1), **settings)
    return z[0, 0].tolist()  # type: ignore[no-any-return]


def draw(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape) for shape in shapes]


# --- by hand -------------------------------------------------------------------------------------------------------


def test_a_vertical_edge_by_hand() -> None:
    half_bright = one_channel([[10, 10, 10, 0, 0, 0]] * 6)
    vertical_edge = one_channel([[1, 0, -1]] * 3)
    assert convolve(half_bright, vertical_edge) == [[0, 30, 30, 0]] * 4
    assert convolve(half_bright[..., ::-1], vertical_edge) == [[0, -30, -30, 0]] * 4


def test_a_kernel_whose_weights_cancel_by_hand() -> None:
    kernel = one_channel([[-1, 1, -1], [-1, 5, -1], [-2, 2, -2]])
    assert convolve(one_channel([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), kernel) == [[-2 + 15 - 16]]
    assert convolve(one_channel([[7] * 5] * 5), kernel) == [[0] * 3] * 3
    assert convolve(one_channel([[0, 1, 0]] * 3), kernel) == [[8]]  # a line down the middle meets 1, 5 and 2


def test_a_single_bright_pixel_shows_the_kernel_turned_around() -> None:
    pixel = np.zeros((1, 1, 5, 5))
    pixel[0, 0, 2, 2] = 1
    assert convolve(pixel, one_channel([[1, 2, 3], [4, 5, 6], [7, 8, 9]])) == [[9, 8, 7], [6, 5, 4], [3, 2, 1]]


def test_stride_padding_and_dilation_by_hand() -> None:
    picture, ones = one_channel([[1, 2, 3, 4]] * 4), one_channel([[1, 1], [1, 1]])
    assert convolve(picture, ones, stride=2) == [[6, 14], [6, 14]]
    assert convolve(picture, ones, stride=3) == [[6]]  # the last row and column are never read
    assert convolve(picture, ones, dilation=3) == [[10]]  # the four corners
    assert convolve(picture, ones, padding=1, stride=2) == [[1, 5, 4], [2, 10, 8], [1, 5, 4]]
    assert convolve(picture, ones, padding="same") == [[6, 10, 14, 8]] * 3 + [[3, 5, 7, 4]]
    assert convolve(picture, ones, padding=(1, 0, 0, 0)) == [[3, 5, 7]] + [[6, 10, 14]] * 3


def test_both_steps_by_hand() -> None:
    a_prev = one_channel([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    z, cache = convolution_forward(a_prev, one_channel([[1, 0], [0, -1]]), np.array([0.5]))
    assert z.tolist() == [[[[-3.5, -3.5], [-3.5, -3.5]]]]  # every pixel less its neighbour down right, and the bias
    da_prev, dW, db = convolution_backward(one_channel([[1, 2], [3, 4]]), cache)
    assert dW.tolist() == [[[[1 + 4 + 12 + 20, 2 + 6 + 15 + 24], [4 + 10 + 21 + 32, 5 + 12 + 24 + 36]]]]
    assert da_prev.tolist() == [[[[1, 2, 0], [3, 4 - 1, -2], [0, -3, -4]]]]
    assert db.tolist() == [10]


def test_groups_by_hand() -> None:
    a_prev = np.ones((1, 4, 1, 1)) * np.array([1, 2, 3, 4])[:, None, None]
    W = np.ones((2, 2, 1, 1))
    assert convolution_forward(a_prev, W, np.zeros(2), groups=2)[0].tolist() == [[[[3]], [[7]]]]  # 1 + 2 and 3 + 4


# --- torch ---------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 2), small, small, small, sizes, kernels, pairs, st.tuples(*[st.integers(0, 3)] * 2), pairs, st.data()
)
def test_forward_and_backward_are_torchs(
    torch_says: Callable[..., Any],
    n: int,
    groups: int,
    channels: int,
    filters: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    data: st.DataObject,
) -> None:
    assume(all(s + 2 * p > d * (k - 1) for s, p, d, k in zip(size, padding, dilation, kernel, strict=True)))
    shapes = (n, channels * groups, *size), (filters * groups, channels, *kernel), (filters * groups,)
    seed = data.draw(st.integers(0, 99))
    x, W, b = draw(seed, *shapes)
    z, cache = convolution_forward(x, W, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    expected_size = [output_size(*axis) for axis in zip(size, kernel, stride, padding, dilation, strict=True)]
    assert list(z.shape) == [n, filters * groups, *expected_size]
    (dz,) = draw(seed + 1, z.shape)
    expected, gradients = torch_says(lambda *t: F.conv2d(*t, stride, padding, dilation, groups), dz, x, W, b)
    np.testing.assert_allclose(z, expected, atol=1e-9)
    for ours, theirs in zip(convolution_backward(dz, cache), gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # it does what is asked
@settings(max_examples=60, deadline=None)
@given(sizes, kernels, pairs, pairs, st.integers(0, 99))
def test_same_padding_is_tensorflows(
    torch_says: Callable[..., Any],
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    seed: int,
) -> None:
    x, W, b = draw(seed, (2, 2, *size), (3, 2, *kernel), (3,))
    z, cache = convolution_forward(x, W, b, stride=stride, padding="same", dilation=dilation)
    assert z.shape[2:] == tuple(-(-s // t) for s, t in zip(size, stride, strict=True))
    (dz,) = draw(seed + 1, z.shape)
    expected, gradients = torch_says(lambda *t: conv2d_same(*t, stride, dilation, 1), dz, x, W, b)
    np.testing.assert_allclose(z, expected, atol=1e-9)
    for ours, theirs in zip(convolution_backward(dz, cache), gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)
    if stride == (1, 1):
        by_torch = F.conv2d(*map(torch.tensor, (x, W, b)), padding="same", dilation=dilation)
        np.testing.assert_allclose(z, by_torch.numpy(), atol=1e-9)


def test_four_sides_are_top_bottom_left_right(torch_says: Callable[..., Any]) -> None:
    x, W, b, dz = draw(0, (1, 2, 5, 4), (2, 2, 3, 2), (2,), (1, 2, 4, 10))
    z, cache = convolution_forward(x, W, b, padding=(1, 0, 2, 5))
    expected, gradients = torch_says(lambda x, W, b: F.conv2d(F.pad(x, (2, 5, 1, 0)), W, b), dz, x, W, b)
    np.testing.assert_allclose(z, expected, atol=1e-12)
    np.testing.assert_allclose(convolution_backward(dz, cache)[0], gradients[0], atol=1e-12)


def test_the_precision_is_kept() -> None:
    x, W, b = (array.astype(np.float32) for array in draw(0, (1, 2, 5, 5), (2, 2, 3, 3), (2,)))
    z, cache = convolution_forward(x, W, b, padding=1)
    assert {array.dtype for array in (z, *convolution_backward(z, cache))} == {np.dtype(np.float32)}


# --- finite differences, and what a linear map must do -------------------------------------------------------------

SETTINGS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1},
    {"stride": (2, 3), "padding": (0, 2), "dilation": (2, 1)},
    {"padding": "same", "stride": 2},
    {"groups": 2, "padding": (1, 0, 0, 2)},
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_the_gradient_is_what_finite_differences_say(setting: dict[str, Any]) -> None:
    x, W, b = draw(1, (2, 2, 5, 6), (2, 2 // setting.get("groups", 1), 3, 2), (2,))
    z, cache = convolution_forward(x, W, b, **setting)
    (dz,) = draw(2, z.shape)
    gradients = convolution_backward(dz, cache)
    for array, gradient in zip((x, W, b), gradients, strict=True):
        assert_gradient(lambda: float((dz * convolution_forward(x, W, b, **setting)[0]).sum()), array, gradient)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_the_backward_step_is_the_transposed_map(setting: dict[str, Any]) -> None:
    x, W = draw(3, (2, 2, 7, 6), (4, 2 // setting.get("groups", 1), 3, 2))
    z, cache = convolution_forward(x, W, np.zeros(4), **setting)
    (dz,) = draw(4, z.shape)
    da_prev, dW, _ = convolution_backward(dz, cache)
    assert (z * dz).sum() == pytest.approx((x * da_prev).sum()) == pytest.approx((W * dW).sum())


# --- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x, W, b, setting, message",
    [
        ((1, 3, 5, 5), (2, 2, 3, 3), 2, {}, r"filters \(2, 2, 3, 3\) in 1 groups do not fit an input \(1, 3, 5, 5\)"),
        ((3, 5, 5), (2, 3, 3, 3), 2, {}, "do not fit an input"),
        ((1, 4, 5, 5), (3, 2, 3, 3), 3, {"groups": 2}, "3 filters do not go into 2 groups"),
        ((1, 2, 5, 5), (3, 2, 3, 3), 1, {}, r"with a bias \(1,\)"),
        ((1, 2, 4, 9), (3, 2, 3, 3), 3, {"dilation": 2}, "a kernel of 5 does not fit a padded input of 4"),
        (
            (1, 2, 4, 9),
            (3, 2, 3, 3),
            3,
            {"stride": (1, 0)},
            r"stride \(1, 0\) and dilation \(1, 1\) must all be at least 1",
        ),
        ((1, 2, 4, 9), (3, 2, 3, 3), 3, {"padding": "full"}, "padding is 'full'; expected a number, 2 or 4 numbers"),
        ((1, 2, 4, 9), (3, 2, 3, 3), 3, {"padding": (1, 2, 3)}, r"padding is \(1, 2, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(x: Any, W: Any, b: int, setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convolution_forward(np.zeros(x), np.zeros(W), np.zeros(b), **setting)
