"""The trace: small networks by hand, torch's own counters, and the effect on the module (none)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from glassnet.errors import InputError
from glassnet.nn import fuse
from glassnet.nn.layers import Conv2dSame, ConvNormAct, GlobalAveragePool
from glassnet.nn.trace import trace
from glassnet.nn.trace.words import setting_of


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


class Functions(nn.Module):
    """What a network may call without a module for it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.weight = nn.Parameter(torch.zeros(5, 4, 3, 3))
        self.dense = nn.Parameter(torch.zeros(7, 10 * 25))

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv(x)), 2, ceil_mode=True)  # 38 -> 19
        x = F.conv2d(x, self.weight, stride=2, padding=1)  # 10
        x = torch.cat([x, x], 1)
        x += x
        x = F.adaptive_avg_pool2d(x, 5)
        return F.linear(F.dropout(x.flatten(1), 0.5, self.training), self.dense)


def test_functions_are_layers_with_settings_weights_and_windows() -> None:
    traced = trace(Functions(), (3, 40, 40))
    rows = [(layer.name, layer.setting, layer.parameters) for layer in traced]
    assert rows == [
        ("conv", "3x3, 3 -> 4", 112),
        ("relu", "", 0),
        ("max_pool2d", "2x2, stride 2, rounded up", 0),
        ("conv2d", "3x3, 4 -> 5, stride 2, padding 1", 180),
        ("cat", "5 + 5 channels", 0),
        ("add", "", 0),
        ("adaptive_avg_pool2d", "to 5x5", 0),
        ("flatten", "", 0),
        ("dropout", "", 0),
        ("linear", "250 -> 7", 1750),
    ]
    with FlopCounterMode(display=False) as counter:
        Functions().eval()(torch.zeros(1, 3, 40, 40))
    assert traced.multiply_adds == counter.get_total_flops() / 2 == 108 * 38**2 + 180 * 100 + 1750
    assert [layer.receptive_field[0] for layer in traced][:4] == [3, 3, 4, 8]


@pytest.mark.parametrize(
    "layer, setting",
    [
        (nn.Conv2d(64, 128, 3, 2, 1), "3x3, 64 -> 128, stride 2, padding 1"),
        (nn.Conv2d(8, 8, (1, 3), padding=(0, 1), groups=8), "1x3, 8 -> 8, depthwise, padding 0x1"),
        (nn.Conv2d(8, 4, 3, dilation=2, groups=2), "3x3, 8 -> 4, 2 groups, dilation 2"),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate"), "3x3, 1 -> 1, padding 1, replicate"),
        (Conv2dSame(3, 8, 3, 2), "3x3, 3 -> 8, stride 2, padding same"),
        (nn.MaxPool2d(3, 2, ceil_mode=True), "3x3, stride 2, rounded up"),
        (nn.AvgPool2d(2), "2x2, stride 2"),
        (nn.AdaptiveAvgPool2d(7), "to 7x7"),
        (nn.BatchNorm2d(32), "32 channels"),
        (nn.BatchNorm2d(32, eps=1e-3), "32 channels, eps 0.001"),
        (nn.Linear(400, 120), "400 -> 120"),
        (nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0), "over 5 channels, alpha 0.0005, beta 0.75, k 2"),
        (nn.Dropout(0.5), "0.5 dropped"),
        (nn.ZeroPad2d((1, 2, 3, 4)), "left 1, right 2, top 3, bottom 4"),
        (nn.ReplicationPad2d(2), "by 2"),
        (nn.ReLU(inplace=True), ""),
        (nn.LeakyReLU(0.2), "negative_slope=0.2"),
    ],
)
def test_a_setting_in_words(layer: nn.Module, setting: str) -> None:
    assert setting_of(layer) == setting


def test_memory_is_that_of_new_outputs_and_the_peak_of_those_in_use() -> None:
    # 28x28 in, 32 filters at 24x24, rectified in place, pooled to 12x12, flattened as a view: floats of four bytes.
    net = nn.Sequential(nn.Conv2d(1, 32, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4608, 10))
    traced = trace(net, (1, 28, 28))
    assert [layer.memory for layer in traced] == [4 * 32 * 576, 0, 4 * 4608, 0, 40]
    assert traced.peak_memory == 4 * (32 * 576 + 4608)  # the pool's input and output; the picture is gone by then


def test_a_shortcut_keeps_its_map_in_memory() -> None:
    assert trace(Residual(), (4, 8, 8)).peak_memory == 4 * 3 * 4 * 64  # x beside a layer's input and output


def test_names_say_who_calls_a_function_and_reads_say_which_call() -> None:
    traced = trace(nn.Sequential(Residual(), Residual()), (4, 8, 8))
    assert [layer.name for layer in traced if layer.kind == "add"] == ["0.add", "1.add"]
    assert traced["1.add"].inputs == ("0.prelu", "1.two")
    assert [traced.layers[i].kind for i in traced["1.add"].reads] == ["PReLU", "Conv2d"]
    assert traced["0.one"].reads == (-1,)


def test_a_leaf_that_says_its_window_is_followed() -> None:
    class Erosion(nn.Module):
        kernel_size, stride, padding, dilation = (3, 5), 2, (1, 2), 1

        def forward(self, x: Tensor) -> Tensor:
            return -F.max_pool2d(-x, self.kernel_size, self.stride, self.padding)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fuse, "LEAVES", (Erosion,))
        layer = trace(nn.Sequential(Erosion()), (1, 9, 9)).layers[0]
    assert (layer.setting, layer.receptive_field, layer.stride) == ("3x5, stride 2, padding 1x2", (3, 5), (2, 2))


@pytest.mark.parametrize(
    "net, shape, words",
    [
        (
            nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d(2)),
            (6, 5, 5),
            r"layer '2' \(MaxPool2d, 2x2, stride 2\) is given 6 x 1 x 1, and a kernel of 2 does not fit an input of 1",
        ),
        (nn.Sequential(nn.Conv2d(1, 2, 7)), (1, 5, 9), r"Conv2d, 7x7, 1 -> 2\) is given 1 x 5 x 9, and a kernel of 7"),
        (nn.Sequential(nn.Conv2d(3, 8, 1)), (1, 8, 8), "is given 1 x 8 x 8, and reads 3 channels, not 1"),
        (nn.Sequential(nn.Flatten(), nn.Linear(10, 2)), (1, 4, 4), "is given 16, and reads 10 numbers, not 16"),
    ],
)
def test_impossible_geometry_names_the_layer_and_the_numbers(
    net: nn.Module, shape: tuple[int, int, int], words: str
) -> None:
    with pytest.raises(InputError, match=words) as raised:
        trace(net, shape)
    assert "\n" not in str(raised.value)


def test_a_forward_that_decides_by_the_pixels_is_refused_in_one_line() -> None:
    class Moody(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(InputError, match="Moody cannot be traced: its forward decides by") as raised:
        trace(Moody(), (1, 4, 4))
    assert "\n" not in str(raised.value)


def test_a_leaf_with_weights_is_counted_as_torch_counts_it() -> None:
    layer = trace(nn.Sequential(nn.ConvTranspose2d(2, 3, 3, 2)), (2, 4, 4)).layers[0]
    assert layer.multiply_adds == 2 * 3 * 9 * 16  # each weight at each position of the input
