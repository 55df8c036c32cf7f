"""ResNet: each block adds a correction to its input instead of replacing it, so a hundred layers train as well as ten.

The sum gives gradients a road around every block; a block that has nothing to say learns zero and gets out of the way.

Paper: He, Zhang, Ren, Sun 2015, "Deep residual learning for image recognition", arXiv:1512.03385.
Here: bottlenecks stride in their 3x3 rather than their first 1x1 convolution (the layout of most published weights),
and the last batch norm of a block starts at zero, so that the network starts as its shortcuts alone (Goyal et al. 2017,
arXiv:1706.02677). `stem="small"` is the 3x3 stem for 32x32 pictures of the paper's section 4.2.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from glassnet.errors import UnknownName
from glassnet.models.registry import IMAGENET_224, Classifier, register
from glassnet.nn.layers import ConvNormAct, GlobalAveragePool
from glassnet.preprocess import Preprocess

PAPER = "He et al. 2015, Deep residual learning for image recognition, arXiv:1512.03385"
CIFAR_32 = Preprocess(height=32, width=32, crop=1.0, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))
"""CIFAR-10's size, mean and deviation."""


class BasicBlock(nn.Module):
    """relu(x + two 3x3 convolutions): (N, in, H, W) -> (N, width, H / stride, W / stride)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            ConvNormAct(in_channels, width, 3, stride),
            ConvNormAct(width, width, 3, activation=None),
        )
        self.shortcut = _shortcut(in_channels, width, stride)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Add the residual to the shortcut."""
        out: Tensor = self.act(self.residual(x) + self.shortcut(x))
        return out


class Bottleneck(nn.Module):
    """relu(x + 1x1 down, 3x3, 1x1 up): (N, in, H, W) -> (N, 4 width, H / stride, W / stride)."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            ConvNormAct(in_channels, width, 1),
            ConvNormAct(width, width, 3, stride),
            ConvNormAct(width, 4 * width, 1, activation=None),
        )
        self.shortcut = _shortcut(in_channels, 4 * width, stride)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Add the residual to the shortcut."""
        out: Tensor = self.act(self.residual(x) + self.shortcut(x))
        return out


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """The identity where the shapes agree, else a 1x1 projection (the paper's option B)."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return ConvNormAct(in_channels, out_channels, 1, stride, activation=None)


def _stage(
    block: type[BasicBlock | Bottleneck], in_channels: int, width: int, depth: int, stride: int
) -> nn.Sequential:
    """`depth` blocks, of which the first changes size and channels."""
    first = block(in_channels, width, stride)
    return nn.Sequential(first, *(block(width * block.expansion, width, 1) for _ in range(depth - 1)))


def _stem(in_channels: int, stem: str) -> nn.Module:
    """(N, C, H, W) -> (N, 64, H / 4, W / 4) for "imagenet", (N, 64, H, W) for "small"."""
    if stem == "imagenet":
        pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        return nn.Sequential(OrderedDict(conv=ConvNormAct(in_channels, 64, 7, stride=2), pool=pool))
    if stem == "small":
        return ConvNormAct(in_channels, 64, 3)
    raise UnknownName("stem", stem, ["imagenet", "small"], hint="expected 'imagenet' or 'small'")


def resnet(
    block: type[BasicBlock | Bottleneck], depths: Sequence[int], classes: int, in_channels: int, stem: str
) -> Classifier:
    """Build a ResNet of four stages with `depths` blocks; shapes below are for 224x224 and the ImageNet stem."""
    grow = block.expansion
    body = nn.Sequential(
        OrderedDict(
            stem=_stem(in_channels, stem),  # (N, 64, 56, 56)
            stage1=_stage(block, 64, 64, depths[0], stride=1),  # (N, 64 grow, 56, 56)
            stage2=_stage(block, 64 * grow, 128, depths[1], stride=2),  # (N, 128 grow, 28, 28)
            stage3=_stage(block, 128 * grow, 256, depths[2], stride=2),  # (N, 256 grow, 14, 14)
            stage4=_stage(block, 256 * grow, 512, depths[3], stride=2),  # (N, 512 grow, 7, 7)
            pool=GlobalAveragePool(),  # (N, 512 grow)
        )
    )
    network = Classifier(body, nn.Linear(512 * grow, classes))
    _initialise(network)
    return network


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, BasicBlock | Bottleneck):
            last = module.residual[-1]
            assert isinstance(last, ConvNormAct)
            nn.init.zeros_(last.norm.weight)


def _preprocess(stem: str = "imagenet") -> Preprocess:
    return CIFAR_32 if stem == "small" else IMAGENET_224


@register("resnet18", title="ResNet-18", paper=PAPER, preprocess=_preprocess)
def resnet18(classes: int, in_channels: int, stem: str = "imagenet") -> Classifier:
    """18 layers: basic blocks 2, 2, 2, 2."""
    return resnet(BasicBlock, (2, 2, 2, 2), classes, in_channels, stem)


@register("resnet34", title="ResNet-34", paper=PAPER, preprocess=_preprocess)
def resnet34(classes: int, in_channels: int, stem: str = "imagenet") -> Classifier:
    """34 layers: basic blocks 3, 4, 6, 3."""
    return resnet(BasicBlock, (3, 4, 6, 3), classes, in_channels, stem)


@register("resnet50", title="ResNet-50", paper=PAPER, preprocess=_preprocess)
def resnet50(classes: int, in_channels: int, stem: str = "imagenet") -> Classifier:
    """50 layers: bottlenecks 3, 4, 6, 3."""
    return resnet(Bottleneck, (3, 4, 6, 3), classes, in_channels, stem)


@register("resnet101", title="ResNet-101", paper=PAPER, preprocess=_preprocess)
def resnet101(classes: int, in_channels: int, stem: str = "imagenet") -> Classifier:
    """101 layers: bottlenecks 3, 4, 23, 3."""
    return resnet(Bottleneck, (3, 4, 23, 3), classes, in_channels, stem)


@register("resnet152", title="ResNet-152", paper=PAPER, preprocess=_preprocess)
def resnet152(classes: int, in_channels: int, stem: str = "imagenet") -> Classifier:
    """152 layers: bottlenecks 3, 8, 36, 3."""
    return resnet(Bottleneck, (3, 8, 36, 3), classes, in_channels, stem)
