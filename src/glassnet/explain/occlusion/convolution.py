"""A convolution as the engine runs it: batch norm folded, rectifier in the same pass, weights laid out beforehand.

oneDNN lays weights out for the processor before each convolution unless that was done once; its convolution can also
rectify what it is about to write. Both are torch operators, made for compiled networks. Where a build of torch lacks
them, the plain convolution does.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from glassnet.explain.occlusion.operators import Pair

BENDS: dict[str, tuple[str, list[float]]] = {"": ("none", []), "relu": ("relu", []), "relu6": ("hardtanh", [0.0, 6.0])}
"""Our word for an activation -> oneDNN's, with its numbers."""


class Convolution:
    """Weight (O, C / groups, kh, kw), bias (O,), then an activation "relu", "relu6" or ""."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None, stride: Pair, dilation: Pair, groups: int, bend: str = ""
    ) -> None:
        self.weight = weight.detach().contiguous(memory_format=torch.channels_last)
        self.bias = None if bias is None else bias.detach()
        self.stride, self.dilation, self.groups, self.bend = stride, dilation, groups, bend
        self.packed = self._pack()

    def _pack(self) -> Tensor | None:
        """Return the weight in oneDNN's layout; None where this torch or device has none."""
        weight = self.weight
        if weight.device.type != "cpu" or weight.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
            return None
        try:
            packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
                weight.to_mkldnn(), (0, 0), self.stride, self.dilation, self.groups, None
            )
        except (AttributeError, RuntimeError):
            return None
        return packed

    def __call__(self, x: Tensor, padding: Pair = (0, 0)) -> Tensor:
        """(N, C, H, W) -> (N, O, H', W'), with `padding` zeros on both sides."""
        if self.packed is not None:
            attribute, numbers = BENDS[self.bend]
            out: Tensor = torch.ops.mkldnn._convolution_pointwise(
                x, self.packed, self.bias, padding, self.stride, self.dilation, self.groups, attribute, numbers, ""
            )
            return out
        return bent(F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups), self.bend)

    def padded(self, x: Tensor, sides: tuple[int, int, int, int]) -> Tensor:
        """Convolve with zeros at the top, bottom, left and right."""
        top, bottom, left, right = sides
        if top == bottom and left == right:
            return self(x, (top, left))
        return self(F.pad(x, (left, right, top, bottom)).contiguous(memory_format=torch.channels_last))


def bent(x: Tensor, bend: str) -> Tensor:
    """Apply an activation in place."""
    if bend == "relu":
        return x.relu_()
    return x.clamp_(0.0, 6.0) if bend == "relu6" else x


def folded(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the convolution with the batch norm behind it (see `glassnet.nn.fuse`)."""
    found: Any = fuse_conv_bn_weights(
        weight, bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return found[0].detach(), found[1].detach()
