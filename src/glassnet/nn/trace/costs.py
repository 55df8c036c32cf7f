"""How many multiply-adds a layer costs: weights of convolutions and dense layers, times the positions they serve."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.utils.flop_counter import FlopCounterMode

from glassnet.nn.layers.blocks import PointwiseLinear

_PRODUCTS = {"matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "conv1d", "conv3d", "conv_transpose2d"}


def multiply_adds(
    module: nn.Module | None, function: str, args: Sequence[Any], output: tuple[int, ...], run: Callable[[], object]
) -> int:
    """Return the weight multiplications of one layer for one picture, whose output has shape `output`.

    `run` computes the layer again: what a layer with weights of its own does inside is counted as torch counts it.
    """
    if isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd):
        return module.weight.numel() * math.prod(output[1:])  # (out, in / groups, kernel) at each position
    if isinstance(module, nn.Linear):
        over = (
            output[1:] if isinstance(module, PointwiseLinear) else output[:-1]
        )  # at each position, or on the last axis
        return module.weight.numel() * math.prod(over)
    if function == "conv2d":
        return int(args[1].numel()) * math.prod(output[1:])
    if function == "linear":
        return int(args[1].numel()) * math.prod(output[:-1])
    if function in _PRODUCTS or (module is not None and any(weight.ndim > 1 for weight in module.parameters())):
        with FlopCounterMode(display=False) as counter:
            run()
        return int(counter.get_total_flops()) // 2
    return 0
