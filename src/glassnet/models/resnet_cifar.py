"""ResNet for 32x32 pictures: the paper's narrow networks of 6n + 2 layers, with which it showed what depth alone does.

Plain networks get worse from 20 layers to 56; with shortcuts they get better up to 110.

Paper: He, Zhang, Ren, Sun 2015, "Deep residual learning for image recognition", arXiv:1512.03385, section 4.2.
Here: as in the paper, which uses shortcut A throughout; `shortcut` takes B, C, and "none" for the plain network. As in
`resnet.py` the last batch norm of a block that has a shortcut starts at zero, which spares the warm-up that the paper's
110 layers needed.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from glassnet.models.registry import Classifier, register
from glassnet.models.resnet import CIFAR_32, PAPER, BasicBlock, initialise, stage
from glassnet.nn.layers import ConvNormAct, GlobalAveragePool


def resnet_cifar(layers: int, classes: int, in_channels: int, shortcut: str) -> Classifier:
    """Build a network of `layers` = 6n + 2: a convolution, three stages of n blocks of two, and the head."""
    depth = (layers - 2) // 6
    body = nn.Sequential(
        OrderedDict(
            stem=ConvNormAct(in_channels, 16, 3),  # (N, 16, 32, 32)
            stage1=stage(BasicBlock, 16, 16, depth, stride=1, shortcut=shortcut),  # (N, 16, 32, 32)
            stage2=stage(BasicBlock, 16, 32, depth, stride=2, shortcut=shortcut),  # (N, 32, 16, 16)
            stage3=stage(BasicBlock, 32, 64, depth, stride=2, shortcut=shortcut),  # (N, 64, 8, 8)
            pool=GlobalAveragePool(),  # (N, 64)
        )
    )
    network = Classifier(body, nn.Linear(64, classes))
    initialise(network)
    return network


@register("resnet20_cifar", title="ResNet-20 for CIFAR", paper=PAPER, preprocess=CIFAR_32, classes=10)
def resnet20_cifar(classes: int, in_channels: int, shortcut: str = "A") -> Classifier:
    """20 layers: 3 blocks a stage."""
    return resnet_cifar(20, classes, in_channels, shortcut)


@register("resnet32_cifar", title="ResNet-32 for CIFAR", paper=PAPER, preprocess=CIFAR_32, classes=10)
def resnet32_cifar(classes: int, in_channels: int, shortcut: str = "A") -> Classifier:
    """32 layers: 5 blocks a stage."""
    return resnet_cifar(32, classes, in_channels, shortcut)


@register("resnet44_cifar", title="ResNet-44 for CIFAR", paper=PAPER, preprocess=CIFAR_32, classes=10)
def resnet44_cifar(classes: int, in_channels: int, shortcut: str = "A") -> Classifier:
    """44 layers: 7 blocks a stage."""
    return resnet_cifar(44, classes, in_channels, shortcut)


@register("resnet56_cifar", title="ResNet-56 for CIFAR", paper=PAPER, preprocess=CIFAR_32, classes=10)
def resnet56_cifar(classes: int, in_channels: int, shortcut: str = "A") -> Classifier:
    """56 layers: 9 blocks a stage."""
    return resnet_cifar(56, classes, in_channels, shortcut)


@register("resnet110_cifar", title="ResNet-110 for CIFAR", paper=PAPER, preprocess=CIFAR_32, classes=10)
def resnet110_cifar(classes: int, in_channels: int, shortcut: str = "A") -> Classifier:
    """110 layers: 18 blocks a stage."""
    return resnet_cifar(110, classes, in_channels, shortcut)
