"""MobileNet: a convolution split in two, one that filters each channel by itself and a 1x1 that mixes the channels.

A 3x3 convolution costs eight to nine times as much and is hardly better; what is saved is spent on channels, and a
width multiplier lets the whole network be had in any size.

Paper: Howard et al. 2017, "MobileNets: efficient convolutional neural networks for mobile vision applications",
arXiv:1704.04861. Here: as in the paper, but with its authors' released code ReLU6 for ReLU (the published weights are
trained with it) and widths rounded to multiples of 8 as in MobileNet v2, which changes none of the paper's four. The
last block has stride 1: the table's "s2" keeps 7x7 at 7x7 and is a slip. Any resolution goes in.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from glassnet.errors import InputError
from glassnet.models.mobilenet_v2 import initialise, rounded
from glassnet.models.registry import Classifier, register
from glassnet.nn.layers import ConvNormAct, GlobalAveragePool

# (channels, stride of the first, blocks): the paper's table 1
STAGES = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 2, 6), (1024, 2, 2))


class DepthwiseSeparable(nn.Sequential):
    """Depthwise 3x3, then pointwise 1x1: (N, in, H, W) -> (N, out, H / stride, W / stride).

    9 in + in out multiplications for each output position instead of 9 in out.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = ConvNormAct(in_channels, in_channels, 3, stride, groups=in_channels, activation=nn.ReLU6)
        self.pointwise = ConvNormAct(in_channels, out_channels, 1, activation=nn.ReLU6)


@register(
    "mobilenet_v1",
    title="MobileNet v1",
    paper="Howard et al. 2017, MobileNets: efficient convolutional neural networks for mobile vision, arXiv:1704.04861",
)
def mobilenet_v1(classes: int, in_channels: int, width: float = 1.0, dropout: float = 0.0) -> Classifier:
    """Build MobileNet v1; shapes below are for 224x224 and width 1."""
    if not 0.05 <= width <= 10:
        raise InputError(f"width is {width}; expected 0.05 to 10 times the paper's channels")
    channels = rounded(32 * width)
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["stem"] = ConvNormAct(in_channels, channels, 3, stride=2, activation=nn.ReLU6)  # (N, 32, 112, 112)
    for number, (base, stride, depth) in enumerate(STAGES, start=1):
        blocks = nn.Sequential()
        for index in range(depth):
            out = rounded(base * width)
            blocks.append(DepthwiseSeparable(channels, out, stride if index == 0 else 1))
            channels = out
        stages[f"stage{number}"] = blocks  # the last one: (N, 1024, 7, 7)
    stages["pool"] = GlobalAveragePool()  # (N, 1024)
    stages["dropout"] = nn.Dropout(dropout)
    network = Classifier(nn.Sequential(stages), nn.Linear(channels, classes))
    initialise(network)
    return network
