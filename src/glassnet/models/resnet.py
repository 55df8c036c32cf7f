"""ResNet: each block adds a correction to its input instead of replacing it, so a hundred layers train as well as ten.

The sum gives gradients a road around every block; a block that has nothing to say learns zero and gets out of the way.

Paper: He, Zhang, Ren, Sun 2015, "Deep residual learning for image recognition", arXiv:1512.03385.
Here: bottlenecks stride in their 3x3 rather than their first 1x1 convolution (the layout of most published weights;
`stride_in="1x1"` is the paper's), and the last batch norm of a block starts at zero, so that the network starts as its
shortcuts alone (Goyal et al. 2017, arXiv:1706.02677). `shortcut` chooses between the paper's A, B and C, or "none" for
its plain network. `stem="small"` is the 3x3 stem for 32x32 pictures of the paper's section 4.2, whose own narrow
networks are in `resnet_cifar.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from glassnet.errors import UnknownName
from glassnet.models.registry import IMAGENET_224, Classifier, register
from glassnet.nn.layers import ConvNormAct, GlobalAveragePool
from glassnet.nn.layers.shortcuts import make_shortcut
from glassnet.preprocess import Preprocess

PAPER = "He et al. 2015, Deep residual learning for image recognition, arXiv:1512.03385"
CIFAR_32 = Preprocess(height=32, width=32, crop=1.0, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))
"""CIFAR-10's size, mean and deviation."""


class Block(nn.Module):
    """relu(residual(x) + shortcut(x)), or relu(residual(x)) where there is no shortcut."""

    expansion: int
    """The block's output has `expansion * width` channels."""

    def __init__(self, residual: nn.Sequential, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.residual, self.shortcut, self.act = residual, shortcut, nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Add the residual to the shortcut."""
        residual = self.residual(x)
        out: Tensor = self.act(residual if self.shortcut is None else residual + self.shortcut(x))
        return out


class BasicBlock(Block):
    """relu(x + two 3x3 convolutions): (N, in, H, W) -> (N, width, H / stride, W / stride)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, *, shortcut: str = "B") -> None:
        residual = nn.Sequential(
            ConvNormAct(in_channels, width, 3, stride),
            ConvNormAct(width, width, 3, activation=None),
        )
        super().__init__(residual, _shortcut(shortcut, in_channels, width, stride))


class Bottleneck(Block):
    """relu(x + 1x1 down, 3x3, 1x1 up): (N, in, H, W) -> (N, 4 width, H / stride, W / stride).

    `stride_in` says which convolution strides: "3x3", or "1x1" for the first one, as the paper has it.
    """

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, *, shortcut: str = "B", stride_in: str = "3x3"
    ) -> None:
        if stride_in not in ("3x3", "1x1"):
            raise UnknownName("stride_in", stride_in, ["3x3", "1x1"], hint="expected '3x3' or '1x1'")
        first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
        residual = nn.Sequential(
            ConvNormAct(in_channels, width, 1, first),
            ConvNormAct(width, width, 3, second),
            ConvNormAct(width, 4 * width, 1, activation=None),
        )
        super().__init__(residual, _shortcut(shortcut, in_channels, 4 * width, stride))


def _shortcut(option: str, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    return make_shortcut(option, in_channels, out_channels, stride, partial(ConvNormAct, activation=None))


def stage(
    block: type[BasicBlock | Bottleneck], in_channels: int, width: int, depth: int, stride: int, **choices: Any
) -> nn.Sequential:
    """Return `depth` blocks, of which the first changes size and channels; `choices` are given to each."""
    first = block(in_channels, width, stride, **choices)
    rest = (block(width * block.expansion, width, 1, **choices) for _ in range(depth - 1))
    return nn.Sequential(first, *rest)


def make_stem(in_channels: int, stem: str) -> nn.Module:
    """(N, C, H, W) -> (N, 64, H / 4, W / 4) for "imagenet", (N, 64, H, W) for "small"."""
    if stem == "imagenet":
        pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        return nn.Sequential(OrderedDict(conv=ConvNormAct(in_channels, 64, 7, stride=2), pool=pool))
    if stem == "small":
        return ConvNormAct(in_channels, 64, 3)
    raise UnknownName("stem", stem, ["imagenet", "small"], hint="expected 'imagenet' or 'small'")


def resnet(
    block: type[BasicBlock | Bottleneck],
    depths: Sequence[int],
    classes: int,
    in_channels: int,
    stem: str,
    **choices: Any,
) -> Classifier:
    """Build a ResNet of four stages with `depths` blocks; shapes below are for 224x224 and the ImageNet stem."""
    grow = block.expansion
    body = nn.Sequential(
        OrderedDict(
            stem=make_stem(in_channels, stem),  # (N, 64, 56, 56)
            stage1=stage(block, 64, 64, depths[0], stride=1, **choices),  # (N, 64 grow, 56, 56)
            stage2=stage(block, 64 * grow, 128, depths[1], stride=2, **choices),  # (N, 128 grow, 28, 28)
            stage3=stage(block, 128 * grow, 256, depths[2], stride=2, **choices),  # (N, 256 grow, 14, 14)
            stage4=stage(block, 256 * grow, 512, depths[3], stride=2, **choices),  # (N, 512 grow, 7, 7)
            pool=GlobalAveragePool(),  # (N, 512 grow)
        )
    )
    network = Classifier(body, nn.Linear(512 * grow, classes))
    initialise(network)
    return network


def initialise(network: nn.Module) -> None:
    """He's normal initialisation (fan out); a block with a shortcut begins as that shortcut."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, Block) and module.shortcut is not None:
            last = module.residual[-1]
            assert isinstance(last, ConvNormAct)
            nn.init.zeros_(last.norm.weight)


def preprocess_for(stem: str = "imagenet") -> Preprocess:
    """Return the preprocess of pictures for a stem."""
    return CIFAR_32 if stem == "small" else IMAGENET_224


def _preprocess(stem: str = "imagenet", **_: Any) -> Preprocess:
    return preprocess_for(stem)


@register("resnet18", title="ResNet-18", paper=PAPER, preprocess=_preprocess)
def resnet18(classes: int, in_channels: int, stem: str = "imagenet", shortcut: str = "B") -> Classifier:
    """18 layers: basic blocks 2, 2, 2, 2."""
    return resnet(BasicBlock, (2, 2, 2, 2), classes, in_channels, stem, shortcut=shortcut)


@register("resnet34", title="ResNet-34", paper=PAPER, preprocess=_preprocess)
def resnet34(classes: int, in_channels: int, stem: str = "imagenet", shortcut: str = "B") -> Classifier:
    """34 layers: basic blocks 3, 4, 6, 3."""
    return resnet(BasicBlock, (3, 4, 6, 3), classes, in_channels, stem, shortcut=shortcut)


@register("resnet50", title="ResNet-50", paper=PAPER, preprocess=_preprocess)
def resnet50(
    classes: int, in_channels: int, stem: str = "imagenet", shortcut: str = "B", stride_in: str = "3x3"
) -> Classifier:
    """50 layers: bottlenecks 3, 4, 6, 3."""
    return resnet(Bottleneck, (3, 4, 6, 3), classes, in_channels, stem, shortcut=shortcut, stride_in=stride_in)


@register("resnet101", title="ResNet-101", paper=PAPER, preprocess=_preprocess)
def resnet101(
    classes: int, in_channels: int, stem: str = "imagenet", shortcut: str = "B", stride_in: str = "3x3"
) -> Classifier:
    """101 layers: bottlenecks 3, 4, 23, 3."""
    return resnet(Bottleneck, (3, 4, 23, 3), classes, in_channels, stem, shortcut=shortcut, stride_in=stride_in)


@register("resnet152", title="ResNet-152", paper=PAPER, preprocess=_preprocess)
def resnet152(
    classes: int, in_channels: int, stem: str = "imagenet", shortcut: str = "B", stride_in: str = "3x3"
) -> Classifier:
    """152 layers: bottlenecks 3, 8, 36, 3."""
    return resnet(Bottleneck, (3, 8, 36, 3), classes, in_channels, stem, shortcut=shortcut, stride_in=stride_in)
