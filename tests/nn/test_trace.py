"""The trace: small networks by hand, torch's own counters, and the effect on the module (none)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from glassnet.errors import InputError
from glassnet.nn.layers import ConvNormAct, GlobalAveragePool
from glassnet.nn.trace import trace


class Residual(nn.Module):
    """x + conv(relu(conv(x))), with one ReLU used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding="same", dilation=2)
        self.act = nn.ReLU()
        self.prelu = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.prelu(self.act(x + self.two(self.act(self.one(x)))))
        return self.prelu(out)


def a_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 8, 3, groups=4), nn.Flatten(), nn.Linear(800, 10)
    )


def test_a_small_net_by_hand() -> None:
    layers = trace(a_net(), (1, 28, 28)).layers
    shapes = [(32, 24, 24), (32, 24, 24), (32, 12, 12), (8, 10, 10), (800,), (10,)]
    assert [layer.output_shape for layer in layers] == shapes
    assert [layer.input_shape for layer in layers] == [(1, 28, 28), *shapes[:-1]]
    assert [layer.parameters for layer in layers] == [832, 0, 0, 8 * 8 * 9 + 8, 0, 8010]
    assert [layer.multiply_adds for layer in layers] == [576 * 800, 0, 0, 100 * 8 * 8 * 9, 0, 8000]
    # 5; 5 + 1 = 6 (pool); 6 + 2 * 2 = 10 at every second pixel; flattened, all 28
    assert [layer.receptive_field for layer in layers] == [(s, s) for s in (5, 5, 6, 10, 28, 28)]
    assert [layer.stride for layer in layers][:4] == [(1, 1), (1, 1), (2, 2), (2, 2)]


def test_the_graph_of_a_residual_and_a_layer_used_twice() -> None:
    traced = trace(Residual(), (4, 8, 8))
    names = [layer.name for layer in traced]
    assert names == ["one", "act", "two", "add", "act", "prelu", "prelu"]
    assert traced["add"].inputs == ("input", "two")
    assert traced["add"].receptive_field == (7, 7)  # the longer branch: 3, then 3 dilated to 5
    assert [layer.parameters for layer in traced][-2:] == [1, 0]  # counted once
    assert traced.parameters == sum(p.numel() for p in Residual().parameters())


def test_a_rectangle_has_two_receptive_fields() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, (3, 5), stride=(1, 2)), nn.AvgPool2d((2, 3)), GlobalAveragePool())
    traced = trace(net, (1, 16, 31))
    assert traced["1"].receptive_field == (4, 9)
    assert traced["1"].stride == (2, 6)
    assert traced["2"].output_shape == (1,)


def test_the_receptive_field_is_where_a_gradient_arrives() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(1, 1, 5, padding=2), nn.AvgPool2d(2))
    for conv in (net[0], net[2]):
        nn.init.constant_(conv.weight, 1.0)
    x = torch.rand(1, 1, 64, 64, requires_grad=True)
    # A maximum hides all but one pixel of each window, so the gradients of many pictures are gathered.
    reached = torch.zeros(64, 64, dtype=torch.bool)
    for seed in range(30):
        torch.manual_seed(seed)
        x = torch.rand(1, 1, 64, 64, requires_grad=True)
        net(x)[0, 0, 8, 8].backward()
        assert x.grad is not None
        reached |= x.grad[0, 0] != 0
    rows = reached.any(1).nonzero().flatten()
    field = trace(net, (1, 64, 64))["3"]
    assert rows.max() - rows.min() + 1 == field.receptive_field[0] == 14


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 64, 40)])
def test_totals_are_half_of_torchs_flops(shape: tuple[int, int, int]) -> None:
    net = nn.Sequential(ConvNormAct(1, 8, 3, 2), nn.Conv2d(8, 8, 3, groups=8), nn.AdaptiveAvgPool2d(3), nn.Flatten())
    net.append(nn.Linear(72, 5)).eval()
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, *shape))
    assert trace(net, shape).multiply_adds == counter.get_total_flops() / 2


def test_the_module_is_untouched() -> None:
    net = a_net().train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    trace(net, (1, 28, 28))
    assert net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert next(net.parameters()).device.type == "cpu"


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"Sequential cannot take a picture of \(3, 28, 28\)"):
        trace(a_net(), (3, 28, 28))


def test_an_unknown_layer_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="no_such_layer"):
        trace(a_net(), (1, 28, 28))["no_such_layer"]


def test_the_table_is_text_for_people() -> None:
    row = trace(a_net(), (1, 28, 28)).table()[0]
    assert row == {
        "layer": "0",
        "kind": "Conv2d",
        "output": "32x24x24",
        "parameters": "832",
        "multiply-adds": "460,800",
        "receptive field": "5x5",
    }
