"""Pre-activation ResNet: norm and rectifier move before the convolutions, so the shortcut is a clear road all the way.

What a block reads is then exactly what the block before it wrote, plus corrections; nothing on the road rectifies it,
and networks of a thousand layers train.

Paper: He, Zhang, Ren, Sun 2016, "Identity mappings in deep residual networks", arXiv:1603.05027.
Here: as in the paper and its appendix. The stem's own norm and rectifier serve the first block, a last norm and
rectifier follow the last one, and a projection, where a block changes the shape, reads the activated maps; it needs no
norm of its own. Bottlenecks stride in their 3x3. The networks for 32x32 pictures use shortcut A, as the first paper's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from glassnet.models.registry import Classifier, register
from glassnet.models.resnet import CIFAR_32, make_stem, preprocess_for
from glassnet.nn.layers import ConvNormAct, GlobalAveragePool
from glassnet.nn.layers.shortcuts import make_shortcut
from glassnet.preprocess import Preprocess

PAPER = "He et al. 2016, Identity mappings in deep residual networks, arXiv:1603.05027"


def _convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)


class NormAct(nn.Sequential):
    """Batch norm -> ReLU: the shape stays."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.ReLU()


class NormActConv(NormAct):
    """Batch norm -> ReLU -> convolution: (N, in, H, W) -> (N, out, H / stride, W / stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(in_channels)
        self.conv = _convolution(in_channels, out_channels, kernel_size, stride)


class PreactivatedBlock(nn.Module):
    """shortcut(x) + residual(activate(x)); a projection reads activate(x) too. Nothing follows the sum.

    `activated`: x comes activated already, as it does to the first block.
    """

    expansion: int
    """The block's output has `expansion * width` channels."""

    def __init__(
        self, residual: nn.Sequential, in_channels: int, width: int, stride: int, *, shortcut: str, activated: bool
    ) -> None:
        super().__init__()
        self.activate = nn.Identity() if activated else NormAct(in_channels)
        self.residual = residual
        self.shortcut = make_shortcut(shortcut, in_channels, self.expansion * width, stride, _convolution)
        self.projects = isinstance(self.shortcut, nn.Conv2d)

    def forward(self, x: Tensor) -> Tensor:
        """Add the residual to the shortcut."""
        active = self.activate(x)
        residual: Tensor = self.residual(active)
        if self.shortcut is None:
            return residual
        out: Tensor = self.shortcut(active if self.projects else x) + residual
        return out


class PreactivatedBasic(PreactivatedBlock):
    """Two 3x3 convolutions: (N, in, H, W) -> (N, width, H / stride, W / stride)."""

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, stride: int, *, shortcut: str = "B", activated: bool = False
    ) -> None:
        residual = nn.Sequential(_convolution(in_channels, width, 3, stride), NormActConv(width, width, 3))
        super().__init__(residual, in_channels, width, stride, shortcut=shortcut, activated=activated)


class PreactivatedBottleneck(PreactivatedBlock):
    """1x1 down, 3x3, 1x1 up: (N, in, H, W) -> (N, 4 width, H / stride, W / stride)."""

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, *, shortcut: str = "B", activated: bool = False
    ) -> None:
        residual = nn.Sequential(
            _convolution(in_channels, width, 1),
            NormActConv(width, width, 3, stride),
            NormActConv(width, 4 * width, 1),
        )
        super().__init__(residual, in_channels, width, stride, shortcut=shortcut, activated=activated)


def preresnet(
    block: type[PreactivatedBasic | PreactivatedBottleneck],
    stem: nn.Module,
    widths: Sequence[int],
    depths: Sequence[int],
    classes: int,
    shortcut: str,
) -> Classifier:
    """Build a stage of `depths` blocks for each of `widths`; `stem` gives as many channels as the first width."""
    stages: OrderedDict[str, nn.Module] = OrderedDict(stem=stem)
    channels = widths[0]
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
        blocks = nn.Sequential()
        for index in range(depth):
            first = number > 1 and index == 0
            activated = number == 1 and index == 0
            blocks.append(block(channels, width, 2 if first else 1, shortcut=shortcut, activated=activated))
            channels = width * block.expansion
        stages[f"stage{number}"] = blocks  # each but the first halves the maps
    stages["activate"] = NormAct(channels)
    stages["pool"] = GlobalAveragePool()  # (N, channels)
    network = Classifier(nn.Sequential(stages), nn.Linear(channels, classes))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


_basic = partial(preresnet, PreactivatedBasic)
_bottleneck = partial(preresnet, PreactivatedBottleneck)
WIDTHS, CIFAR_WIDTHS = (64, 128, 256, 512), (16, 32, 64)


def _cifar_stem(in_channels: int) -> nn.Module:
    """(N, C, 32, 32) -> (N, 16, 32, 32)."""
    return ConvNormAct(in_channels, 16, 3)


def _preprocess(stem: str = "imagenet", **_: Any) -> Preprocess:
    return preprocess_for(stem)


@register("preresnet18", title="Pre-activation ResNet-18", paper=PAPER, preprocess=_preprocess)
def preresnet18(classes: int, in_channels: int, stem: str = "imagenet", shortcut: str = "B") -> Classifier:
    """18 layers: basic blocks 2, 2, 2, 2."""
    return _basic(make_stem(in_channels, stem), WIDTHS, (2, 2, 2, 2), classes, shortcut)


@register("preresnet34", title="Pre-activation ResNet-34", paper=PAPER, preprocess=_preprocess)
def preresnet34(classes: int, in_channels: int, stem: str = "imagenet", shortcut: str = "B") -> Classifier:
    """34 layers: basic blocks 3, 4, 6, 3."""
    return _basic(make_stem(in_channels, stem), WIDTHS, (3, 4, 6, 3), classes, shortcut)


@register("preresnet50", title="Pre-activation ResNet-50", paper=PAPER, preprocess=_preprocess)
def preresnet50(classes: int, in_channels: int, stem: str = "imagenet", shortcut: str = "B") -> Classifier:
    """50 layers: bottlenecks 3, 4, 6, 3."""
    return _bottleneck(make_stem(in_channels, stem), WIDTHS, (3, 4, 6, 3), classes, shortcut)


@register("preresnet101", title="Pre-activation ResNet-101", paper=PAPER, preprocess=_preprocess)
def preresnet101(classes: int, in_channels: int, stem: str = "imagenet", shortcut: str = "B") -> Classifier:
    """101 layers: bottlenecks 3, 4, 23, 3."""
    return _bottleneck(make_stem(in_channels, stem), WIDTHS, (3, 4, 23, 3), classes, shortcut)


@register("preresnet152", title="Pre-activation ResNet-152", paper=PAPER, preprocess=_preprocess)
def preresnet152(classes: int, in_channels: int, stem: str = "imagenet", shortcut: str = "B") -> Classifier:
    """152 layers: bottlenecks 3, 8, 36, 3."""
    return _bottleneck(make_stem(in_channels, stem), WIDTHS, (3, 8, 36, 3), classes, shortcut)


@register("preresnet20_cifar", title="Pre-activation ResNet-20 for CIFAR", paper=PAPER, preprocess=CIFAR_32, classes=10)
def preresnet20_cifar(classes: int, in_channels: int, shortcut: str = "A") -> Classifier:
    """20 layers: 3 basic blocks a stage."""
    return _basic(_cifar_stem(in_channels), CIFAR_WIDTHS, (3, 3, 3), classes, shortcut)


@register("preresnet56_cifar", title="Pre-activation ResNet-56 for CIFAR", paper=PAPER, preprocess=CIFAR_32, classes=10)
def preresnet56_cifar(classes: int, in_channels: int, shortcut: str = "A") -> Classifier:
    """56 layers: 9 basic blocks a stage."""
    return _basic(_cifar_stem(in_channels), CIFAR_WIDTHS, (9, 9, 9), classes, shortcut)


@register(
    "preresnet110_cifar", title="Pre-activation ResNet-110 for CIFAR", paper=PAPER, preprocess=CIFAR_32, classes=10
)
def preresnet110_cifar(classes: int, in_channels: int, shortcut: str = "A") -> Classifier:
    """110 layers: 18 basic blocks a stage."""
    return _basic(_cifar_stem(in_channels), CIFAR_WIDTHS, (18, 18, 18), classes, shortcut)


@register(
    "preresnet164_cifar", title="Pre-activation ResNet-164 for CIFAR", paper=PAPER, preprocess=CIFAR_32, classes=10
)
def preresnet164_cifar(classes: int, in_channels: int, shortcut: str = "B") -> Classifier:
    """164 layers: 18 bottlenecks a stage."""
    return _bottleneck(_cifar_stem(in_channels), CIFAR_WIDTHS, (18, 18, 18), classes, shortcut)
