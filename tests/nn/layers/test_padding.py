"""What stands beyond the edge: by hand, in every convolution that takes the word."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from glassnet.errors import UnknownName
from glassnet.nn.layers import Conv2dSame, ConvNormAct
from glassnet.nn.layers.padding import padding_mode

ROW = torch.tensor([1.0, 2.0, 3.0])[None, None, None]


@pytest.mark.parametrize(
    "name, padded",
    [
        ("zero", [0.0, 0, 1, 2, 3, 0, 0]),
        ("replicate", [1.0, 1, 1, 2, 3, 3, 3]),
        ("nearest", [1.0, 1, 1, 2, 3, 3, 3]),
        ("reflect", [3.0, 2, 1, 2, 3, 2, 1]),
    ],
)
def test_a_row_by_hand(name: str, padded: list[float]) -> None:
    conv = nn.Conv2d(1, 1, (1, 5), padding=(0, 2), bias=False, padding_mode=padding_mode(name))
    nn.init.ones_(conv.weight)
    assert conv(ROW).flatten().tolist() == [sum(padded[i : i + 5]) for i in range(3)]


@pytest.mark.parametrize("name, mode", [("zero", "constant"), ("replicate", "replicate"), ("reflect", "reflect")])
def test_same_padding_takes_it(name: str, mode: str) -> None:
    torch.manual_seed(0)
    layer = Conv2dSame(2, 3, 3, 2, padding_mode=name)
    x = torch.randn(1, 2, 6, 7)
    # SAME: 6 rows at stride 2 need one row, at the bottom; 7 columns one on either side
    expected = F.conv2d(F.pad(x, (1, 1, 0, 1), mode), layer.weight, layer.bias, 2)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("padding", ["half", "same"])
def test_a_plain_picture_stays_plain_but_for_zeros(padding: str) -> None:
    for name in ("replicate", "reflect", "zero"):
        block = ConvNormAct(1, 1, 3, padding=padding, padding_mode=name, activation=None)
        out = block.conv(torch.ones(1, 1, 5, 5))
        assert torch.allclose(out, out[..., 2, 2]) == (name != "zero")


def test_an_unknown_word_is_refused() -> None:
    for build in (padding_mode, lambda name: ConvNormAct(1, 1, padding_mode=name)):
        with pytest.raises(
            UnknownName, match=r"no padding is called 'zeros'; nearest: zero, .*; expected one of zero, "
        ):
            build("zeros")
