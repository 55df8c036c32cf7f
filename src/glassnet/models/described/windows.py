"""Sliding windows of a description: a convolution or pooling with its padding, and the shape it leaves."""

from __future__ import annotations

from typing import Any

from torch import nn

from glassnet.errors import InputError
from glassnet.models.described.norms import Shape
from glassnet.nn.arithmetic import output_size, padding_sides
from glassnet.nn.layers import Conv2dSame
from glassnet.nn.layers.padded import PaddedAvgPool2d, PaddedConv2d, PaddedMaxPool2d, Pair, Sides


def as_pair(value: Any) -> Pair:
    """Return (height, width) of a number or a list of two."""
    return (value[0], value[1]) if isinstance(value, list) else (value, value)


def convolution(options: Any, shape: Shape, *, bias: bool) -> tuple[nn.Conv2d, Shape]:
    """Return the convolution that `options` describe on maps of `shape` (C, H, W), and the shape behind it."""
    channels, out = maps(shape)[0], options["conv"]
    kernel, stride = as_pair(options.get("kernel", 3)), as_pair(options.get("stride", 1))
    dilation, padding, mode = (
        as_pair(options.get("dilation", 1)),
        options.get("padding", "same"),
        options.get("padding_mode", "zeros"),
    )
    groups = channels if options.get("groups") == "depthwise" else options.get("groups", 1)
    if channels % groups or out % groups:
        raise InputError(f"{groups} groups do not divide both {channels} channels and {out} filters")
    sides = sides_of(padding, kernel, stride, dilation, shape)
    _check_mode(mode, sides, shape)
    after = (out, *_sizes(kernel, stride, sides, dilation, shape))
    rest: dict[str, Any] = {"dilation": dilation, "groups": groups, "bias": bias}
    if padding == "same" and mode == "zeros" and stride != (1, 1) and kernel != (1, 1):  # sides depend on the size
        return Conv2dSame(channels, out, kernel, stride, **rest), after  # type: ignore[arg-type]  # pairs work too
    if sides[0] == sides[1] and sides[2] == sides[3]:
        return nn.Conv2d(channels, out, kernel, stride, (sides[0], sides[2]), padding_mode=mode, **rest), after
    return PaddedConv2d(channels, out, kernel, stride, sides, mode=mode, **rest), after


def pooling(options: Any, shape: Shape) -> tuple[nn.Module, Shape]:
    """Return the max or average pooling that `options` describe on maps of `shape`, and the shape behind it."""
    channels = maps(shape)[0]
    kernel = as_pair(options.get("kernel", 2))
    stride, dilation = as_pair(options.get("stride", list(kernel))), as_pair(options.get("dilation", 1))
    largest, ceil_mode = options["pool"] == "max", options.get("ceil_mode", False)
    counted = options.get("count_include_pad", False)
    if (largest and "count_include_pad" in options) or (not largest and dilation != (1, 1)):
        raise InputError("count_include_pad is for average pooling, dilation for max pooling")
    sides = sides_of(options.get("padding", "valid"), kernel, stride, dilation, shape)
    for axis in (0, 1):
        if max(sides[2 * axis : 2 * axis + 2]) > dilation[axis] * (kernel[axis] - 1):
            raise InputError(f"a padding of {list(sides)} lets a window of {kernel[0]}x{kernel[1]} see only padding")
    after = (channels, *_sizes(kernel, stride, sides, dilation, shape, ceil_mode=ceil_mode))
    symmetric = sides[0] == sides[1] and sides[2] == sides[3]
    if symmetric and 2 * sides[0] <= kernel[0] and 2 * sides[2] <= kernel[1]:  # what torch's own can do
        both = (sides[0], sides[2])
        if largest:
            return nn.MaxPool2d(kernel, stride, both, dilation, ceil_mode=ceil_mode), after
        return nn.AvgPool2d(kernel, stride, both, ceil_mode, counted), after
    if ceil_mode:
        raise InputError(f"ceil_mode goes with equal padding of at most half a window, and this is {list(sides)}")
    if largest:
        return PaddedMaxPool2d(kernel, stride, sides, dilation=dilation), after
    return PaddedAvgPool2d(kernel, stride, sides, count_include_pad=counted), after


def sides_of(padding: Any, kernel: Pair, stride: Pair, dilation: Pair, shape: Shape) -> Sides:
    """Return the rows and columns (top, bottom, left, right) that `padding` means for maps of `shape`."""
    if isinstance(padding, list) and len(padding) == 4:
        return (padding[0], padding[1], padding[2], padding[3])
    if padding == "half":
        padding = [dilation[axis] * (kernel[axis] - 1) // 2 for axis in (0, 1)]
    each = padding if isinstance(padding, list) else [padding, padding]
    vertical, horizontal = (
        padding_sides(shape[axis + 1], kernel[axis], stride[axis], each[axis], dilation[axis]) for axis in (0, 1)
    )
    return (*vertical, *horizontal)


def maps(shape: Shape) -> Shape:
    """Return `shape` where it is that of maps (C, H, W); raise `InputError` where it is a vector's."""
    if len(shape) != 3:
        raise InputError("it needs maps with height and width; move it before what flattens or pools globally")
    return shape


def _sizes(kernel: Pair, stride: Pair, sides: Sides, dilation: Pair, shape: Shape, **how: bool) -> tuple[int, int]:
    height, width = (
        output_size(
            shape[axis + 1], kernel[axis], stride[axis], (sides[2 * axis], sides[2 * axis + 1]), dilation[axis], **how
        )
        for axis in (0, 1)
    )
    return height, width


def _check_mode(mode: str, sides: Sides, shape: Shape) -> None:
    """A mirror shows at most what there is beside the edge, a copy of the other side at most the whole picture."""
    for axis in (0, 1):
        most = {"reflect": shape[axis + 1] - 1, "circular": shape[axis + 1]}.get(mode)
        widest = max(sides[2 * axis : 2 * axis + 2])
        if most is not None and widest > most:
            raise InputError(f"{mode} padding of {widest} does not fit an input of {shape[axis + 1]}; at most {most}")
