"""What tricks save: the texts' own examples to the last multiplication, and what is found in known networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from glassnet.models import create
from glassnet.nn.layers import ConvNormAct
from glassnet.nn.trace import trace
from glassnet.nn.trace.alternatives import Alternative, alternatives, sentences, short


def found(net: nn.Module, shape: tuple[int, int, int]) -> list[Alternative]:
    return alternatives(trace(net, shape))


def test_a_separable_pair_672_instead_of_2160() -> None:
    pair = nn.Sequential(nn.Conv2d(3, 3, 3, groups=3), nn.Conv2d(3, 5, 1))
    (only,) = found(pair, (3, 6, 6))
    assert (only.trick, only.cost, only.plain_cost) == ("depthwise-separable", 672, 2160)
    assert sentences([only]) == [
        "0 to 1: a depthwise 3x3 and a 1x1 convolution: 672 multiply-adds; "
        "a plain 3x3, 3 -> 5 channels: 2,160 (3.2 times as many)."
    ]


def test_a_bottleneck_12_4_million_instead_of_120_4() -> None:
    net = nn.Sequential(nn.Conv2d(192, 16, 1), nn.ReLU(), nn.Conv2d(16, 32, 5, padding=2))
    (only,) = found(net, (192, 28, 28))
    assert (only.trick, only.cost, only.plain_cost) == ("bottleneck", 12_443_648, 120_422_400)
    assert "behind a 1x1 bottleneck of 16: 12.4M multiply-adds; a plain 5x5" in sentences([only])[0]
    assert "120.4M (9.7 times as many)" in sentences([only])[0]


def test_three_stacked_3x3_see_a_7x7_for_27_instead_of_49() -> None:
    net = nn.Sequential(*(ConvNormAct(8, 8, 3) for _ in range(3)))
    (only,) = found(net, (8, 10, 10))
    assert (only.trick, only.cost, only.plain_cost) == ("stack", 27 * 64 * 100, 49 * 64 * 100)


def test_a_dense_layer_on_a_map() -> None:
    (only,) = found(nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(16 * 25, 120)), (16, 5, 5))
    assert (only.trick, only.cost, only.plain_cost) == ("dense head", 48_000, 16 * 120)
    assert sentences([only])[0].endswith("1,920 (25 times fewer).")


@pytest.mark.parametrize(
    "name, counts",
    [
        ("vgg16", {"stack": 3, "dense head": 1}),
        ("resnet50", {"bottleneck": 15}),  # the first block narrows 64 channels to 64, which is no bottleneck
        ("mobilenet_v2", {"depthwise-separable": 17}),
        ("lenet5", {"dense head": 1}),
    ],
)
def test_what_known_networks_use(name: str, counts: dict[str, int]) -> None:
    with torch.device("meta"):
        network = create(name)
    tricks = [one.trick for one in found(network, network.input_size)]
    assert {trick: tricks.count(trick) for trick in tricks} == counts


def test_a_branch_that_is_read_twice_is_no_stack_of_itself() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.one(x) + self.two(x)
            return out

    assert found(Fork(), (4, 8, 8)) == []


def test_short_numbers() -> None:
    numbers = (672, 2160, 999_999, 12_443_648, 1_814_073_344)
    assert [short(number) for number in numbers] == ["672", "2,160", "999,999", "12.4M", "1.81G"]
