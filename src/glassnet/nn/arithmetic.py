"""The arithmetic of convolutional networks on paper: sizes, parameters, multiply-adds, receptive fields. No tensors.

A multiply-add is one weight multiplication of a convolution or dense layer; bias, normalisation, pooling and activation
are not counted. All sizes are of one axis unless they are pairs; all counts are for one picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from glassnet.errors import InputError

Padding = int | tuple[int, int] | str
"""Zeros on both sides, (before, after), "same" (TensorFlow's: ceil(size / stride)), or "valid" (none)."""


def output_size(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: Padding = 0,
    dilation: int = 1,
    *,
    ceil_mode: bool = False,
) -> int:
    """Return the output size of a convolution or pooling along one axis.

    `ceil_mode` rounds up, as some poolings do, but never lets a window start beyond the input and its left padding.
    Raises `InputError` where the dilated kernel does not fit.

    >>> output_size(28, kernel=5), output_size(224, kernel=7, stride=2, padding=3), output_size(5, 2, 2, ceil_mode=True)
    (24, 112, 3)
    """
    before, after = padding_sides(size, kernel, stride, padding, dilation)
    span = size + before + after - dilation * (kernel - 1) - 1
    if span < 0:
        raise InputError(
            f"a kernel of {dilation * (kernel - 1) + 1} does not fit an input of {size} padded by {before} + {after}; "
            "use a larger picture or a smaller kernel"
        )
    if not ceil_mode:
        return span // stride + 1
    windows = -(-span // stride) + 1
    return windows - 1 if (windows - 1) * stride >= size + before else windows


def padding_sides(size: int, kernel: int, stride: int = 1, padding: Padding = 0, dilation: int = 1) -> tuple[int, int]:
    """Return the zeros (before, after) that `padding` means; raise `InputError` for an unknown word."""
    if isinstance(padding, int):
        return padding, padding
    if isinstance(padding, tuple):
        return padding
    if padding == "valid":
        return 0, 0
    if padding == "same":
        return same_padding(size, kernel, stride, dilation)
    raise InputError(f"padding is {padding!r}; expected a number, a pair (before, after), 'same' or 'valid'")


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Return TensorFlow's SAME zeros (before, after), the odd one after, so that the output is ceil(size / stride).

    >>> same_padding(224, kernel=3, stride=2), same_padding(28, kernel=5)
    ((0, 1), (2, 2))
    """
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2


def conv_parameters(
    in_channels: int, out_channels: int, kernel: int | tuple[int, int], *, groups: int = 1, bias: bool = True
) -> int:
    """Return weights + biases of a 2-d convolution.

    >>> conv_parameters(1, 32, 5)
    832
    """
    return math.prod(_pair(kernel)) * (in_channels // groups) * out_channels + out_channels * bias


def linear_parameters(in_features: int, out_features: int, *, bias: bool = True) -> int:
    """Return weights + biases of a dense layer."""
    return in_features * out_features + out_features * bias


def conv_multiply_adds(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int],
    output: int | tuple[int, int],
    *,
    groups: int = 1,
) -> int:
    """Return the multiply-adds of a 2-d convolution with an `output` of that height and width.

    >>> conv_multiply_adds(3, 5, kernel=3, output=4)
    2160
    """
    weights = conv_parameters(in_channels, out_channels, kernel, groups=groups, bias=False)
    return weights * math.prod(_pair(output))


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


@dataclass(frozen=True)
class ReceptiveField:
    """Along one axis: the pixels one output value depends on, and how far apart two neighbours' windows lie.

    `size` is the window in input pixels, `jump` the input pixels between windows of neighbouring outputs, `start` the
    centre of the first output's window, in pixels (0 is the centre of the first pixel). (Araujo et al. 2019,
    "Computing receptive fields of convolutional neural networks", distill.pub.)
    """

    size: int = 1
    jump: int = 1
    start: float = 0.0

    def through(self, kernel: int, stride: int = 1, padding_before: int = 0, dilation: int = 1) -> ReceptiveField:
        """Return the field after one more window of `kernel`.

        >>> ReceptiveField().through(3).through(3).size
        5
        """
        reach = dilation * (kernel - 1)
        return ReceptiveField(
            size=self.size + reach * self.jump,
            jump=self.jump * stride,
            start=self.start + (reach / 2 - padding_before) * self.jump,
        )

    def join(self, other: ReceptiveField) -> ReceptiveField:
        """Return the field of two branches that meet (an addition or concatenation): the larger of the two windows."""
        return self if self.size >= other.size else other
