"""SqueezeNet: AlexNet's accuracy with a fiftieth of its weights: squeeze the channels by 1x1, then expand them again.

A 3x3 filter costs as much as nine 1x1 filters and grows with its input channels; so a fire module shows few channels
to a mixture of both. Pooling late keeps the maps large, and nothing dense is on top.

Paper: Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer
parameters and <0.5MB model size", arXiv:1602.07360. Here: the plain network without bypasses, in version 1.0 (the
paper's; 1,248,424 parameters) and 1.1 (the authors' later one with a smaller first layer and earlier pooling, 2.4
times less arithmetic; 1,235,496). Stages are called as in the paper; its `conv10` is the head. The first convolution
is not padded and poolings round up, the layout of most published weights. He's uniform initialisation, and a small
normal one for the head.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from glassnet.models.registry import register
from glassnet.models.score_maps import ScoreMapClassifier

PAPER = (
    "Iandola et al. 2016, SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size, "
    "arXiv:1602.07360"
)


class Fire(nn.Module):
    """Squeeze by 1x1, expand by 1x1 beside 3x3: (N, in, H, W) -> (N, 2 expand, H, W), all rectified."""

    def __init__(self, in_channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeeze, 1)
        self.squeeze_act = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_act = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the 1x1 channels, then the 3x3 ones."""
        x = self.squeeze_act(self.squeeze(x))  # (N, squeeze, H, W)
        return torch.cat([self.expand1x1_act(self.expand1x1(x)), self.expand3x3_act(self.expand3x3(x))], 1)


# in, squeeze, expand of each fire module: the paper's table 1, the same in both versions
FIRES = {
    "fire2": (16, 64),
    "fire3": (16, 64),
    "fire4": (32, 128),
    "fire5": (32, 128),
    "fire6": (48, 192),
    "fire7": (48, 192),
    "fire8": (64, 256),
    "fire9": (64, 256),
}


def squeezenet(
    first: nn.Conv2d, pool_after: tuple[str, ...], classes: int, dropout: float, rectify: bool, border: int = 0
) -> ScoreMapClassifier:
    """Build a SqueezeNet that starts with `first` and halves its maps behind the stages in `pool_after`."""
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["conv1"] = nn.Sequential(OrderedDict(conv=first, act=nn.ReLU()))
    stages["pool1"] = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
    channels = first.out_channels
    for name, (squeeze, expand) in FIRES.items():
        stages[name] = Fire(channels, squeeze, expand)
        channels = 2 * expand
        if name in pool_after:
            stages[name.replace("fire", "pool")] = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
    stages["dropout"] = nn.Dropout(dropout)
    network = ScoreMapClassifier(stages, channels, classes, rectify=rectify, border=border)
    _initialise(network)
    return network


def _initialise(network: ScoreMapClassifier) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    nn.init.normal_(network.head.weight, std=0.01)
    nn.init.zeros_(network.head.bias)


@register("squeezenet1_0", title="SqueezeNet 1.0", paper=PAPER)
def squeezenet1_0(
    classes: int, in_channels: int, dropout: float = 0.5, rectify: bool = True, border: int = 0
) -> ScoreMapClassifier:
    """Build version 1.0: at 224x224, maps of 109, 54 (fire2 to fire4), 27 (fire5 to fire8) and 13 (fire9).

    `border=1` pads the scored maps to 15 as the authors' Caffe file does; later copies of it do not.
    """
    first = nn.Conv2d(in_channels, 96, 7, stride=2)
    return squeezenet(first, ("fire4", "fire8"), classes, dropout, rectify, border)


@register("squeezenet1_1", title="SqueezeNet 1.1", paper=PAPER)
def squeezenet1_1(classes: int, in_channels: int, dropout: float = 0.5, rectify: bool = True) -> ScoreMapClassifier:
    """Build version 1.1: at 224x224, maps of 111, 55 (fire2, fire3), 27 (fire4, fire5) and 13 (fire6 to fire9)."""
    first = nn.Conv2d(in_channels, 64, 3, stride=2)
    return squeezenet(first, ("fire3", "fire5"), classes, dropout, rectify)
