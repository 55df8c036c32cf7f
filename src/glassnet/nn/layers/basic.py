"""Layers that torch does not have, or that several families of networks share."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.nn.arithmetic import same_padding
from glassnet.nn.layers.convolution import Conv2d, computes_bfloat16, depthwise, is_depthwise
from glassnet.nn.layers.padding import padding_mode as torch_mode


def conv2d_same(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    mode: str = "zeros",
) -> Tensor:
    """Convolve (N, C, H, W) with TensorFlow's SAME padding: the output is ceil(H / stride) x ceil(W / stride).

    Where the padding is odd, the extra row goes to the bottom and the extra column to the right. `mode` is torch's word
    for what stands there (see `padding_mode`).
    """
    height, width = x.shape[-2:]
    top, bottom = same_padding(height, weight.shape[2], stride[0], dilation[0])
    left, right = same_padding(width, weight.shape[3], stride[1], dilation[1])
    even = (top, left) == (bottom, right)
    if (
        mode == "zeros"
        and dilation == (1, 1)
        and is_depthwise(x, weight)
        and (not even or computes_bfloat16(x, weight))
    ):
        return depthwise(x, weight, bias, stride, (left, right, top, bottom))
    if mode == "zeros" and even:  # no copy of the input: the convolution pads by itself
        return F.conv2d(x, weight, bias, stride, (top, left), dilation, groups)
    padded = F.pad(x, (left, right, top, bottom), "constant" if mode == "zeros" else mode)
    return F.conv2d(padded, weight, bias, stride, 0, dilation, groups)


torch.fx.wrap("conv2d_same")  # the padding depends on the size: a tracer must call this, not look inside


class Conv2dSame(nn.Conv2d):
    """`nn.Conv2d` whose padding is TensorFlow's SAME, which at stride 2 differs from `padding=kernel // 2`.

    (N, C, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)). `padding_mode` is what stands beyond the edge
    (see `nn.layers.padding`). A leaf of the trace.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zero",
    ) -> None:
        mode = torch_mode(padding_mode)
        super().__init__(in_channels, out_channels, kernel_size, stride, 0, dilation, groups, bias, mode)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve `input` (N, C, H, W)."""
        stride, dilation = (self.stride[0], self.stride[1]), (self.dilation[0], self.dilation[1])
        return conv2d_same(input, self.weight, self.bias, stride, dilation, self.groups, self.padding_mode)


class ConvNormAct(nn.Sequential):
    """Convolution without bias -> batch norm -> activation: (N, C, H, W) -> (N, out_channels, H / stride, W / stride).

    `padding` is "half" (`kernel // 2` on every side, PyTorch's habit) or "same" (TensorFlow's), and `padding_mode` what
    stands there: "zero", "replicate" (the nearest value) or "reflect". Without `activation` the output stays linear.
    The batch norm's own shift makes a bias redundant.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        groups: int = 1,
        padding: str = "half",
        padding_mode: str = "zero",
        activation: Callable[[], nn.Module] | None = nn.ReLU,
        norm: Callable[[int], nn.BatchNorm2d] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.conv: nn.Conv2d
        if padding == "same":
            self.conv = Conv2dSame(
                in_channels, out_channels, kernel_size, stride, groups=groups, bias=False, padding_mode=padding_mode
            )
        else:
            half, mode = kernel_size // 2, torch_mode(padding_mode)
            self.conv = Conv2d(
                in_channels, out_channels, kernel_size, stride, half, groups=groups, bias=False, padding_mode=mode
            )
        self.norm = norm(out_channels)
        if activation is not None:
            self.act = activation()


class GlobalAveragePool(nn.Module):
    """The mean over all positions: (N, C, H, W) -> (N, C) (Lin et al. 2013, Network in Network, arXiv:1312.4400)."""

    def forward(self, x: Tensor) -> Tensor:
        """Average `x` over H and W."""
        return x.mean((2, 3))


class GlobalMaxPool(nn.Module):
    """The largest value over all positions: (N, C, H, W) -> (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Take the maximum of `x` over H and W."""
        return x.amax((2, 3))
