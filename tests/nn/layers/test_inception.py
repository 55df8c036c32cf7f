"""The inception modules: the papers' sizes, the order of the branches, and the halving ones at odd sizes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from glassnet.errors import UnknownName
from glassnet.nn.layers import ConvNormAct
from glassnet.nn.layers.inception import Branches, DoubleInception, Inception, NaiveInception, ReducingInception
from glassnet.nn.trace import trace


def test_inception_3a_is_28x28x192_to_28x28x256() -> None:
    module = Inception(192, 64, (96, 128), (16, 32), 32)
    traced = trace(module, (192, 28, 28))
    assert traced.layers[-1].output_shape == (256, 28, 28)
    assert module.out_channels == 64 + 128 + 32 + 32 == 256
    assert [traced[name].output_shape[0] for name in ("branch1x1.conv", "branch3x3.conv.conv")] == [64, 128]
    # By way of 16 channels the 5x5 branch costs 12.4 million multiply-adds.
    large = traced["large.reduce.conv"].multiply_adds + traced["large.conv.conv"].multiply_adds
    assert large == 28 * 28 * (192 * 16 + 25 * 16 * 32) == 12_443_648
    assert traced.layers[-1].receptive_field == (5, 5)


def test_the_naive_module_grows_and_pays_ten_times() -> None:
    traced = trace(NaiveInception(192, 64, 128, 32), (192, 28, 28))
    assert traced.layers[-1].output_shape == (64 + 128 + 32 + 192, 28, 28)
    assert traced["large.conv"].multiply_adds == 28 * 28 * 25 * 192 * 32 == 120_422_400


def test_branches_are_joined_in_order() -> None:
    double, negative = nn.Conv2d(1, 1, 1, bias=False), nn.Conv2d(1, 1, 1, bias=False)
    nn.init.constant_(double.weight, 2.0)
    nn.init.constant_(negative.weight, -1.0)
    x = torch.full((1, 1, 2, 2), 3.0)
    assert Branches(a=double, b=nn.Identity(), c=negative)(x)[0, :, 0, 0].tolist() == [6.0, 3.0, -3.0]


@pytest.mark.parametrize("pooling, expected", [("average", 4.0), ("max", 8.0)])
def test_the_pooling_is_the_one_asked_for(pooling: str, expected: float) -> None:
    module = DoubleInception(2, 4, (2, 4), (2, 4), pooling, 4, layer=ConvNormAct)
    x = torch.arange(9.0).reshape(1, 1, 3, 3).expand(1, 2, 3, 3)
    assert module.get_submodule("pool.pool")(x)[0, 0, 1, 1] == expected
    assert module(x).shape == (1, module.out_channels, 3, 3) == (1, 16, 3, 3)


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"no pooling is called 'mean'; .*expected 'average' or 'max'"):
        DoubleInception(2, 4, (2, 4), (2, 4), "mean", 4, layer=ConvNormAct)


@pytest.mark.parametrize("size", [28, 7, 2, 1])
def test_a_reducing_module_halves_any_size_and_passes_its_input_through(size: int) -> None:
    module = ReducingInception(3, (2, 4), (2, 5), layer=ConvNormAct).eval()
    x = torch.randn(1, 3, size, size)
    out = module(x)
    assert out.shape == (1, 4 + 5 + 3, -(-size // 2), -(-size // 2))
    assert module.out_channels == 12
    torch.testing.assert_close(out[:, -3:], nn.functional.max_pool2d(x, 3, 2, 1))
