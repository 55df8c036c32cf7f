"""Separable convolution, mlpconv, a dense layer at every position: numbers from the texts, each beside its parts."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from glassnet.nn.layers.blocks import MlpConv, PointwiseLinear, SeparableConv2d
from glassnet.nn.trace import trace


def test_a_separable_convolution_costs_672_where_a_plain_one_costs_2160() -> None:
    net = nn.Sequential(SeparableConv2d(3, 5, 3))
    layers = trace(net, (3, 4, 4))
    assert [layer.multiply_adds for layer in layers] == [9 * 16 * 3, 3 * 16 * 5] == [432, 240]
    assert trace(nn.Sequential(nn.Conv2d(3, 5, 3, padding=1)), (3, 4, 4)).multiply_adds == 2160
    assert [name for name, _ in net[0].named_children()] == ["depthwise", "pointwise"]


def test_a_separable_convolution_is_a_plain_one_whose_kernels_are_products() -> None:
    torch.manual_seed(0)
    split = SeparableConv2d(3, 5, 3, stride=2, padding="reflect")
    plain = nn.Conv2d(3, 5, 3, 2, 1, padding_mode="reflect")
    with torch.no_grad():
        plain.weight.copy_(split.pointwise.weight * split.depthwise.weight.transpose(0, 1))  # (5, 3, 1, 1) (1, 3, 3, 3)
        plain.bias.copy_(split.pointwise.bias)  # type: ignore[union-attr, arg-type]
    x = torch.randn(2, 3, 9, 8)
    torch.testing.assert_close(split(x), plain(x), atol=1e-5, rtol=1e-5)
    assert SeparableConv2d(3, 5, bias=False).pointwise.bias is None


def test_an_mlpconv_is_a_dense_network_at_every_position() -> None:
    torch.manual_seed(0)
    block = MlpConv(3, (8, 6, 4), 3)
    assert [name for name, _ in block.named_children()] == ["conv", "act", "mix1", "act1", "mix2", "act2"]
    x = torch.randn(1, 3, 5, 5)
    window = x[0, :, 1:4, 2:5].flatten()  # what position (1, 2) sees
    for layer in (block.conv, block.mix1, block.mix2):
        window = torch.relu(layer.weight.flatten(1) @ window + layer.bias)
    torch.testing.assert_close(block(x)[0, :, 1, 2], window, atol=1e-5, rtol=1e-5)


def test_a_pointwise_layer_scores_every_position_as_the_features() -> None:
    torch.manual_seed(0)
    layer = PointwiseLinear(4, 3)
    maps = torch.randn(2, 4, 5, 6)
    scores = layer(maps)
    assert scores.shape == (2, 3, 5, 6)
    torch.testing.assert_close(scores[:, :, 2, 3], layer(maps[:, :, 2, 3]))
    torch.testing.assert_close(scores.mean((2, 3)), layer(maps.mean((2, 3))))
    with FlopCounterMode(display=False) as counter:
        layer(maps[:1])
    assert trace(nn.Sequential(layer), (4, 5, 6)).multiply_adds == 4 * 3 * 30 == counter.get_total_flops() / 2
    assert trace(nn.Sequential(layer), (4,)).multiply_adds == 12
