"""Every network of the registry, and every difficulty that a network can hold, against the naive loop."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.explain.inside import Inside
from glassnet.explain.occlusion.engine import Engine
from glassnet.models import create, names
from glassnet.models.described.network import described
from glassnet.nn.layers import Conv2dSame, FixedFilter
from glassnet.nn.layers.padded import PaddedAvgPool2d, PaddedConv2d, PaddedMaxPool2d

EXACT = 1e-4
"""Of the map's range; what is asked is 1e-3, and float32's rounding is about 1e-6."""
SMALL = {
    "resnet18": {"stem": "small"},
    "resnet20_cifar": {},
    "preresnet20_cifar": {},
    "lenet5": {},
    "lenet5_1998": {},
    "nin_cifar": {},
    "sprint_s": {},
    "sprint_m": {},
}
QUICK = ("mobilenet_v2", "efficientnet_lite0", "squeezenet1_1")


@pytest.mark.parametrize("name", SMALL)
def test_small_networks_of_the_registry(name: str, compare: Any) -> None:
    torch.manual_seed(0)
    module = create(name, classes=5, **SMALL[name])
    shape = (3, 32, 32) if name == "resnet18" else module.input_size
    assert compare(module, shape, (6, 5)) < EXACT


@pytest.mark.parametrize("name", QUICK)
def test_large_networks_on_small_pictures(name: str, compare: Any) -> None:
    torch.manual_seed(0)
    assert compare(create(name, classes=5), (3, 64, 80), (12, 9), [(0, 0), (20, 33), (52, 71)]) < EXACT


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_network_of_the_registry_at_its_own_size(name: str, compare: Any) -> None:
    torch.manual_seed(0)
    module = create(name, classes=10)
    channels, height, width = module.input_size
    size = (max(4, height // 14), max(4, width // 12))
    bottom, right = height - size[0], width - size[1]
    positions = [(0, 0), (0, right // 2 + 1), (bottom // 3, right // 3), (bottom // 2 + 1, right), (bottom, right)]
    assert compare(module, (channels, height, width), size, positions) < EXACT


def build(*layers: dict[str, Any], size: tuple[int, int, int] = (29, 37, 3)) -> nn.Module:
    torch.manual_seed(0)
    weights = {"weights": "he_normal", "bias": True, "biases": {"type": "uniform", "low": -0.2, "high": 0.2}}
    defaults = {"conv": weights, "block": weights}
    return described(5, size[2], {"input": list(size), "layers": list(layers), "defaults": defaults})


END: tuple[dict[str, Any], ...] = ({"conv": 12, "activation": "relu"}, {"pool": "global_average"})
DESCRIBED: dict[str, tuple[dict[str, Any], ...]] = {
    "ceil-mode max": ({"conv": 8}, {"pool": "max", "kernel": 3, "stride": 2, "ceil_mode": True}, *END),
    "ceil-mode average": (
        {"conv": 8},
        {"pool": "average", "kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        *END,
    ),
    "ceil-mode counted": (
        {"conv": 8},
        {"pool": "average", "kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": True},
        *END,
    ),
    "padded average": ({"conv": 8}, {"pool": "average", "kernel": 3, "stride": 1, "padding": 1}, *END),
    "counted average": (
        {"conv": 8},
        {"pool": "average", "kernel": 3, "stride": 2, "padding": 1, "count_include_pad": True},
        *END,
    ),
    "uneven average": ({"conv": 8}, {"pool": "average", "kernel": 3, "stride": 2, "padding": [0, 2, 1, 0]}, *END),
    "uneven max": ({"conv": 8}, {"pool": "max", "kernel": 3, "stride": 2, "padding": [2, 0, 1, 2]}, *END),
    "dilated max": ({"conv": 8}, {"pool": "max", "kernel": 3, "stride": 2, "dilation": 2}, *END),
    "lrn": ({"conv": 8, "activation": "relu", "norm": "lrn"}, {"pool": "max"}, *END),
    "tf same": ({"conv": 8, "kernel": 5, "stride": 2, "norm": "batch"}, {"conv": 8, "kernel": 4, "stride": 3}, *END),
    "dilation": ({"conv": 8, "dilation": 3}, {"conv": 8, "dilation": [1, 4], "padding": "valid"}, *END),
    "groups": ({"conv": 8}, {"conv": 16, "groups": 4, "stride": 2}, {"conv": 16, "groups": "depthwise"}, *END),
    "uneven padding": ({"conv": 8, "padding": [3, 0, 1, 2], "stride": 2}, *END),
    "window smaller than stride": ({"conv": 8}, {"conv": 8, "kernel": 2, "stride": 4, "padding": "valid"}, *END),
    "wide padding": ({"conv": 6, "kernel": 3, "padding": 9}, *END),
    "replicate": ({"conv": 8, "padding_mode": "replicate"}, *END),
    "reflect": ({"conv": 8, "kernel": 5, "padding_mode": "reflect", "stride": 2}, *END),
    "circular": ({"conv": 8, "padding": [2, 1, 1, 2], "padding_mode": "circular"}, *END),
    "concat": (
        {"branches": [[{"conv": 4, "kernel": 1}], [{"conv": 8, "kernel": 5}], [{"pool": "max", "kernel": 3,
         "stride": 1, "padding": 1}], []], "join": "concat", "norm": "batch", "activation": "relu"},
        *END,
    ),
    "add": ({"conv": 8}, {"branches": [[{"conv": 8, "kernel": 5}], [], [{"conv": 8, "kernel": 1}]], "join": "add",
             "activation": "elu"}, *END),
    "inception": ({"block": "inception", "widths": [4, [3, 6], [2, 4], 3]}, {"pool": "max"}, *END),
    "residual A": ({"conv": 8}, {"block": "residual", "width": 12, "stride": 2, "shortcut": "A"}, *END),
    "preactivation": ({"conv": 8}, {"block": "preactivation", "width": 12, "stride": 2, "repeat": 2}, *END),
    "inverted": ({"conv": 8}, {"block": "inverted_residual", "width": 8, "repeat": 2}, *END),
    "group norm": ({"conv": 8, "norm": {"type": "group", "groups": 2}, "activation": "silu"}, {"pool": "max"}, *END),
    "activations": tuple({"conv": 6, "activation": a} for a in ("leaky_relu", "gelu", "mish", "scaled_tanh")) + END,
    "global max": ({"conv": 8}, {"pool": "global_max"}),
    "dense behind maps": ({"conv": 8, "stride": 2}, {"pool": "max"}, {"dense": 20, "activation": "relu"}),
    "nothing but the head": ({"flatten": True},),
}  # fmt: skip


@pytest.mark.parametrize("name", DESCRIBED)
@pytest.mark.parametrize("size", [(5, 4), (1, 1), (20, 9)])
def test_networks_in_toml(name: str, size: tuple[int, int], compare: Any) -> None:
    if name == "global max" and size == (1, 1):
        size = (2, 2)  # one pixel never holds the largest value
    assert compare(build(*DESCRIBED[name]), (3, 29, 37), size) < EXACT


class Functions(nn.Module):
    """Functions in place of modules; slices, padding, cropping; a map read after it was written over."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 3, 3, 3))
        self.shift = nn.Parameter(torch.randn(6, 1, 1))
        self.ramp = nn.Parameter(torch.randn(1, 1, 20, 24))
        self.conv = nn.Conv2d(6, 6, 3, padding="same")
        self.adaptive = nn.AdaptiveAvgPool2d((5, 7))
        self.head = nn.Linear(6 * 35, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.weight, stride=1, padding=1) + self.shift
        y = self.conv(x)
        kept = x * 2.0
        torch.relu_(x)
        x = x + y - 0.5 * kept  # the rectified x
        x = x * self.ramp  # differs from position to position
        x = F.pad(x, (1, -2, 0, 3))[:, :, 1::2, :-1]
        x = torch.cat([F.max_pool2d(x, 2, 1), F.avg_pool2d(x, kernel_size=2, stride=1)], dim=1)
        low, high = x.chunk(2, 1)
        x = low * torch.sigmoid(high.mean((2, 3), keepdim=True)) + x[:, :6]
        x = self.adaptive(F.relu6(x))
        return self.head(x.reshape(x.size(0), -1))


class Strange(nn.Module):
    """What no list has: rolled maps, a softmax over positions, a transposition, a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.replicate = nn.ReplicationPad2d(2)
        self.filter = FixedFilter("sobel_x", 4)
        self.same = Conv2dSame(4, 4, 3, 2)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = x + torch.roll(x, 3, 2)
        x = self.filter(self.replicate(self.up(x)))
        attention = x.flatten(2).softmax(-1).view(x.shape)
        x = self.same(x * attention + x.transpose(2, 3).transpose(2, 3))
        return self.head(x.flatten(2).max(2).values)


class Padded(nn.Module):
    """Windows with padding on single sides, one behind the other."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            PaddedConv2d(3, 6, (3, 2), (2, 1), (0, 2, 1, 0), dilation=(1, 2)),
            nn.ReLU(),
            PaddedMaxPool2d((3, 2), (1, 2), (2, 0, 0, 1)),
            PaddedAvgPool2d((2, 3), (1, 1), (1, 0, 0, 2), count_include_pad=False),
            nn.ZeroPad2d((1, 0, 2, 0)),
            nn.ConstantPad2d((-1, 1, 0, -2), 1.5),
            nn.Conv2d(6, 6, 1, stride=3),
        )
        self.head = nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).flatten(1))


@pytest.mark.parametrize("kind", [Functions, Strange, Padded])
@pytest.mark.parametrize("size", [(3, 4), (11, 2)])
def test_modules_of_ones_own(kind: type[nn.Module], size: tuple[int, int], compare: Any) -> None:
    torch.manual_seed(0)
    module = kind()
    module(torch.zeros(1, 3, 20, 24))  # a lazy layer learns its size
    assert compare(module, (3, 20, 24), size) < EXACT


def test_reused_and_overwritten_activations(awkward: nn.Module, compare: Any) -> None:
    assert compare(awkward, (3, 16, 16), (4, 4)) < EXACT


class Aliases(nn.Module):
    """Layers that hand on the very map they were given, before layers that could write over it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.same, self.identity, self.drop = nn.AdaptiveAvgPool2d((10, 12)), nn.Identity(), nn.Dropout()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        y = F.relu(self.same(x)) + F.relu(self.identity(x))
        z = F.relu(self.drop(x)[:, 1:3]) + F.relu(x.contiguous()[:, :2])
        return self.head((x + y + torch.cat([z, z], 1)).mean((2, 3)))


def test_maps_that_are_handed_on_are_not_written_over(compare: Any) -> None:
    torch.manual_seed(0)
    assert compare(Aliases(), (3, 12, 14), (4, 3)) < EXACT


class Hidden(nn.Module):
    """Writes over a map by way of a view of it, and reads the map afterwards: no graph shows that."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        torch.relu_(x[:, :2])
        return self.head(x.mean((2, 3)))


def test_what_the_graph_hides_is_computed_whole(compare: Any) -> None:
    torch.manual_seed(0)
    module = Hidden()
    assert not Engine(Inside(module, (3, 12, 12)), torch.randn(1, 3, 12, 12)).incremental
    assert compare(module, (3, 12, 12), (4, 4)) < EXACT


def test_a_norm_by_the_batchs_own_statistics_sees_one_picture_at_a_time(compare: Any) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.LazyLinear(3))
    module(torch.zeros(2, 3, 12, 12))
    assert compare(module, (3, 12, 12), (4, 4)) < EXACT


def test_registered_networks_are_computed_incrementally() -> None:
    torch.manual_seed(0)
    assert Engine(Inside(create("resnet20_cifar"), (3, 32, 32)), torch.randn(1, 3, 32, 32)).incremental


def test_an_occluder_as_large_as_the_picture(awkward: nn.Module, compare: Any) -> None:
    with pytest.raises(AssertionError, match="no logit moves"):  # one position cannot move anything
        compare(awkward, (3, 16, 16), (16, 16), [(0, 0)])
    assert compare(awkward, (3, 16, 16), (16, 15), [(0, 0), (0, 1)]) < EXACT
