"""The layers of 1998: by hand, and a convolution with gaps beside a full one whose missing weights are zero."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from glassnet.errors import InputError
from glassnet.nn.layers.activations import ScaledTanh
from glassnet.nn.layers.lenet import LENET5_C3, PartialConv2d, TrainablePool
from glassnet.nn.trace import trace


def test_scaled_tanh_goes_through_one() -> None:
    f = ScaledTanh()
    points = torch.tensor([-1.0, 0.0, 1.0, 100.0])
    torch.testing.assert_close(f(points), torch.tensor([-1.0, 0.0, 1.0, 1.7159]), atol=1e-4, rtol=0)


def test_scaled_tanh_is_most_curved_near_one() -> None:
    x = torch.linspace(0, 3, 601, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(ScaledTanh()(x).sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    assert x[curvature.abs().argmax()].item() == pytest.approx(1.0, abs=0.02)


def test_a_trainable_pool_by_hand() -> None:
    pool = TrainablePool(2)
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]]])
    assert pool(x).flatten().tolist() == [2.5, 1.0]  # it starts as the average
    with torch.no_grad():
        pool.coefficient.copy_(torch.tensor([0.5, 3.0]))
        pool.bias.copy_(torch.tensor([1.0, -1.0]))
    assert pool(x).flatten().tolist() == [0.5 * 10 + 1, 3.0 * 4 - 1]
    assert sum(parameter.numel() for parameter in TrainablePool(6).parameters()) == 12  # S2 of the paper
    assert TrainablePool(1, 3)(torch.zeros(1, 1, 7, 9)).shape == (1, 1, 2, 3)


def test_the_papers_table_of_connections() -> None:
    assert len(LENET5_C3) == 16
    assert sum(map(len, LENET5_C3)) == 60
    assert [sum(channel in inputs for inputs in LENET5_C3) for channel in range(6)] == [10] * 6
    assert len(set(LENET5_C3)) == 16, "no two maps see the same"


def in_full(layer: PartialConv2d) -> nn.Conv2d:
    """A convolution that sees all channels, with zeros where `layer` has no connection."""
    full = nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size).to(layer.weight.dtype)
    row = 0
    with torch.no_grad():
        full.weight.zero_()
        full.bias.copy_(layer.bias)  # type: ignore[union-attr]
        for output, inputs in enumerate(layer.connections):
            for channel in inputs:
                full.weight[output, channel] = layer.weight[row]
                row += 1
    return full


SCATTERED = ((3, 0), (1,), (0, 1, 2), (2,), (1, 3))  # fan-ins in no order, inputs neither
ALIKE = ((0, 1), (1, 2))


@pytest.mark.parametrize("channels, connections", [(6, LENET5_C3), (4, SCATTERED), (3, ALIKE)])
def test_a_partial_convolution_is_a_full_one_with_zeros(channels: int, connections: Sequence[Sequence[int]]) -> None:
    torch.manual_seed(0)
    layer = PartialConv2d(channels, connections, 3).double()
    nn.init.normal_(layer.bias)
    x = torch.randn(2, channels, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(layer(x), in_full(layer)(x))


def test_c3_has_1516_numbers_and_multiplies_by_1500_a_position() -> None:
    layer = PartialConv2d(6, LENET5_C3, 5)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 1516
    with FlopCounterMode(display=False) as counter:
        assert layer(torch.zeros(1, 6, 14, 14)).shape == (1, 16, 10, 10)
    assert trace(nn.Sequential(layer), (6, 14, 14)).multiply_adds == 1500 * 100 == counter.get_total_flops() / 2


def test_its_gradient_is_right() -> None:
    torch.manual_seed(0)
    layer = PartialConv2d(4, SCATTERED, 2).double()
    inputs = (torch.randn(1, 4, 3, 3, dtype=torch.float64, requires_grad=True), layer.weight, layer.bias)

    def call(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        said: Tensor = torch.func.functional_call(layer, {"weight": weight, "bias": bias}, x)
        return said

    assert torch.autograd.gradcheck(call, inputs)


@pytest.mark.parametrize("inputs", [(), (0, 0), (0, 4), (-1,)])
def test_an_impossible_connection_is_refused(inputs: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"output 1 is connected to inputs .*; expected different ones from 0 to 3"):
        PartialConv2d(4, [(0,), inputs], 3)
