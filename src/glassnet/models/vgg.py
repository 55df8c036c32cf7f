"""VGG: only 3x3 convolutions, stacked deep; two see as far as one 5x5, three as far as a 7x7, with fewer weights.

Depth itself turned out to be what counts, and the plainness made it the eye of a decade of other methods.

Paper: Simonyan, Zisserman 2014, "Very deep convolutional networks for large-scale image recognition", arXiv:1409.1556.
Here: configurations A, B, D, E, with or without batch norm (Ioffe, Szegedy 2015, arXiv:1502.03167; as in most published
weights the convolutions keep their bias beside it), and He's initialisation (2015, arXiv:1502.01852) instead of growing
the deep ones from a trained shallow one. An adaptive pool to 7x7, idle at 224x224, takes other sizes from 32x32 up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from glassnet.models.registry import Classifier, register

PAPER = "Simonyan, Zisserman 2014, Very deep convolutional networks for large-scale image recognition, arXiv:1409.1556"
WIDTHS = (64, 128, 256, 512, 512)  # channels of the five stages


def _convolution(in_channels: int, out_channels: int, batch_norm: bool) -> nn.Sequential:
    """3x3, same size: (N, in, H, W) -> (N, out, H, W)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    if batch_norm:
        layers["norm"] = nn.BatchNorm2d(out_channels)
    layers["act"] = nn.ReLU()
    return nn.Sequential(layers)


def _stage(in_channels: int, width: int, depth: int, batch_norm: bool) -> nn.Sequential:
    """`depth` convolutions and a 2x2 max-pooling: (N, in, H, W) -> (N, width, H / 2, W / 2)."""
    channels = [in_channels] + [width] * depth
    layers = [_convolution(channels[i], channels[i + 1], batch_norm) for i in range(depth)]
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def _dense(in_features: int, dropout: float) -> nn.Sequential:
    """One of the two wide hidden layers, which hold most of the weights: (N, in) -> (N, 4096)."""
    return nn.Sequential(OrderedDict(linear=nn.Linear(in_features, 4096), act=nn.ReLU(), dropout=nn.Dropout(dropout)))


def vgg(depths: Sequence[int], classes: int, in_channels: int, batch_norm: bool, dropout: float) -> Classifier:
    """Build a VGG of five stages with `depths` convolutions; shapes below are for 224x224."""
    ins = (in_channels, *WIDTHS)
    stages = {f"stage{i + 1}": _stage(ins[i], WIDTHS[i], depths[i], batch_norm) for i in range(5)}
    body = nn.Sequential(
        OrderedDict(
            **stages,  # (N, 512, 7, 7)
            pool=nn.AdaptiveAvgPool2d(7),
            flatten=nn.Flatten(),  # (N, 25088)
            dense1=_dense(512 * 7 * 7, dropout),
            dense2=_dense(4096, dropout),  # (N, 4096)
        )
    )
    network = Classifier(body, nn.Linear(4096, classes))
    _initialise(network)
    return network


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


@register("vgg11", title="VGG-11", paper=PAPER)
def vgg11(classes: int, in_channels: int, dropout: float = 0.5) -> Classifier:
    """Configuration A: 1, 1, 2, 2, 2 convolutions and three dense layers."""
    return vgg((1, 1, 2, 2, 2), classes, in_channels, batch_norm=False, dropout=dropout)


@register("vgg13", title="VGG-13", paper=PAPER)
def vgg13(classes: int, in_channels: int, dropout: float = 0.5) -> Classifier:
    """Configuration B: 2, 2, 2, 2, 2."""
    return vgg((2, 2, 2, 2, 2), classes, in_channels, batch_norm=False, dropout=dropout)


@register("vgg16", title="VGG-16", paper=PAPER)
def vgg16(classes: int, in_channels: int, dropout: float = 0.5) -> Classifier:
    """Configuration D: 2, 2, 3, 3, 3."""
    return vgg((2, 2, 3, 3, 3), classes, in_channels, batch_norm=False, dropout=dropout)


@register("vgg19", title="VGG-19", paper=PAPER)
def vgg19(classes: int, in_channels: int, dropout: float = 0.5) -> Classifier:
    """Configuration E: 2, 2, 4, 4, 4."""
    return vgg((2, 2, 4, 4, 4), classes, in_channels, batch_norm=False, dropout=dropout)


@register("vgg11_bn", title="VGG-11 with batch norm", paper=PAPER)
def vgg11_bn(classes: int, in_channels: int, dropout: float = 0.5) -> Classifier:
    """Configuration A with batch norm."""
    return vgg((1, 1, 2, 2, 2), classes, in_channels, batch_norm=True, dropout=dropout)


@register("vgg13_bn", title="VGG-13 with batch norm", paper=PAPER)
def vgg13_bn(classes: int, in_channels: int, dropout: float = 0.5) -> Classifier:
    """Configuration B with batch norm."""
    return vgg((2, 2, 2, 2, 2), classes, in_channels, batch_norm=True, dropout=dropout)


@register("vgg16_bn", title="VGG-16 with batch norm", paper=PAPER)
def vgg16_bn(classes: int, in_channels: int, dropout: float = 0.5) -> Classifier:
    """Configuration D with batch norm."""
    return vgg((2, 2, 3, 3, 3), classes, in_channels, batch_norm=True, dropout=dropout)


@register("vgg19_bn", title="VGG-19 with batch norm", paper=PAPER)
def vgg19_bn(classes: int, in_channels: int, dropout: float = 0.5) -> Classifier:
    """Configuration E with batch norm."""
    return vgg((2, 2, 4, 4, 4), classes, in_channels, batch_norm=True, dropout=dropout)
