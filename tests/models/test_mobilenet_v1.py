"""MobileNet v1: the arithmetic of its block, and its stages."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from glassnet.models import create
from glassnet.models.mobilenet_v1 import DepthwiseSeparable
from glassnet.nn.trace import trace


def test_the_split_convolution_multiplies_672_times_instead_of_2160() -> None:
    block = trace(DepthwiseSeparable(3, 5), (3, 4, 4))
    assert block["depthwise.conv"].multiply_adds == 9 * 16 * 3 == 432
    assert block["pointwise.conv"].multiply_adds == 3 * 16 * 5 == 240
    assert trace(nn.Sequential(nn.Conv2d(3, 5, 3, padding=1)), (3, 4, 4)).multiply_adds == 2160
    assert block.layers[-1].output_shape == (5, 4, 4)


def test_the_depthwise_half_keeps_channels_apart() -> None:
    block = DepthwiseSeparable(3, 5, stride=2).eval()
    x = torch.rand(1, 3, 6, 6)
    changed = x.clone()
    changed[:, 1] += 1
    difference = (block.depthwise(x) - block.depthwise(changed)).abs().amax((0, 2, 3))
    assert difference[[0, 2]].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("resolution, last", [(224, 7), (192, 6), (160, 5), (128, 4)])
def test_the_stages_at_the_papers_resolutions(resolution: int, last: int) -> None:
    with torch.device("meta"):
        network = create("mobilenet_v1", width=0.25)
        x = torch.empty(1, 3, resolution, resolution)
    sizes = {name: (x := stage(x)).shape[1:] for name, stage in network.eval().body.named_children()}
    assert sizes["stem"] == (8, resolution // 2, resolution // 2)
    assert sizes["stage4"] == (128, resolution // 16, resolution // 16)
    assert sizes["stage5"] == (256, last, last)
    assert sizes["pool"] == (256,)


def test_an_odd_width_is_rounded_to_eights() -> None:
    with torch.device("meta"):
        network = create("mobilenet_v1", width=0.3)
    widths = {layer.out_channels for layer in network.modules() if isinstance(layer, nn.Conv2d)}
    assert all(width % 8 == 0 for width in widths)
    assert network.features_size == 304  # 307.2
