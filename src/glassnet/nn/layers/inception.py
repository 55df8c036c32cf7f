"""Inception: look at the same maps through filters of several sizes at once, and join what they say along the channels.

Which size of filter suits a layer is hard to know beforehand, so the module has all of them. What makes it affordable
is the 1x1 convolution before each large filter: 28x28x192 through 5x5 to 32 channels is 120.4 million multiply-adds,
12.4 million by way of 16 channels.

Papers: Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842 (`NaiveInception`, `Inception`); Ioffe,
Szegedy 2015, "Batch normalization", arXiv:1502.03167 (`DoubleInception`, `ReducingInception`). Here: what a convolution
is followed by (a rectifier, or a norm and a rectifier) is the network's choice and comes in as `layer`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from glassnet.errors import UnknownName

Layer = Callable[..., nn.Module]
"""layer(in_channels, out_channels, kernel_size, stride=1): a convolution that pads by half, and what follows it."""


class ConvAct(nn.Sequential):
    """Convolution with bias -> ReLU: (N, in, H, W) -> (N, out, H / stride, W / stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2)
        self.act = nn.ReLU()


class Branches(nn.Module):
    """Gives (N, C, H, W) to each of its branches and joins their outputs along the channels, in order."""

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        """Join the branches' outputs for `x`."""
        return torch.cat([branch(x) for branch in self.children()], dim=1)


class NaiveInception(Branches):
    """Filters of 1x1, 3x3 and 5x5 and a max-pooling, side by side: (N, in, H, W) -> (N, w1 + w3 + w5 + in, H, W).

    The output has more channels than the input, since pooling keeps them all, so a deep stack would explode.
    """

    def __init__(self, in_channels: int, w1: int, w3: int, w5: int, *, layer: Layer = ConvAct) -> None:
        super().__init__(
            branch1x1=layer(in_channels, w1, 1),
            branch3x3=layer(in_channels, w3, 3),
            large=layer(in_channels, w5, 5),
            pool=nn.MaxPool2d(3, stride=1, padding=1),
        )


class Inception(Branches):
    """The module with 1x1 reductions: (N, in, H, W) -> (N, w1 + w3 + w5 + projection, H, W).

    `w3` and `w5` are pairs (channels after the 1x1 reduction, channels after the filter); `large` is the side of the
    large filter, 5 in the paper.
    """

    def __init__(
        self,
        in_channels: int,
        w1: int,
        w3: tuple[int, int],
        w5: tuple[int, int],
        projection: int,
        *,
        layer: Layer = ConvAct,
        large: int = 5,
    ) -> None:
        super().__init__(
            branch1x1=layer(in_channels, w1, 1),
            branch3x3=_steps(reduce=layer(in_channels, w3[0], 1), conv=layer(w3[0], w3[1], 3)),
            large=_steps(reduce=layer(in_channels, w5[0], 1), conv=layer(w5[0], w5[1], large)),
            pool=_steps(pool=nn.MaxPool2d(3, stride=1, padding=1), project=layer(in_channels, projection, 1)),
        )
        self.out_channels = w1 + w3[1] + w5[1] + projection


class DoubleInception(Branches):
    """The module of 2015: two 3x3 filters for the 5x5: (N, in, H, W) -> (N, w1 + w3 + double + projection, H, W).

    Two see as far as one 5x5 for 18 weights instead of 25, and rectify once more on the way. `pooling` is "average" or
    "max".
    """

    def __init__(
        self,
        in_channels: int,
        w1: int,
        w3: tuple[int, int],
        double: tuple[int, int],
        pooling: str,
        projection: int,
        *,
        layer: Layer,
    ) -> None:
        super().__init__(
            branch1x1=layer(in_channels, w1, 1),
            branch3x3=_steps(reduce=layer(in_channels, w3[0], 1), conv=layer(w3[0], w3[1], 3)),
            double3x3=_double(in_channels, double, layer),
            pool=_steps(pool=_pooling(pooling), project=layer(in_channels, projection, 1)),
        )
        self.out_channels = w1 + w3[1] + double[1] + projection


class ReducingInception(Branches):
    """Halves the maps and passes its input through: (N, in, H, W) -> (N, w3 + double + in, ceil(H / 2), ceil(W / 2)).

    No 1x1 branch, and the max-pooling has no projection.
    """

    def __init__(self, in_channels: int, w3: tuple[int, int], double: tuple[int, int], *, layer: Layer) -> None:
        super().__init__(
            branch3x3=_steps(reduce=layer(in_channels, w3[0], 1), conv=layer(w3[0], w3[1], 3, 2)),
            double3x3=_double(in_channels, double, layer, stride=2),
            pool=nn.MaxPool2d(3, stride=2, padding=1),  # the windows of the convolutions beside it, at any size
        )
        self.out_channels = w3[1] + double[1] + in_channels


def _double(in_channels: int, widths: tuple[int, int], layer: Layer, stride: int = 1) -> nn.Sequential:
    """1x1 reduction, 3x3, 3x3; the last one strides."""
    reduced, width = widths
    return _steps(
        reduce=layer(in_channels, reduced, 1), conv1=layer(reduced, width, 3), conv2=layer(width, width, 3, stride)
    )


def _pooling(kind: str) -> nn.Module:
    """3x3 at stride 1, same size."""
    if kind == "average":
        return nn.AvgPool2d(3, stride=1, padding=1)
    if kind == "max":
        return nn.MaxPool2d(3, stride=1, padding=1)
    raise UnknownName("pooling", kind, ["average", "max"], hint="expected 'average' or 'max'")


def _steps(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))
