"""ZFNet: AlexNet, looked into: its first filters were too coarse and skipped too much, so they were made finer.

Drawing what excites each layer showed first-layer filters of very high and very low frequencies with nothing between,
and second-layer maps full of aliasing; windows of 7 at stride 2 in place of 11 at stride 4 keep what was lost.

Paper: Zeiler, Fergus 2013, "Visualizing and understanding convolutional networks", arXiv:1311.2901, figure 3.
Here: as in the figure, in one tower, 62,357,608 parameters; its map sizes 110, 55, 26, 13 and 6 follow from padding
the first convolution by 1 and letting the first two poolings round up. Contrast is normalised across channels with
AlexNet's numbers. Weights start at a deviation of 0.01 and biases at 0, as there; first-layer filters whose root mean
square grows beyond 0.1 are not scaled back. An adaptive pool to 6x6, idle at 224x224, takes other sizes from 63x63 up.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from glassnet.models.registry import Classifier, register
from glassnet.nn.layers.normalisation import LocalResponseNorm


def _convolution(in_channels: int, out_channels: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding)
    return nn.Sequential(OrderedDict(conv=conv, act=nn.ReLU()))


def _pooled_and_normalised(stage: nn.Sequential) -> nn.Sequential:
    """Append the overlapping maximum and, behind it (AlexNet has it before), the normalisation."""
    stage.add_module("pool", nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True))
    stage.add_module("norm", LocalResponseNorm())
    return stage


def _dense(in_features: int, dropout: float) -> nn.Sequential:
    """(N, in) -> (N, 4096)."""
    return nn.Sequential(OrderedDict(linear=nn.Linear(in_features, 4096), act=nn.ReLU(), dropout=nn.Dropout(dropout)))


@register(
    "zfnet",
    title="ZFNet",
    paper="Zeiler, Fergus 2013, Visualizing and understanding convolutional networks, arXiv:1311.2901",
)
def zfnet(classes: int, in_channels: int, dropout: float = 0.5) -> Classifier:
    """Build ZFNet; shapes below are for 224x224."""
    conv5 = _convolution(384, 256, 3, padding=1)
    conv5.add_module("pool", nn.MaxPool2d(kernel_size=3, stride=2))
    body = nn.Sequential(
        OrderedDict(
            conv1=_pooled_and_normalised(_convolution(in_channels, 96, 7, stride=2, padding=1)),  # (N, 96, 55, 55)
            conv2=_pooled_and_normalised(_convolution(96, 256, 5, stride=2)),  # (N, 256, 13, 13)
            conv3=_convolution(256, 384, 3, padding=1),  # (N, 384, 13, 13)
            conv4=_convolution(384, 384, 3, padding=1),  # (N, 384, 13, 13)
            conv5=conv5,  # (N, 256, 6, 6)
            pool=nn.AdaptiveAvgPool2d(6),
            flatten=nn.Flatten(),  # (N, 9216)
            dense6=_dense(256 * 6 * 6, dropout),
            dense7=_dense(4096, dropout),  # (N, 4096)
        )
    )
    network = Classifier(body, nn.Linear(4096, classes))
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return network
