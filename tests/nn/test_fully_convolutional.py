"""Fully convolutional: the logits at the trained size, and on larger pictures each position is its crop's logits."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from glassnet.errors import InputError
from glassnet.models import create
from glassnet.nn.fully_convolutional import to_fully_convolutional
from glassnet.nn.layers import GlobalAveragePool, GlobalMaxPool
from glassnet.nn.trace import trace


def unpadded(*head: nn.Module) -> nn.Sequential:
    """Two convolutions and a pooling without padding, 1x20x24 -> 6x3x4, then `head`."""
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(conv1=nn.Conv2d(1, 4, 5), act=nn.ReLU(), pool=nn.MaxPool2d(2), conv2=nn.Conv2d(4, 6, 3, 2)),
        *(),
    ).append(nn.Sequential(*head))


def heads() -> list[nn.Module]:
    flat = 6 * 3 * 4
    return [
        unpadded(nn.Flatten(), nn.Linear(flat, 5)),
        unpadded(nn.Flatten(), nn.Dropout(0.5), nn.Linear(flat, 8), nn.ReLU(), nn.Linear(8, 5, bias=False)),
        unpadded(GlobalAveragePool(), nn.Dropout(0.2), nn.Linear(6, 5)),
        unpadded(GlobalMaxPool(), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 5)),
        unpadded(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)),
        unpadded(nn.AdaptiveAvgPool2d((3, 4)), nn.Flatten(), nn.Linear(flat, 5)),
        unpadded(nn.AdaptiveMaxPool2d((1, 2)), nn.Flatten(), nn.Linear(12, 5)),
        unpadded(nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 5, 1), nn.Flatten()),
        Functional(),
    ]


class Functional(nn.Module):
    """The same head in functions, with an addition."""

    def __init__(self) -> None:
        super().__init__()
        self.body = unpadded()
        self.one, self.two = nn.Linear(72, 6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.body(x)
        flat = maps.view(maps.size(0), -1)
        out: Tensor = self.two(torch.relu(self.one(flat)) + maps.mean((2, 3)))
        return out


def with_statistics(net: nn.Module) -> nn.Module:
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -1, 1)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 2)  # type: ignore[arg-type]
    return net.eval()


@pytest.mark.parametrize("net", heads())
def test_without_padding_every_position_is_the_logits_of_its_crop(net: nn.Module) -> None:
    net = with_statistics(net)
    sliding = to_fully_convolutional(net, (1, 20, 24))
    rows, columns = (int(step) for step in trace(sliding, (1, 32, 40)).layers[-1].stride)
    x = torch.randn(2, 1, 32, 40)
    with torch.no_grad():
        scores = sliding(x)  # (2, 5, H', W')
        assert scores.shape[2] > 1
        assert scores.shape[3] > 1
        for row in range(scores.shape[2]):
            for column in range(scores.shape[3]):
                crop = x[:, :, rows * row : rows * row + 20, columns * column : columns * column + 24]
                torch.testing.assert_close(scores[:, :, row, column], net(crop), rtol=1e-5, atol=1e-5)


def test_by_hand() -> None:
    # A dense layer that adds up a 2x2 picture becomes a 2x2 filter of ones: sums of neighbours.
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False))
    nn.init.ones_(net[1].weight)
    scores = to_fully_convolutional(net, (1, 2, 2))(torch.arange(9.0).reshape(1, 1, 3, 3))
    assert scores[0, 0].tolist() == [[0 + 1 + 3 + 4, 1 + 2 + 4 + 5], [3 + 4 + 6 + 7, 4 + 5 + 7 + 8]]


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "mobilenet_v2", "sprint_m", "efficientnet_lite0"])
def test_registered_networks_give_their_logits_at_the_trained_size(name: str) -> None:
    torch.manual_seed(0)
    net = with_statistics(create(name, classes=7))
    net.input_size = (3, 64, 64) if net.input_size[1] > 64 else net.input_size
    sliding = to_fully_convolutional(net)
    channels, height, width = net.input_size
    x = torch.randn(2, channels, height, width)
    with torch.no_grad():
        scores = sliding(x)
        assert scores.shape == (2, 7, 1, 1)
        torch.testing.assert_close(scores.flatten(1), net(x), rtol=1e-5, atol=1e-5)
        assert min(sliding(torch.randn(1, channels, 2 * height, 2 * width)).shape[2:]) > 1


def test_weights_are_copies_dropout_stays_and_the_network_is_untouched() -> None:
    net = unpadded(nn.Flatten(), nn.Dropout(0.3), nn.Linear(72, 5)).train()
    sliding = to_fully_convolutional(net, (1, 20, 24))
    assert net.training
    assert not sliding.training
    assert [type(layer) for layer in net[-1]] == [nn.Flatten, nn.Dropout, nn.Linear]
    assert [layer.p for layer in sliding.modules() if isinstance(layer, nn.Dropout)] == [0.3]
    with torch.no_grad():
        for parameter in sliding.parameters():
            parameter.zero_()
    assert all(parameter.abs().sum() > 0 for parameter in net.parameters())
    assert sliding.input_size == (1, 20, 24)


def test_what_slides_already_stays_as_it_is() -> None:
    sliding = to_fully_convolutional(unpadded(nn.Flatten(), nn.Linear(72, 5)), (1, 20, 24))
    again = to_fully_convolutional(sliding)
    x = torch.randn(1, 1, 32, 40)
    assert torch.equal(again(x), sliding(x))


class Excited(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(72, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x * torch.sigmoid(x.mean((2, 3), keepdim=True))
        out: Tensor = self.head(x.flatten(1))
        return out


@pytest.mark.parametrize(
    "net, shape, words",
    [
        (nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 2)), (6, 3, 4), "pools 3x4 to 2x2, in win"),
        (nn.Sequential(nn.Flatten(), nn.BatchNorm1d(72), nn.Linear(72, 2)), (6, 3, 4), "'1' .BatchNorm1d. has no form"),
        (nn.Sequential(nn.Flatten(), nn.LayerNorm(72), nn.Linear(72, 2)), (6, 3, 4), "'1' .LayerNorm. has no form"),
        (nn.Sequential(nn.Conv2d(6, 6, 1), nn.Flatten()), (6, 3, 4), "ends in a flattened map"),
        (Excited(), (6, 3, 4), "joins a pooled value with a map"),
        (nn.Sequential(nn.Linear(72, 2)), (72,), "reads a vector that does not come from a map"),
    ],
)
def test_what_cannot_slide_is_refused_by_name(net: nn.Module, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        to_fully_convolutional(net, shape)


def test_the_trained_size_must_be_known() -> None:
    with pytest.raises(InputError, match=r"Sequential does not say the size .* give input_size=\(C, H, W\)"):
        to_fully_convolutional(unpadded(nn.Flatten(), nn.Linear(72, 5)))
