"""Our layers: shapes, hand numbers, and a slow NumPy convolution that pads as TensorFlow does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.fx
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from glassnet.nn.arithmetic import same_padding
from glassnet.nn.layers import LEAVES, Conv2dSame, ConvNormAct, GlobalAveragePool, GlobalMaxPool
from glassnet.nn.layers.activations import ScaledTanh
from glassnet.nn.layers.blocks import PointwiseLinear
from glassnet.nn.layers.convolution import Conv2d
from glassnet.nn.layers.filters import FixedFilter
from glassnet.nn.layers.lenet import PartialConv2d, TrainablePool
from glassnet.nn.layers.normalisation import LocalResponseNorm
from glassnet.nn.layers.padded import PaddedAvgPool2d, PaddedConv2d, PaddedMaxPool2d
from glassnet.nn.layers.radial_basis import RadialBasisOutput
from glassnet.nn.regularise import ActivityPenalty
from glassnet.nn.trace import trace


def slow_same_convolution(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """Convolve (C, H, W) position by position; windows are centred as TensorFlow's SAME says."""
    out_channels, _, k, _ = weight.shape
    height, width = x.shape[1:]
    rows, columns = -(-height // stride), -(-width // stride)
    top = max((rows - 1) * stride + k - height, 0) // 2
    left = max((columns - 1) * stride + k - width, 0) // 2
    out = np.zeros((out_channels, rows, columns))
    for row in range(rows):
        for column in range(columns):
            for i in range(k):
                for j in range(k):
                    y, z = row * stride + i - top, column * stride + j - left
                    if 0 <= y < height and 0 <= z < width:
                        out[:, row, column] += weight[:, :, i, j] @ x[:, y, z]
    return out


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(1, 3), st.integers(0, 99))
def test_conv2d_same_is_the_slow_one(height: int, width: int, kernel: int, stride: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer = Conv2dSame(2, 3, kernel, stride, bias=False).double()
    x = torch.randn(1, 2, height, width, dtype=torch.float64)
    expected = slow_same_convolution(x[0].numpy(), layer.weight.detach().numpy(), stride)
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected, atol=1e-12)


def test_same_padding_at_stride_2_is_not_half_padding() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    same, half = Conv2dSame(1, 1, 3, 2, bias=False), nn.Conv2d(1, 1, 3, 2, 1, bias=False)
    for layer in (same, half):
        nn.init.constant_(layer.weight, 1.0)
    # SAME puts its one zero row and column at the end: the first window holds 0..2, 4..6, 8..10.
    assert same(x)[0, 0].tolist() == [[45.0, 39.0], [66.0, 50.0]]
    assert half(x)[0, 0, 0, 0].item() == 0 + 1 + 4 + 5


def test_conv2d_same_keeps_its_bias_groups_and_dilation() -> None:
    layer = Conv2dSame(4, 4, 3, dilation=2, groups=4)
    expected = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4)
    expected.load_state_dict(layer.state_dict())
    x = torch.randn(2, 4, 9, 9)
    torch.testing.assert_close(layer(x), expected(x))


@pytest.mark.parametrize("size", [(8, 8), (8, 9), (9, 8), (9, 9), (3, 4)])
@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_a_depthwise_same_convolution_pads_its_filter_and_not_the_picture(size: tuple[int, int], kernel: int) -> None:
    torch.manual_seed(0)
    layer = Conv2dSame(4, 4, kernel, stride=2, groups=4)
    x = torch.randn(2, 4, *size, requires_grad=True)
    sides = [same_padding(length, kernel, 2) for length in reversed(size)]
    expected = F.conv2d(F.pad(x, [side for pair in sides for side in pair]), layer.weight, layer.bias, 2, 0, 1, 4)
    out = layer(x)
    torch.testing.assert_close(out, expected)
    for mine, plain in zip(
        *(torch.autograd.grad(y.square().sum(), (x, layer.weight)) for y in (out, expected)), strict=True
    ):
        torch.testing.assert_close(mine, plain)


def test_a_plain_tracer_takes_conv2d_same_for_any_size() -> None:
    traced = torch.fx.symbolic_trace(nn.Sequential(Conv2dSame(1, 1, 3, 2), Conv2dSame(1, 1, 2)))
    assert traced(torch.zeros(1, 1, 8, 8)).shape == (1, 1, 4, 4)
    assert traced(torch.zeros(1, 1, 9, 7)).shape == (1, 1, 5, 4)


@pytest.mark.parametrize("padding, first", [("half", Conv2d), ("same", Conv2dSame)])
def test_conv_norm_act_is_its_three_parts(padding: str, first: type[nn.Module]) -> None:
    block = ConvNormAct(3, 8, 3, stride=2, padding=padding, activation=nn.ReLU6)
    assert [type(layer) for layer in block] == [first, nn.BatchNorm2d, nn.ReLU6]
    assert [name for name, _ in block.named_children()] == ["conv", "norm", "act"]
    assert block.conv.bias is None
    assert block(torch.randn(2, 3, 8, 8)).shape == (2, 8, 4, 4)


def test_conv_norm_without_activation_is_linear() -> None:
    block = ConvNormAct(3, 8, 1, activation=None)
    assert len(block) == 2
    assert (block(torch.randn(4, 3, 4, 4)) < 0).any()


def test_global_pools_by_hand() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[-1.0, -2.0], [-3.0, -6.0]]]])
    assert GlobalAveragePool()(x).tolist() == [[3.0, -3.0]]
    assert GlobalMaxPool()(x).tolist() == [[6.0, -1.0]]


# Each leaf with the shape of its output for one picture of (3, 8, 8), or for 3 features, and its multiply-adds.
SINGLE: list[tuple[nn.Module, tuple[int, ...], int]] = [
    (Conv2d(3, 5, 3, padding=1), (5, 8, 8), 9 * 15 * 64),
    (Conv2dSame(3, 4, 3, 2), (4, 4, 4), 27 * 4 * 16),
    (FixedFilter("sharpen", 3), (3, 8, 8), 9 * 3 * 64),
    (GlobalAveragePool(), (3,), 0),
    (GlobalMaxPool(), (3,), 0),
    (LocalResponseNorm(), (3, 8, 8), 0),
    (ActivityPenalty(l1=0.1), (3, 8, 8), 0),
    (PaddedAvgPool2d((2, 2), (2, 2), (1, 0, 0, 1), count_include_pad=False), (3, 4, 4), 0),
    (PaddedConv2d(3, 5, (3, 3), (1, 1), (2, 0, 0, 2)), (5, 8, 8), 9 * 15 * 64),
    (PaddedMaxPool2d((2, 2), (2, 2), (1, 0, 0, 1)), (3, 4, 4), 0),
    (PartialConv2d(3, [(0, 1), (2,)], 3), (2, 6, 6), 3 * 9 * 36),
    (PointwiseLinear(3, 5), (5, 8, 8), 15 * 64),
    (RadialBasisOutput(3, 4), (4,), 0),
    (ScaledTanh(), (3, 8, 8), 0),
    (TrainablePool(3), (3, 4, 4), 0),
]


@pytest.mark.parametrize("layer, shape, multiply_adds", SINGLE, ids=lambda value: type(value).__name__)
def test_a_leaf_is_one_layer_of_a_trace(layer: nn.Module, shape: tuple[int, ...], multiply_adds: int) -> None:
    picture = (3,) if isinstance(layer, RadialBasisOutput) else (3, 8, 8)
    (only,) = trace(nn.Sequential(layer), picture).layers
    assert (only.kind, only.output_shape) == (type(layer).__name__, shape)
    assert only.multiply_adds == multiply_adds
    assert only.parameters == sum(parameter.numel() for parameter in layer.parameters())
    assert repr(layer).startswith(type(layer).__name__)


def test_every_leaf_is_looked_at() -> None:
    assert {type(layer) for layer, _, _ in SINGLE} == set(LEAVES)
