"""MobileNet v2's rounding and block, by hand."""

from __future__ import annotations

import pytest
import torch

from glassnet.models import create
from glassnet.models.mobilenet_v2 import InvertedResidual, rounded


@pytest.mark.parametrize("channels, expected", [(32, 32), (11.2, 16), (18, 24), (5.6, 8), (3, 8), (60, 64)])
def test_channels_are_rounded_to_eights_but_never_far_down(channels: float, expected: int) -> None:
    assert rounded(channels) == expected
    assert rounded(channels) >= 0.9 * channels


def test_a_block_adds_only_where_the_shapes_agree() -> None:
    assert InvertedResidual(16, 16, stride=1, expansion=6).adds
    assert not InvertedResidual(16, 24, stride=1, expansion=6).adds
    assert not InvertedResidual(16, 16, stride=2, expansion=6).adds


def test_the_narrow_ends_are_linear() -> None:
    torch.manual_seed(0)
    assert (InvertedResidual(8, 16, stride=1, expansion=6)(torch.randn(2, 8, 4, 4)) < 0).any()


@pytest.mark.parametrize("width, parameters", [(0.5, 1_968_680), (1.4, 6_108_776)])
def test_the_width_scales_every_stage(width: float, parameters: int) -> None:
    with torch.device("meta"):
        network = create("mobilenet_v2", width=width)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
