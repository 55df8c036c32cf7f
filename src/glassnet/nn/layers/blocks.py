"""Blocks that several families share: a convolution split in two, a small network slid over the picture.

Both rest on the 1x1 convolution, which mixes the channels of one position as a dense layer would and sees no other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.nn.layers.padding import padding_mode


class SeparableConv2d(nn.Sequential):
    """A depthwise convolution, then a 1x1: (N, in, H, W) -> (N, out, H / stride, W / stride), padded by kernel // 2.

    The first filters every channel by itself, the second mixes them: in * k^2 + in * out weights a position in place of
    in * k^2 * out. Over 4x4 positions, 3 channels through a 3x3 to 5 cost 432 + 240 = 672 multiplications, not 2160
    (Chollet 2016, arXiv:1610.02357; with a batch norm and an activation behind each of the two it is the block of
    MobileNet, Howard et al. 2017, arXiv:1704.04861). Nothing stands between the two here.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        padding: str = "zero",
        bias: bool = True,
    ) -> None:
        depthwise = nn.Conv2d(
            in_channels,
            in_channels,
            kernel_size,
            stride,
            kernel_size // 2,
            groups=in_channels,
            bias=False,  # the second one's bias makes it redundant
            padding_mode=padding_mode(padding),
        )
        super().__init__(OrderedDict(depthwise=depthwise, pointwise=nn.Conv2d(in_channels, out_channels, 1, bias=bias)))


class MlpConv(nn.Sequential):
    """A convolution and 1x1 convolutions, each with an activation: (N, in, H, W) -> (N, widths[-1], H', W').

    At every position a small dense network looks at a window, in place of one linear filter (Lin, Chen, Yan 2013,
    "Network in network", arXiv:1312.4400). The layers are `conv`, `act`, `mix1`, `act1`, `mix2`, `act2`...
    """

    def __init__(
        self,
        in_channels: int,
        widths: tuple[int, ...],
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        *,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["conv"] = nn.Conv2d(in_channels, widths[0], kernel_size, stride, padding)
        layers["act"] = activation()
        for number, (before, after) in enumerate(pairwise(widths), start=1):
            layers[f"mix{number}"] = nn.Conv2d(before, after, 1)
            layers[f"act{number}"] = activation()
        super().__init__(layers)


class PointwiseLinear(nn.Linear):
    """A dense layer that, given maps, is a 1x1 convolution: (N, D) -> (N, K), (N, D, H, W) -> (N, K, H, W).

    The two are the same weights (K, D) at one position or at all. A leaf of the trace.
    """

    kernel_size, stride, padding, dilation = 1, 1, 0, 1

    def forward(self, input: Tensor) -> Tensor:
        """Apply to features or maps."""
        if input.ndim == 2:
            return F.linear(input, self.weight, self.bias)
        return F.conv2d(input, self.weight[:, :, None, None], self.bias)
