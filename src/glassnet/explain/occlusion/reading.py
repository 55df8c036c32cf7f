"""Which of the four kinds a layer is: read from a module or a function of the graph, with everything it is set to.

What is not recognised here is `Whole`: slower, and just as right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.explain.occlusion.convolution import Convolution
from glassnet.explain.occlusion.operators import Pair
from glassnet.nn import layers
from glassnet.nn.arithmetic import padding_sides
from glassnet.nn.layers.blocks import PointwiseLinear
from glassnet.nn.layers.convolution import Conv2d
from glassnet.nn.layers.filters import FixedFilter
from glassnet.nn.layers.lenet import PartialConv2d, TrainablePool
from glassnet.nn.layers.normalisation import LocalResponseNorm
from glassnet.nn.layers.padded import PaddedAvgPool2d, PaddedConv2d, PaddedMaxPool2d
from glassnet.nn.regularise import ActivityPenalty

Sides = tuple[int, int, int, int]
"""Rows and columns added: top, bottom, left, right."""

CONVOLUTIONS = (nn.Conv2d, Conv2d, layers.Conv2dSame, PaddedConv2d, FixedFilter)
LOCAL_MODULES: tuple[type[nn.Module], ...] = (
    nn.BatchNorm2d,
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Softsign, nn.Sigmoid, nn.LogSigmoid, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.Tanh, nn.Tanhshrink),
    *(nn.Threshold, nn.Hardshrink, nn.Softshrink, nn.LocalResponseNorm, nn.ChannelShuffle, nn.Softmax2d),
    *(LocalResponseNorm, layers.activations.ScaledTanh),
)
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout, ActivityPenalty)
"""Modules that in evaluation hand on what they are given."""
LOCAL_FUNCTIONS = frozenset(
    (
        *("add", "sub", "mul", "truediv", "div", "neg", "isub", "itruediv", "maximum", "minimum", "abs", "square"),
        *("sqrt", "rsqrt", "exp", "log", "pow", "clamp", "clamp_min", "threshold", "relu", "relu6", "leaky_relu"),
        *("elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "sigmoid", "logsigmoid"),
        *("hardsigmoid", "hardswish", "hardtanh", "tanh", "tanhshrink", "dropout", "dropout2d", "alpha_dropout"),
        *("contiguous", "float", "to", "detach", "clone", "local_response_norm"),
    )
)
_ARGUMENTS = {
    "max_pool2d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
    "avg_pool2d": ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"),
    "adaptive_avg_pool2d": ("output_size",),
}
_POOLINGS: dict[str, type[nn.Module]] = {
    "max_pool2d": nn.MaxPool2d,
    "avg_pool2d": nn.AvgPool2d,
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
}


@dataclass(frozen=True, kw_only=True)
class Sliding:
    """A window that was recognised; `whole` computes it on whole maps (see `operators.Window` for the rest)."""

    inner: Callable[[Tensor], Tensor]
    whole: Callable[[Tensor], Tensor]
    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    before: Pair = (0, 0)
    fill: float = 0.0
    scale: Tensor | None = None
    whole_tiles: Callable[[Pair], Pair] | None = None


def as_pooling(function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> nn.Module | None:
    """Return the module that does what a pooling function's call does; None for another function."""
    if function not in _POOLINGS:
        return None
    given = {**dict(zip(_ARGUMENTS[function], args[1:], strict=False)), **kwargs}
    given.pop("input", None)
    return _POOLINGS[function](**given)


def sides_of(module: Any, size: Pair) -> Sides:
    """Return the padding of a convolution or pooling on maps of `size`."""
    if isinstance(module, PaddedConv2d | PaddedMaxPool2d | PaddedAvgPool2d):
        return module.sides
    padding: Any = "same" if isinstance(module, layers.Conv2dSame) else module.padding
    each = padding if isinstance(padding, tuple) else (padding, padding)
    kernel, stride, dilation = (pair(getattr(module, name, 1)) for name in ("kernel_size", "stride", "dilation"))
    vertical, horizontal = (
        padding_sides(size[axis], kernel[axis], stride[axis], each[axis], dilation[axis]) for axis in (0, 1)
    )
    return (*vertical, *horizontal)


def pair(value: Any) -> Pair:
    """Return (height, width) of a number or a pair."""
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def is_convolution(module: nn.Module | None) -> bool:
    """Tell whether `module` is a convolution whose padding, if any, is zeros."""
    if type(module) is PointwiseLinear:
        return True
    return type(module) in CONVOLUTIONS and _padding_mode(module) == "zeros"


def _padding_mode(module: Any) -> str:
    return str(module.mode if isinstance(module, PaddedConv2d) else module.padding_mode)


def convolution(module: Any, size: Pair, weight: Tensor, bias: Tensor | None, bend: str) -> Sliding:
    """Return the window of a convolution on maps of `size`, with other weights, and an activation behind it."""
    if isinstance(module, PointwiseLinear):
        return convolved(weight[:, :, None, None], bias, (1, 1), (1, 1), 1, (0, 0, 0, 0), bend)
    stride, dilation = pair(module.stride), pair(module.dilation)
    return convolved(weight, bias, stride, dilation, module.groups, sides_of(module, size), bend)


def convolved(
    weight: Tensor, bias: Tensor | None, stride: Pair, dilation: Pair, groups: int, sides: Sides, bend: str = ""
) -> Sliding:
    """Return the window of a convolution."""
    compute = Convolution(weight, bias, stride, dilation, groups, bend)
    return Sliding(
        inner=compute,
        whole=partial(compute.padded, sides=sides),
        kernel=(weight.shape[2], weight.shape[3]),
        stride=stride,
        dilation=dilation,
        before=(sides[0], sides[2]),
        whole_tiles=compute.beyond if compute.tiled is not None else None,
    )


def sliding(module: nn.Module, maps: Tensor) -> Sliding | None:
    """Return the window of a pooling or of another windowed module on `maps` (1, C, H, W); None for any other."""
    size = (maps.shape[2], maps.shape[3])
    if type(module) is nn.AdaptiveAvgPool2d:
        return _adaptive(module, size)
    if type(module) in (nn.MaxPool2d, PaddedMaxPool2d):
        return None if getattr(module, "return_indices", False) else _largest(module, size)
    if type(module) in (nn.AvgPool2d, PaddedAvgPool2d):
        return _average(module, maps)
    if type(module) in (TrainablePool, PartialConv2d):  # neither pads
        found: Any = module
        return Sliding(inner=module, whole=module, kernel=pair(found.kernel_size), stride=pair(found.stride))
    if type(module) in (nn.ZeroPad2d, nn.ConstantPad2d):
        found = module
        left, right, top, bottom = found.padding
        return padded((top, bottom, left, right), float(found.value))
    return None


def padded(sides: Sides, fill: float) -> Sliding:
    """Return the window, of one position, that pads (or with negative sides crops) a map."""
    top, bottom, left, right = sides
    return Sliding(
        inner=_itself,
        whole=lambda x: F.pad(x, (left, right, top, bottom), value=fill),
        kernel=(1, 1),
        before=(top, left),
        fill=fill,
    )


def every(index: tuple[slice, ...], size: Pair, whole: Callable[[Tensor], Tensor]) -> Sliding | None:
    """Return the window that takes the positions of two slices; None where they go backwards."""
    (top, _, down), (left, _, across) = (part.indices(length) for part, length in zip(index, size, strict=True))
    if min(down, across) < 1:
        return None
    return Sliding(
        inner=lambda x: x[:, :, ::down, ::across],
        whole=whole,
        kernel=(1, 1),
        stride=(down, across),
        before=(-top, -left),
    )


def _itself(x: Tensor) -> Tensor:
    return x


def _largest(module: Any, size: Pair) -> Sliding:
    kernel, stride, dilation = pair(module.kernel_size), pair(module.stride), pair(module.dilation)
    sides = sides_of(module, size)
    return Sliding(
        inner=lambda x: F.max_pool2d(x, kernel, stride, 0, dilation),
        whole=module,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        before=(sides[0], sides[2]),
        fill=-torch.inf,
    )


def _average(module: Any, maps: Tensor) -> Sliding:
    """The sum of each window times the reciprocal of what the module divides it by there, asked of the module."""
    kernel, stride = pair(module.kernel_size), pair(module.stride)
    sides = sides_of(module, (maps.shape[2], maps.shape[3]))
    ones = torch.ones_like(maps[:1, :1])
    means: Tensor = module(ones)  # (1, 1, H', W'): what lies inside / what is divided by
    bottom, right = (
        max((means.shape[2 + axis] - 1) * stride[axis] + kernel[axis] - maps.shape[2 + axis] - sides[2 * axis], 0)
        for axis in (0, 1)
    )
    inside = F.pad(ones, (sides[2], right, sides[0], bottom))
    covered = F.avg_pool2d(inside, kernel, stride, divisor_override=1)[:, :, : means.shape[2], : means.shape[3]]
    scale = (means / covered)[0, 0]
    plain = bool((scale - 1 / (kernel[0] * kernel[1])).abs().max() < 1e-7)
    return Sliding(
        inner=lambda x: F.avg_pool2d(x, kernel, stride, divisor_override=None if plain else 1),
        whole=module,
        kernel=kernel,
        stride=stride,
        before=(sides[0], sides[2]),
        scale=None if plain else scale,
    )


def _adaptive(module: Any, size: Pair) -> Sliding | None:
    """Adaptive pooling is an ordinary one where the sizes divide."""
    wanted = module.output_size
    wanted = wanted if isinstance(wanted, tuple) else (wanted, wanted)
    out = [size[axis] if wanted[axis] is None else wanted[axis] for axis in (0, 1)]
    if any(size[axis] % out[axis] for axis in (0, 1)):
        return None
    kernel = (size[0] // out[0], size[1] // out[1])
    if kernel == (1, 1):
        return Sliding(inner=_itself, whole=_itself, kernel=(1, 1))
    return Sliding(inner=lambda x: F.avg_pool2d(x, kernel, kernel), whole=module, kernel=kernel, stride=kernel)
