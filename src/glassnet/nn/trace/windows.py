"""What a layer's sliding window is: read from a module's attributes or a function's arguments, the same for both.

A layer of ours that the trace should follow carries `kernel_size`, `stride`, `padding` and `dilation`, each a number or
a pair (height, width), as torch's own do; no other registration is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from glassnet.nn.arithmetic import Padding, ReceptiveField, output_size, padding_sides
from glassnet.nn.layers import Conv2dSame

# Their attributes look like a window's, but one input makes many outputs, or positions become channels.
_NOT_SLIDING = (
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.MaxUnpool2d,
    nn.Unfold,
    nn.Fold,
    nn.FractionalMaxPool2d,
)
_ARGUMENTS = {
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding", "ceil_mode"),
}
WINDOWED_FUNCTIONS = tuple(_ARGUMENTS)


@dataclass(frozen=True)
class Window:
    """A sliding window: for each of (height, width) its kernel, stride, padding and dilation."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[Padding, Padding] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False

    def output_size(self, size: int, axis: int) -> int:
        """Return the outputs along `axis` of an input of `size`; raise `InputError` where the window does not fit."""
        kernel, stride, padding, dilation = self._along(axis)
        return output_size(size, kernel, stride, padding, dilation, ceil_mode=self.ceil_mode)

    def field(self, field: ReceptiveField, size: int, axis: int) -> ReceptiveField:
        """Return the receptive field behind the window, where `field` is that of its input of `size`."""
        kernel, stride, padding, dilation = self._along(axis)
        before, _ = padding_sides(size, kernel, stride, padding, dilation)
        return field.through(kernel, stride, before, dilation)

    def _along(self, axis: int) -> tuple[int, int, Padding, int]:
        return self.kernel[axis], self.stride[axis], self.padding[axis], self.dilation[axis]

    def __str__(self) -> str:
        """Say it in words: "3x3, stride 2, padding 1"."""
        words = ["x".join(map(str, self.kernel))]
        words += [f"stride {_each(self.stride)}"] * (self.stride != (1, 1))
        if self.padding != (0, 0):
            words.append(f"padding {_each([_padding(side) for side in self.padding])}")
        words += [f"dilation {_each(self.dilation)}"] * (self.dilation != (1, 1))
        return ", ".join(words + ["rounded up"] * self.ceil_mode)


def _each(sides: Sequence[Any]) -> str:
    """Return (2, 2) as "2" and (1, 2) as "1x2"."""
    return str(sides[0]) if sides[0] == sides[1] else "x".join(map(str, sides))


def _padding(padding: Padding) -> str:
    return "+".join(map(str, padding)) if isinstance(padding, tuple) else str(padding)


def window_of(layer: Any) -> Window | None:
    """Return the window that the module `layer` slides over the picture, or None for any other layer."""
    if isinstance(layer, _NOT_SLIDING) or not isinstance(layer, nn.Module) or not hasattr(layer, "kernel_size"):
        return None
    words = {name: getattr(layer, name) for name in ("stride", "padding", "dilation") if hasattr(layer, name)}
    if isinstance(layer, Conv2dSame):
        words["padding"] = "same"
    return _window(layer.kernel_size, words, bool(getattr(layer, "ceil_mode", False)))


def window_of_call(function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Window | None:
    """Return the window of a call such as `F.max_pool2d(x, 2)`, or None for a function without one."""
    if function not in _ARGUMENTS:
        return None
    given = {**dict(zip(_ARGUMENTS[function], args, strict=False)), **kwargs}
    kernel = tuple(given["weight"].shape[2:]) if function == "conv2d" else given["kernel_size"]
    return _window(kernel, given, bool(given.get("ceil_mode", False)), strides=function != "conv2d")


def _window(kernel: Any, given: Mapping[str, Any], ceil_mode: bool, *, strides: bool = False) -> Window | None:
    """`strides`: a stride that is not given is the kernel's size, as poolings have it."""
    kernel = _pair(kernel)
    if kernel is None:
        return None
    stride = _pair(given.get("stride")) or (kernel if strides else (1, 1))
    padding = given.get("padding", 0)
    return Window(
        kernel,
        stride,
        (padding, padding) if isinstance(padding, str) else (_pair(padding) or (0, 0)),
        _pair(given.get("dilation")) or (1, 1),
        ceil_mode,
    )


def _pair(value: Any) -> tuple[int, int] | None:
    """Return a number twice and a pair as it is; None for what is neither (a window over one or three axes)."""
    if isinstance(value, int):
        return value, value
    if isinstance(value, tuple | list) and len(value) in (1, 2):
        return (int(value[0]), int(value[-1]))
    return None
