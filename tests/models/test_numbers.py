"""The table of numbers: what papers and published weights say of each network, and what the trace counts.

One row for each network, or for each of its arguments that changes the numbers: add yours. Parameters / multiply-adds
for one picture of the paper's size; where a paper rounds, the number is that of the published layout (torchvision's,
timm's), which the row says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch

from glassnet.models import create
from glassnet.models.registry import default_preprocess, entry
from glassnet.nn.arithmetic import conv_multiply_adds, conv_parameters, linear_parameters, output_size
from glassnet.nn.trace import trace


class Numbers(NamedTuple):
    """What a network is known by; `size` where it is not the network's own."""

    name: str
    parameters: int
    multiply_adds: int
    source: str
    arguments: dict[str, Any] = {}  # noqa: RUF012 - never changed
    size: int | None = None


TABLE = [
    Numbers("lenet5", 61_706, 416_520, "as commonly built"),
    Numbers("vgg11", 132_863_336, 7_609_090_048, "torchvision; 133 M in the paper's table 2"),
    Numbers("vgg13", 133_047_848, 11_308_466_176, "torchvision; 133 M in the paper's table 2"),
    Numbers("vgg16", 138_357_544, 15_470_264_320, "torchvision; 138 M in the paper's table 2"),
    Numbers("vgg19", 143_667_240, 19_632_062_464, "torchvision; 144 M in the paper's table 2"),
    Numbers("vgg16_bn", 138_365_992, 15_470_264_320, "torchvision"),
    Numbers("resnet18", 11_689_512, 1_814_073_344, "torchvision; 1.8e9 in the paper's table 1"),
    Numbers("resnet34", 21_797_672, 3_663_761_408, "torchvision; 3.6e9 in the paper's table 1"),
    Numbers(
        "resnet50", 25_557_032, 4_089_184_256, "torchvision, stride in the 3x3; the paper's 3.8e9 has it in the 1x1"
    ),
    Numbers("resnet101", 44_549_160, 7_801_405_440, "torchvision"),
    Numbers("resnet152", 60_192_808, 11_513_626_624, "torchvision"),
    Numbers("lenet5_1998", 60_000, 325_680, "the paper's trainable count; test_lenet.py does the sum"),
    Numbers("alexnet", 61_100_840, 714_188_480, "torchvision 0.29.1"),
    Numbers("alexnet_2012", 60_965_224, 724_406_816, "60 M in the paper; test_alexnet.py does the sum"),
    Numbers("zfnet", 62_357_608, 1_168_032_896, "no total in the paper; test_alexnet.py does the sum"),
    Numbers("nin", 7_595_176, 1_100_188_800, "the authors' file for ImageNet holds 7.6 M float32 numbers"),
    Numbers("nin_cifar", 966_986, 222_486_528, "0.97 M in the literature; test_score_maps.py does the sum"),
    Numbers("squeezenet1_0", 1_248_424, 818_924_576, "the paper's table 1"),
    Numbers("squeezenet1_1", 1_235_496, 349_151_936, "torchvision 0.29.1"),
    Numbers("vgg11_bn", 132_868_840, 7_609_090_048, "torchvision"),
    Numbers("vgg13_bn", 133_053_736, 11_308_466_176, "torchvision"),
    Numbers("vgg19_bn", 143_678_248, 19_632_062_464, "torchvision"),
    Numbers("mobilenet_v2", 3_504_872, 300_774_272, "torchvision; 3.4 M and 300 M in the paper's table 4"),
    Numbers("efficientnet_lite0", 4_652_008, 385_187_552, "timm's tf_efficientnet_lite0"),
]


def label(row: Numbers) -> str:
    arguments = [f"{name}={value}" for name, value in row.arguments.items()]
    return "-".join([row.name, *arguments, *([str(row.size)] if row.size else [])])


@pytest.mark.parametrize("row", TABLE, ids=label)
def test_a_network_has_the_numbers_it_is_known_by(row: Numbers) -> None:
    channels = default_preprocess(row.name, **row.arguments).channels
    with torch.device("meta"):
        network = create(row.name, classes=entry(row.name).classes, in_channels=channels, **row.arguments)
    shape = network.input_size if row.size is None else (channels, row.size, row.size)
    traced = trace(network, shape)
    assert (traced.parameters, traced.multiply_adds) == (row.parameters, row.multiply_adds), row.source


def test_28x28_through_32_filters_of_5x5() -> None:
    assert output_size(28, 5) == 24
    assert conv_parameters(1, 32, 5) == 832


def test_a_plain_convolution_2160_and_a_separable_one_672() -> None:
    assert output_size(6, 3) == 4
    assert conv_multiply_adds(3, 5, 3, 4) == 27 * 16 * 5 == 2160
    depthwise, pointwise = conv_multiply_adds(3, 3, 3, 4, groups=3), conv_multiply_adds(3, 5, 1, 4)
    assert (depthwise, pointwise, depthwise + pointwise) == (9 * 16 * 3, 3 * 16 * 5, 672)


def test_a_5x5_on_192_channels_120_4_million_and_12_4_through_a_bottleneck() -> None:
    assert output_size(28, 5, padding="same") == 28
    assert conv_multiply_adds(192, 32, 5, 28) == 120_422_400
    assert conv_multiply_adds(192, 16, 1, 28) + conv_multiply_adds(16, 32, 5, 28) == 2_408_448 + 10_035_200


def test_inception_3a_makes_256_channels_of_192_with_163_328_weights() -> None:
    # 1x1; 3x3 behind a 1x1 to 96; 5x5 behind a 1x1 to 16; 1x1 behind a pooling: 64 + 128 + 32 + 32 channels.
    roads = [[(192, 64, 1)], [(192, 96, 1), (96, 128, 3)], [(192, 16, 1), (16, 32, 5)], [(192, 32, 1)]]
    assert sum(road[-1][1] for road in roads) == 256
    assert {output_size(28, kernel, padding=kernel // 2) for road in roads for _, _, kernel in road} == {28}
    assert sum(conv_parameters(*conv, bias=False) for road in roads for conv in road) == 163_328
    # The paper's table 1 says 128 M operations.
    assert sum(conv_multiply_adds(*conv, 28) for road in roads for conv in road) == 128_049_152


def test_three_3x3_for_a_7x7_27_instead_of_49() -> None:
    assert 3 * conv_parameters(64, 64, 3, bias=False) == 27 * 64**2
    assert conv_parameters(64, 64, 7, bias=False) == 49 * 64**2


def test_vggs_first_dense_layer_holds_three_quarters_of_its_weights() -> None:
    assert linear_parameters(512 * 7 * 7, 4096) == 102_764_544
    assert 0.74 < 102_764_544 / 138_357_544 < 0.75
