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

from glassnet.explain.occlusion import winograd
from glassnet.explain.occlusion.operators import Pair, bent

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
        plain = self.weight.shape[2:] == (3, 3) and (stride, dilation, groups) == ((1, 1), (1, 1), 1)
        fits = plain and min(self.weight.shape[:2]) >= winograd.FEWEST and weight.dtype == torch.float32
        self.tiled = winograd.Winograd(self.weight, self.bias, bend) if fits else None

    def _pack(self) -> Tensor | None:
        """Return the weight in oneDNN's layout; None where this torch or device has none."""
        weight = self.weight
        if weight.device.type != "cpu" or weight.dtype != torch.float32 or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            return None
        try:
            packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
                weight, (0, 0), self.stride, self.dilation, self.groups, None
            )
        except (AttributeError, NotImplementedError, RuntimeError):
            return None
        return packed

    def __call__(self, x: Tensor, padding: Pair = (0, 0)) -> Tensor:
        """(N, C, H, W) -> (N, O, H', W'), with `padding` zeros on both sides."""
        size = (x.shape[2] + 2 * padding[0] - 2, x.shape[3] + 2 * padding[1] - 2)
        if self.tiled is not None and self.by_tiles(size):
            return self.tiled(F.pad(x, (padding[1], padding[1], padding[0], padding[0])) if any(padding) else x)
        x = x.contiguous(memory_format=torch.channels_last)
        if self.packed is not None:
            attribute, numbers = BENDS[self.bend]
            out: Tensor = torch.ops.mkldnn._convolution_pointwise(
                x, self.packed, self.bias, padding, self.stride, self.dilation, self.groups, attribute, numbers, ""
            )
            return out
        return bent(F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups), self.bend)

    def by_tiles(self, size: Pair) -> bool:
        """Tell whether `size` outputs are computed in Winograd's tiles."""
        return self.tiled is not None and winograd.pays(min(self.weight.shape[:2]), size)

    def beyond(self, size: Pair) -> Pair:
        """Return how many rows and columns more than `size` fill whole tiles."""
        return (-size[0] % winograd.TILE, -size[1] % winograd.TILE) if self.by_tiles(size) else (0, 0)

    def padded(self, x: Tensor, sides: tuple[int, int, int, int]) -> Tensor:
        """Convolve with zeros at the top, bottom, left and right."""
        top, bottom, left, right = sides
        if top == bottom and left == right:
            return self(x, (top, left))
        return self(F.pad(x, (left, right, top, bottom)).contiguous(memory_format=torch.channels_last))


def folded(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the convolution with the batch norm behind it (see `glassnet.nn.fuse`)."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    found: Any = fuse_conv_bn_weights(
        weight, bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return found[0].detach(), found[1].detach()
