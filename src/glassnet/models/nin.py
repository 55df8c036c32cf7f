"""Network in Network: a small dense network slides over the picture in place of a filter, and nothing dense is on top.

Each position's window is judged by several layers (1x1 convolutions behind a wide one), and each class's score is the
mean of a map of its own: the 1x1 convolution and the global average pooling of all that followed came from here.

Paper: Lin, Chen, Yan 2013, "Network in network", arXiv:1312.4400.
Here: `nin_cifar` has the three blocks and the widths that its authors trained on CIFAR-10, 966,986 parameters; `nin`
is their network of four blocks for ImageNet, which the paper does not describe, 7,595,176. Poolings round up, as
in their program. He's initialisation (2015, arXiv:1502.01852) in place of hand-set deviations. `width` scales every
layer but the scores.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from glassnet.errors import InputError
from glassnet.models.registry import register
from glassnet.models.resnet import CIFAR_32
from glassnet.models.score_maps import ScoreMapClassifier
from glassnet.nn.layers.blocks import MlpConv

PAPER = "Lin, Chen, Yan 2013, Network in network, arXiv:1312.4400"


def _maximum() -> nn.MaxPool2d:
    return nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)


def _scaled(width: float, *channels: int) -> tuple[int, ...]:
    if not 0.05 <= width <= 10:
        raise InputError(f"width is {width}; expected 0.05 to 10 times the paper's channels")
    return tuple(max(1, round(width * count)) for count in channels)


@register("nin", title="Network in Network", paper=PAPER)
def nin(
    classes: int, in_channels: int, width: float = 1.0, dropout: float = 0.5, rectify: bool = True
) -> ScoreMapClassifier:
    """Build the network for ImageNet; shapes below are for 224x224."""
    w1, w2, w3, w4 = _scaled(width, 96, 256, 384, 1024)
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["mlpconv1"] = MlpConv(in_channels, (w1, w1, w1), 11, stride=4)  # (N, 96, 54, 54)
    stages["pool1"] = _maximum()  # (N, 96, 27, 27)
    stages["mlpconv2"] = MlpConv(w1, (w2, w2, w2), 5, padding=2)  # (N, 256, 27, 27)
    stages["pool2"] = _maximum()  # (N, 256, 13, 13)
    stages["mlpconv3"] = MlpConv(w2, (w3, w3, w3), 3, padding=1)  # (N, 384, 13, 13)
    stages["pool3"] = _maximum()  # (N, 384, 6, 6)
    stages["dropout3"] = nn.Dropout(dropout)
    stages["mlpconv4"] = MlpConv(w3, (w4, w4), 3, padding=1)  # (N, 1024, 6, 6); the head is its third layer
    network = ScoreMapClassifier(stages, w4, classes, rectify=rectify)
    _initialise(network)
    return network


@register("nin_cifar", title="Network in Network for small pictures", paper=PAPER, preprocess=CIFAR_32, classes=10)
def nin_cifar(
    classes: int, in_channels: int, width: float = 1.0, dropout: float = 0.5, rectify: bool = True
) -> ScoreMapClassifier:
    """Build the network for CIFAR-10; shapes below are for 32x32."""
    w160, w96, w192 = _scaled(width, 160, 96, 192)
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["mlpconv1"] = MlpConv(in_channels, (w192, w160, w96), 5, padding=2)  # (N, 96, 32, 32)
    stages["pool1"] = _maximum()  # (N, 96, 16, 16)
    stages["dropout1"] = nn.Dropout(dropout)
    stages["mlpconv2"] = MlpConv(w96, (w192, w192, w192), 5, padding=2)  # (N, 192, 16, 16)
    stages["pool2"] = nn.AvgPool2d(kernel_size=3, stride=2, ceil_mode=True)  # (N, 192, 8, 8)
    stages["dropout2"] = nn.Dropout(dropout)
    stages["mlpconv3"] = MlpConv(w192, (w192, w192), 3, padding=1)  # (N, 192, 8, 8); the head is its third layer
    network = ScoreMapClassifier(stages, w192, classes, rectify=rectify)
    _initialise(network)
    return network
