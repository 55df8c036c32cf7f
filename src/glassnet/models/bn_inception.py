"""BN-Inception: a norm over each batch before every rectifier, so that layers need not chase each other's statistics.

With batch norm the same accuracy took a fourteenth of the steps; the network around it is GoogLeNet's, with two 3x3
filters in place of each 5x5 and modules that halve the maps themselves.

Paper: Ioffe, Szegedy 2015, "Batch normalization: accelerating deep network training by reducing internal covariate
shift", arXiv:1502.03167, figure 5. Here: the table's widths of the branches; those of 4c and 4d add up to 608 channels
and 4e's to 1056, where its column of sizes says 576 and 1024, and the published weights side with the branches. The
first layer is a plain 7x7 convolution as in those weights, where the authors used a separable one. No auxiliary heads
and, as the paper advises, no dropout unless it is asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from glassnet.models.registry import Classifier, register
from glassnet.nn.layers import ConvNormAct, GlobalAveragePool
from glassnet.nn.layers.inception import DoubleInception, ReducingInception

# 1x1, (reduction, 3x3), (reduction, double 3x3), pooling, projection; the modules that halve the maps: the middle two
MODULES: dict[str, tuple[Any, ...]] = {
    "inception3a": (64, (64, 64), (64, 96), "average", 32),  # (N, 256, 28, 28)
    "inception3b": (64, (64, 96), (64, 96), "average", 64),  # (N, 320, 28, 28)
    "inception3c": ((128, 160), (64, 96)),  # (N, 576, 14, 14)
    "inception4a": (224, (64, 96), (96, 128), "average", 128),
    "inception4b": (192, (96, 128), (96, 128), "average", 128),
    "inception4c": (160, (128, 160), (128, 160), "average", 128),  # (N, 608, 14, 14)
    "inception4d": (96, (128, 192), (160, 192), "average", 128),
    "inception4e": ((128, 192), (192, 256)),  # (N, 1056, 7, 7)
    "inception5a": (352, (192, 320), (160, 224), "average", 128),  # (N, 1024, 7, 7)
    "inception5b": (352, (192, 320), (192, 224), "max", 128),
}


@register(
    "bn_inception",
    title="BN-Inception",
    paper="Ioffe, Szegedy 2015, Batch normalization, arXiv:1502.03167",
)
def bn_inception(classes: int, in_channels: int, dropout: float = 0.0) -> Classifier:
    """Build BN-Inception; shapes are for 224x224."""
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["conv1"] = ConvNormAct(in_channels, 64, 7, 2)  # (N, 64, 112, 112)
    stages["pool1"] = nn.MaxPool2d(3, stride=2, ceil_mode=True)  # (N, 64, 56, 56)
    stages["conv2"] = nn.Sequential(OrderedDict(reduce=ConvNormAct(64, 64, 1), conv=ConvNormAct(64, 192, 3)))
    stages["pool2"] = nn.MaxPool2d(3, stride=2, ceil_mode=True)  # (N, 192, 28, 28)
    channels = 192
    for name, widths in MODULES.items():
        kind = ReducingInception if len(widths) == 2 else DoubleInception
        module = kind(channels, *widths, layer=ConvNormAct)
        stages[name], channels = module, module.out_channels
    stages["pool"] = GlobalAveragePool()  # (N, 1024)
    stages["dropout"] = nn.Dropout(dropout)
    network = Classifier(nn.Sequential(stages), nn.Linear(channels, classes))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network
