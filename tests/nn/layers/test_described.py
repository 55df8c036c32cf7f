"""The small layers that descriptions use: LRN, padding of each side, joins, named activations."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from glassnet.nn.layers.activations import ACTIVATIONS, ScaledTanh
from glassnet.nn.layers.join import Add, Concat
from glassnet.nn.layers.normalisation import LocalResponseNorm
from glassnet.nn.layers.padded import PaddedAvgPool2d, PaddedConv2d, PaddedMaxPool2d
from glassnet.nn.layers.shortcuts import PaddedShortcut


def test_local_response_norm_by_the_papers_formula() -> None:
    x = torch.randn(2, 7, 3, 3, dtype=torch.float64)
    found = LocalResponseNorm(size=5, alpha=0.3, beta=0.75, k=2.0)(x)
    for i in range(7):
        near = x[:, max(0, i - 2) : i + 3].square().sum(1)  # alpha undivided
        torch.testing.assert_close(found[:, i], x[:, i] / (2.0 + 0.3 * near) ** 0.75)


def test_padding_that_torch_can_do_too_is_torchs() -> None:
    x = torch.randn(2, 4, 9, 9)
    conv = nn.Conv2d(4, 6, 3, 2, 1, padding_mode="replicate")
    ours = PaddedConv2d(4, 6, (3, 3), (2, 2), (1, 1, 1, 1), mode="replicate")
    ours.load_state_dict(conv.state_dict())
    torch.testing.assert_close(ours(x), conv(x))
    torch.testing.assert_close(PaddedMaxPool2d((3, 3), (2, 2), (1, 1, 1, 1))(x), F.max_pool2d(x, 3, 2, 1))
    for counted in (True, False):
        mine = PaddedAvgPool2d((3, 3), (2, 2), (1, 1, 1, 1), count_include_pad=counted)(x)
        torch.testing.assert_close(mine, F.avg_pool2d(x, 3, 2, 1, count_include_pad=counted))


def test_one_sided_padding_by_hand() -> None:
    x = torch.tensor([[[[-1.0, -2.0], [-3.0, -4.0]]]])
    right = (0, 0, 0, 1)  # a column at the right
    assert PaddedMaxPool2d((1, 2), (1, 1), right)(x).tolist() == [[[[-1, -2], [-3, -4]]]]  # padding is never largest
    assert PaddedAvgPool2d((1, 2), (1, 1), right, count_include_pad=True)(x)[0, 0].tolist() == [[-1.5, -1], [-3.5, -2]]
    assert PaddedAvgPool2d((1, 2), (1, 1), right, count_include_pad=False)(x)[0, 0].tolist() == [[-1.5, -2], [-3.5, -4]]


def test_branches_are_added_or_stand_side_by_side() -> None:
    x = torch.randn(2, 3, 4, 4)
    double, same = nn.Conv2d(3, 3, 1), nn.Sequential()
    assert torch.equal(Add([double, same])(x), double(x) + x)
    assert torch.equal(Concat([double, same])(x), torch.cat([double(x), x], 1))


def test_shortcut_a_keeps_every_second_position_and_adds_empty_channels() -> None:
    x = torch.randn(2, 3, 5, 5)
    out = PaddedShortcut(3, 5, stride=2)(x)
    assert torch.equal(out[:, :3], x[:, :, ::2, ::2])
    assert out.shape == (2, 5, 3, 3)
    assert out[:, 3:].abs().sum() == 0


@pytest.mark.parametrize(
    "name, arguments, at_minus_one",
    [
        ("none", {}, -1.0),
        ("relu", {}, 0.0),
        ("relu6", {}, 0.0),
        ("leaky_relu", {"slope": 0.2}, -0.2),
        ("elu", {"alpha": 2.0}, 2 * (math.exp(-1) - 1)),
        ("selu", {}, 1.0507009873554805 * 1.6732632423543772 * (math.exp(-1) - 1)),
        ("gelu", {}, -0.5 * math.erfc(1 / math.sqrt(2))),
        ("silu", {}, -1 / (1 + math.e)),
        ("mish", {}, -math.tanh(math.log(1 + math.exp(-1)))),
        ("softplus", {"beta": 2.0}, math.log(1 + math.exp(-2)) / 2),
        ("softsign", {}, -0.5),
        ("sigmoid", {}, 1 / (1 + math.e)),
        ("hard_sigmoid", {}, 1 / 3),
        ("hard_swish", {}, -1 / 3),
        ("tanh", {}, math.tanh(-1)),
        ("scaled_tanh", {}, -1.7159 * math.tanh(2 / 3)),
    ],
)
def test_activations_by_hand(name: str, arguments: dict[str, float], at_minus_one: float) -> None:
    value = ACTIVATIONS[name](**arguments)(torch.tensor([-1.0], dtype=torch.float64))
    assert value.item() == pytest.approx(at_minus_one)


def test_every_activation_is_tried_and_the_scaled_tanh_maps_one_to_one() -> None:
    assert len(ACTIVATIONS) == 16
    assert ScaledTanh()(torch.tensor(1.0)).item() == pytest.approx(1.0, abs=1e-4)
