"""The arithmetic against numbers done by hand, and against what torch's layers really do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from glassnet.errors import InputError
from glassnet.nn.arithmetic import (
    ReceptiveField,
    conv_multiply_adds,
    conv_parameters,
    linear_parameters,
    output_size,
    padding_sides,
    same_padding,
)

small = st.integers(1, 5)


@pytest.mark.parametrize(
    "size, kernel, options, expected",
    [
        (28, 5, {}, 24),  # LeNet's first layer
        (28, 5, {"padding": "same"}, 28),
        (224, 7, {"stride": 2, "padding": 3}, 112),  # ResNet's stem
        (112, 3, {"stride": 2, "padding": 1}, 56),  # and its pool
        (224, 3, {"stride": 2, "padding": "same"}, 112),  # EfficientNet-Lite's stem
        (225, 3, {"stride": 2, "padding": "same"}, 113),
        (224, 3, {"stride": 2, "padding": (0, 1)}, 112),
        (7, 3, {"dilation": 3}, 1),
        (5, 2, {"stride": 2}, 2),
        (5, 2, {"stride": 2, "ceil_mode": True}, 3),
        (55, 3, {"stride": 2, "ceil_mode": True}, 27),
        (28, 3, {"padding": "valid"}, 26),
    ],
)
def test_output_size_by_hand(size: int, kernel: int, options: dict[str, object], expected: int) -> None:
    assert output_size(size, kernel, **options) == expected  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.integers(1, 40), small, small, st.integers(0, 2), st.integers(1, 3))
def test_output_size_is_that_of_torchs_convolution(size: int, k: int, stride: int, padding: int, dilation: int) -> None:
    assume(size + 2 * padding >= dilation * (k - 1) + 1)
    layer = nn.Conv1d(1, 1, k, stride, padding, dilation, device="meta")
    assert output_size(size, k, stride, padding, dilation) == layer(torch.empty(1, 1, size, device="meta")).shape[2]


@settings(deadline=None)
@given(st.integers(1, 40), small, small, st.booleans())
def test_output_size_is_that_of_torchs_pooling(size: int, k: int, stride: int, ceil_mode: bool) -> None:
    padding = k // 2
    assume(size + 2 * padding >= k)
    layer = nn.MaxPool1d(k, stride, padding, ceil_mode=ceil_mode)
    out = layer(torch.zeros(1, 1, size))
    assert output_size(size, k, stride, padding, ceil_mode=ceil_mode) == out.shape[2]


@settings(deadline=None)
@given(st.integers(1, 60), small, small, st.integers(1, 3))
def test_same_padding_gives_the_ceiling_and_puts_the_odd_zero_last(size: int, k: int, stride: int, d: int) -> None:
    before, after = same_padding(size, k, stride, d)
    assert after - before in (0, 1)
    # Where the kernel is smaller than the stride no padding is needed and the last rows may go unread, but counted.
    assert (size + before + after - d * (k - 1) - 1) // stride + 1 == -(-size // stride)


def test_a_kernel_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"a kernel of 7 does not fit an input of 3 padded by 1 \+ 1"):
        output_size(3, 7, padding=1)


def test_an_unknown_padding_is_refused() -> None:
    with pytest.raises(InputError, match="padding is 'full'; expected"):
        padding_sides(28, 3, padding="full")


def test_parameters_by_hand() -> None:
    assert conv_parameters(1, 32, 5) == 832  # 25 weights and a bias for each of 32 filters
    assert conv_parameters(3, 64, (7, 7), bias=False) == 9408
    assert conv_parameters(3, 3, 3, groups=3, bias=False) == 27
    assert linear_parameters(400, 120) == 48_120


def test_multiply_adds_by_hand() -> None:
    assert conv_multiply_adds(3, 5, 3, 4) == 2160  # 27 weights, 16 positions, 5 filters
    depthwise, pointwise = conv_multiply_adds(3, 3, 3, 4, groups=3), conv_multiply_adds(3, 5, 1, 4)
    assert (depthwise, pointwise, depthwise + pointwise) == (432, 240, 672)
    assert conv_multiply_adds(192, 32, 5, 28) == 120_422_400
    through_a_bottleneck = conv_multiply_adds(192, 16, 1, 28) + conv_multiply_adds(16, 32, 5, 28)
    assert through_a_bottleneck == 12_443_648


def test_two_3x3_see_a_5x5_and_three_a_7x7() -> None:
    field = ReceptiveField()
    assert [(field := field.through(3)).size for _ in range(3)] == [3, 5, 7]


def test_the_receptive_field_of_a_strided_stem() -> None:
    field = ReceptiveField().through(7, stride=2, padding_before=3).through(3, stride=2, padding_before=1)
    assert field == ReceptiveField(size=11, jump=4, start=0.0)


@settings(deadline=None)
@given(small, small, small, small)
def test_the_receptive_field_is_where_a_gradient_arrives(k1: int, s1: int, k2: int, s2: int) -> None:
    field = ReceptiveField().through(k1, s1).through(k2, s2)
    x = torch.zeros(1, 1, field.size + 3, requires_grad=True)
    y = nn.functional.conv1d(nn.functional.conv1d(x, torch.ones(1, 1, k1), stride=s1), torch.ones(1, 1, k2), stride=s2)
    y[0, 0, 0].backward()
    assert x.grad is not None
    reached = x.grad[0, 0].nonzero().flatten()
    assert reached.max().item() + 1 == field.size
    assert field.start == (field.size - 1) / 2


def test_branches_that_meet_have_the_larger_field() -> None:
    narrow, wide = ReceptiveField().through(1), ReceptiveField().through(3, padding_before=1)
    assert narrow.join(wide) == wide.join(narrow) == wide


def test_a_window_that_is_rounded_up_may_hang_over_the_edge() -> None:
    assert output_size(2, 3, stride=2, ceil_mode=True) == 1  # as `nn.MaxPool2d(3, 2, ceil_mode=True)` gives
    assert torch.nn.MaxPool2d(3, 2, ceil_mode=True)(torch.zeros(1, 1, 2, 2)).shape == (1, 1, 1, 1)
    with pytest.raises(InputError, match="a kernel of 4 does not fit an input of 1"):
        output_size(1, 4, stride=2, ceil_mode=True)
