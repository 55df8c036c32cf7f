"""ResNet's own promises: it starts as its shortcuts, strides where it says, and its small stem keeps the resolution."""

from __future__ import annotations

import torch
from torch import nn

from glassnet.models import create
from glassnet.models.resnet import BasicBlock, Bottleneck
from glassnet.nn.trace import trace


def test_a_block_whose_last_norm_is_zero_is_its_shortcut() -> None:
    network = create("resnet18", stem="small", classes=10)
    block = network.body.stage1[0]  # type: ignore[index]
    x = torch.rand(2, 64, 8, 8)  # not negative, so that the last ReLU changes nothing
    torch.testing.assert_close(block(x), x)


def test_a_bottleneck_strides_in_its_3x3() -> None:
    block = Bottleneck(64, 32, stride=2)
    assert [layer.conv.stride for layer in block.residual] == [(1, 1), (2, 2), (1, 1)]  # type: ignore[union-attr]
    assert isinstance(Bottleneck(128, 32, stride=1).shortcut, nn.Identity)
    assert not isinstance(BasicBlock(64, 32, stride=1).shortcut, nn.Identity)


def test_the_stages_have_the_papers_sizes() -> None:
    sizes = {name: size for name, size in _stage_sizes("imagenet", 224).items() if name != "pool"}
    assert sizes == {"stem": 56, "stage1": 56, "stage2": 28, "stage3": 14, "stage4": 7}
    assert _stage_sizes("small", 32)["stage4"] == 4


def _stage_sizes(stem: str, size: int) -> dict[str, int]:
    network = create("resnet18", stem=stem)
    x = torch.zeros(1, 3, size, size)
    network.eval()
    return {name: (x := stage(x)).shape[-1] for name, stage in network.body.named_children()}


def test_the_receptive_field_before_the_pool_is_435_pixels() -> None:
    # By hand: 11 after the stem, each 3x3 adds twice its stride: 4 * 8, then 8 + 3 * 16, 16 + 3 * 32, 32 + 3 * 64.
    layers = trace(create("resnet18"), (3, 224, 224))
    assert layers["body.stage4.1.act"].receptive_field == (435, 435)
    assert layers["body.stage4.1.act"].stride == (32, 32)


def test_the_papers_bottleneck_strides_in_its_first_1x1() -> None:
    block = Bottleneck(64, 32, stride=2, stride_in="1x1")
    assert [layer.conv.stride for layer in block.residual] == [(2, 2), (1, 1), (1, 1)]  # type: ignore[union-attr]
    assert block(torch.randn(2, 64, 7, 7)).shape == (2, 128, 4, 4)


def test_a_plain_block_adds_nothing_and_does_not_start_at_zero() -> None:
    plain = BasicBlock(4, 4, stride=1, shortcut="none").eval()
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(plain(x), plain.residual(x).relu())
    for option, expected in (("none", 1.0), ("A", 0.0), ("C", 0.0)):
        block = create("resnet20_cifar", shortcut=option).body.stage1[0]  # type: ignore[index]
        assert (block.residual[-1].norm.weight == expected).all()


def test_a_network_for_cifar_starts_as_its_shortcuts() -> None:
    network = create("resnet32_cifar").train()
    stem = network.body.stem(torch.randn(2, 3, 32, 32))  # type: ignore[operator]
    x = network.body.stage3(network.body.stage2(network.body.stage1(stem)))  # type: ignore[operator]
    assert x.shape == (2, 64, 8, 8)
    torch.testing.assert_close(x[:, :16], stem[:, :, ::4, ::4])
    assert not x[:, 16:].any()
