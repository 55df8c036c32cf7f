"""Pre-activation: the road through the network is the identity, and projections read what is activated."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from glassnet.models import create
from glassnet.models.preresnet import PreactivatedBasic, PreactivatedBlock, PreactivatedBottleneck


def silence(module: nn.Module) -> None:
    """Set the last convolution of every block below `module` to zero."""
    for block in module.modules():
        if isinstance(block, PreactivatedBlock):
            last = block.residual[-1]
            nn.init.zeros_(last.conv.weight)  # type: ignore[arg-type,union-attr]


@pytest.mark.parametrize("block", [PreactivatedBasic(8, 8, 1), PreactivatedBottleneck(8, 2, 1)])
def test_a_silent_block_is_the_identity(block: PreactivatedBlock) -> None:
    silence(block)
    x = torch.randn(2, 8, 5, 5)  # negative values too: nothing on the road rectifies
    assert torch.equal(block(x), x)


def test_a_silent_network_hands_its_stem_through_three_stages() -> None:
    network = create("preresnet20_cifar", classes=10)
    silence(network)
    stem = network.body.get_submodule("stem")(torch.randn(2, 3, 32, 32))  # (2, 16, 32, 32)
    x = stem
    for name in ("stage1", "stage2", "stage3"):
        x = network.body.get_submodule(name)(x)
    assert torch.equal(x[:, :16], stem[:, :, ::4, ::4])  # shortcut A, twice
    assert not x[:, 16:].any()


def test_a_projection_reads_the_activated_maps_and_an_identity_the_raw_ones() -> None:
    block = PreactivatedBasic(4, 8, 2).eval()  # a fresh norm in evaluation is the identity, but for its eps
    silence(block)
    assert block.shortcut is not None
    x = -torch.rand(1, 4, 6, 6)
    assert not block(x).any(), "relu leaves nothing of negative values"
    assert block.shortcut(x).any()


def test_the_first_block_gets_its_activation_from_the_stem() -> None:
    network = create("preresnet18", classes=3, stem="small")
    first, second = network.body.get_submodule("stage1").children()
    assert isinstance(first.activate, nn.Identity)
    assert not isinstance(second.activate, nn.Identity)


def test_a_plain_block_has_no_road() -> None:
    block = PreactivatedBasic(4, 4, 1, shortcut="none")
    silence(block)
    assert not block(torch.randn(1, 4, 5, 5)).any()


def test_a_bottleneck_strides_in_its_3x3() -> None:
    block = PreactivatedBottleneck(8, 4, 2)
    strides = [module.stride for module in block.residual.modules() if isinstance(module, nn.Conv2d)]
    assert strides == [(1, 1), (2, 2), (1, 1)]
    assert block(torch.randn(2, 8, 7, 7)).shape == (2, 16, 4, 4)
