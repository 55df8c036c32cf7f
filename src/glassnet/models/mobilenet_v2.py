"""MobileNet v2: widen, filter each channel by itself, narrow again; the sum joins the narrow ends, which stay linear.

A depthwise convolution costs a fraction of a full one, so it can afford many channels; what travels between the blocks
is thin, and a ReLU there would destroy what it carries.

Paper: Sandler, Howard, Zhu, Zhmoginov, Chen 2018, "MobileNetV2: inverted residuals and linear bottlenecks",
arXiv:1801.04381. Here: as in the paper; `width` scales every stage, rounded to multiples of 8, and only a width above
one widens the last convolution.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor, nn

from glassnet.errors import InputError
from glassnet.models.registry import Classifier, register
from glassnet.nn.layers import ConvNormAct, GlobalAveragePool

Norm = Callable[[int], nn.BatchNorm2d]

# expansion, channels, blocks, stride of the first: the paper's table 2
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """x + narrow(filter(widen(x))): (N, in, H, W) -> (N, out, H / stride, W / stride).

    The sum exists where input and output have one shape. `kernel`, `padding` and `norm` are for the networks that reuse
    the block (see `ConvNormAct`).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        expansion: int,
        *,
        kernel: int = 3,
        padding: str = "half",
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        wide = in_channels * expansion
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion > 1:
            layers["expand"] = ConvNormAct(in_channels, wide, 1, activation=nn.ReLU6, norm=norm)
        layers["depthwise"] = ConvNormAct(
            wide, wide, kernel, stride, groups=wide, padding=padding, activation=nn.ReLU6, norm=norm
        )
        layers["project"] = ConvNormAct(wide, out_channels, 1, activation=None, norm=norm)
        self.residual = nn.Sequential(layers)
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to `x`."""
        out: Tensor = self.residual(x)
        return x + out if self.adds else out


def rounded(channels: float, divisor: int = 8) -> int:
    """Return the multiple of `divisor` nearest to `channels`, but never 10 % below it (hardware likes multiples)."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


def initialise(network: nn.Module) -> None:
    """He's normal initialisation for convolutions (fan out), small weights and no bias for the head."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)


@register(
    "mobilenet_v2",
    title="MobileNet v2",
    paper="Sandler et al. 2018, MobileNetV2: inverted residuals and linear bottlenecks, arXiv:1801.04381",
)
def mobilenet_v2(classes: int, in_channels: int, width: float = 1.0, dropout: float = 0.2) -> Classifier:
    """Build MobileNet v2; shapes below are for 224x224 and width 1."""
    if not 0.05 <= width <= 10:
        raise InputError(f"width is {width}; expected 0.05 to 10 times the paper's channels")
    channels, last = rounded(32 * width), rounded(1280 * max(1.0, width))
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["stem"] = ConvNormAct(in_channels, channels, 3, stride=2, activation=nn.ReLU6)  # (N, 32, 112, 112)
    for number, (expansion, base, depth, stride) in enumerate(STAGES, start=1):
        out, blocks = rounded(base * width), nn.Sequential()
        for index in range(depth):
            blocks.append(InvertedResidual(channels, out, stride if index == 0 else 1, expansion))
            channels = out
        stages[f"stage{number}"] = blocks  # the last one: (N, 320, 7, 7)
    stages["features"] = ConvNormAct(channels, last, 1, activation=nn.ReLU6)  # (N, 1280, 7, 7)
    stages["pool"] = GlobalAveragePool()  # (N, 1280)
    stages["dropout"] = nn.Dropout(dropout)
    network = Classifier(nn.Sequential(stages), nn.Linear(last, classes))
    initialise(network)
    return network
