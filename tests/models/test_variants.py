"""Parameters and multiply-adds of variants, against the papers, published weights, and a formula by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from glassnet.models import create
from glassnet.models.registry import Classifier, entry
from glassnet.nn.trace import trace

# name, arguments, parameters, multiply-adds at the network's own input size
ROWS: list[Any] = [
    ("googlenet", {"auxiliary": False}, 6_998_552, 1_582_671_872),
    ("googlenet_bn", {"auxiliary": False}, 6_624_904, 1_498_376_192),  # torchvision's, as are the next row's parameters
    ("googlenet_bn", {}, 13_004_888, 1_498_376_192),  # the auxiliary heads cost nothing once the network is trained
    ("bn_inception", {}, 11_285_224, 2_032_600_064),  # no total in the paper: ours, so that a change is seen
    ("resnet50", {"stride_in": "1x1"}, 25_557_032, 3_857_973_248),  # the paper's table 1: 3.8 billion
    ("resnet34", {"shortcut": "none"}, 21_623_848, 3_644_493_824),  # the paper's plain network: 3.6 billion
    ("resnet34", {"shortcut": "A"}, 21_623_848, 3_644_493_824),
    (
        "preresnet18",
        {},
        11_687_720,
        1_814_073_344,
    ),  # as ResNet-18 multiplies; parameters ours, so that a change is seen
    ("preresnet50", {}, 25_549_352, 4_089_184_256),
    pytest.param("preresnet164_cifar", {}, 1_703_258, 247_646_720, marks=pytest.mark.slow),  # the paper: 1.7 million
    # The papers' tables, in millions: 4.2, 2.6, 1.3, 0.5 and 569, 325, 149, 41.
    ("mobilenet_v1", {"width": 1.0}, 4_231_976, 568_740_352),
    ("mobilenet_v1", {"width": 0.75}, 2_585_560, 325_400_448),
    ("mobilenet_v1", {"width": 0.5}, 1_331_592, 149_497_088),
    ("mobilenet_v1", {"width": 0.25}, 470_072, 41_030_272),
    # Torchvision's counts at these widths; the multiply-adds its authors state: 582, 300, 209, 97 and 59 million.
    ("mobilenet_v2", {"width": 1.4}, 6_108_776, 582_195_824),
    ("mobilenet_v2", {"width": 1.0}, 3_504_872, 300_774_272),
    ("mobilenet_v2", {"width": 0.75}, 2_636_424, 209_069_792),
    ("mobilenet_v2", {"width": 0.5}, 1_968_680, 97_131_840),
    ("mobilenet_v2", {"width": 0.35}, 1_677_128, 59_285_808),
]


def on_meta(name: str, **arguments: Any) -> Classifier:
    with torch.device("meta"):
        return create(name, classes=entry(name).classes, **arguments)


def count(network: Classifier) -> tuple[int, int]:
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return parameters, trace(network, network.input_size).multiply_adds


@pytest.mark.parametrize("name, arguments, parameters, multiply_adds", ROWS)
def test_a_variant_has_its_numbers(name: str, arguments: dict[str, Any], parameters: int, multiply_adds: int) -> None:
    assert count(on_meta(name, **arguments)) == (parameters, multiply_adds)


def cifar_by_hand(layers: int) -> tuple[int, int]:
    """6n + 2 layers, shortcut A: a 3x3 convolution to 16 maps, then 2n at 32x32, 16x16 and 8x8, then ten classes."""
    n = (layers - 2) // 6
    first = 3 * 3 * 3 * 16 + 2 * n * 9 * 16 * 16
    second = 9 * 16 * 32 + (2 * n - 1) * 9 * 32 * 32
    third = 9 * 32 * 64 + (2 * n - 1) * 9 * 64 * 64
    norms = 2 * (16 * (2 * n + 1) + 32 * 2 * n + 64 * 2 * n)
    head = 64 * 10 + 10
    return first + second + third + norms + head, first * 32**2 + second * 16**2 + third * 8**2 + 640


@pytest.mark.parametrize("layers, millions", [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
def test_resnets_for_cifar_have_the_papers_size(layers: int, millions: float) -> None:
    parameters, multiply_adds = cifar_by_hand(layers)
    assert round(parameters / 1e6, 2 if millions < 1 else 1) == millions  # the paper's table 6
    assert count(on_meta(f"resnet{layers}_cifar")) == (parameters, multiply_adds)


def test_shortcuts_b_and_c_cost_their_projections() -> None:
    # B projects twice, 16 -> 32 and 32 -> 64; C around all nine blocks; each with a norm, at its stage's size.
    a, b, c = (count(on_meta("resnet20_cifar", shortcut=option)) for option in "ABC")
    twice = (16 * 32 + 2 * 32, 32 * 64 + 2 * 64)
    assert b[0] - a[0] == sum(twice)
    assert b[1] - a[1] == 16 * 32 * 16**2 + 32 * 64 * 8**2
    assert c[0] - b[0] == 3 * (16 * 16 + 32) + 2 * (32 * 32 + 64) + 2 * (64 * 64 + 128)


def test_a_pre_activation_block_counts_as_its_like() -> None:
    # The first block's own norm is the stem's, and the one after the last block makes up for it.
    assert count(on_meta("preresnet20_cifar")) == count(on_meta("resnet20_cifar"))
