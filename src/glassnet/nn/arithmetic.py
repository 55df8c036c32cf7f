"""The arithmetic of convolutional networks on paper: sizes, parameters, multiply-adds, receptive fields. No tensors.

A multiply-add is one weight multiplication of a convolution or dense layer; bias, normalisation, pooling and activation
are not counted. All sizes are of one axis unless they are pairs; all counts are for one picture.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
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
    windows = -(-span // stride) + 1 if ceil_mode else span // stride + 1
    if windows < 1 or (span < 0 and not ceil_mode):
        raise InputError(
            f"a kernel of {dilation * (kernel - 1) + 1} does not fit an input of {size} padded by {before} + {after}; "
            "use a larger picture or a smaller kernel"
        )
    return windows - 1 if ceil_mode and (windows - 1) * stride >= size + before else windows


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


def adaptive_windows(size: int, out: int) -> list[tuple[int, int]]:
    """Return the first and last position that each of the `out` windows of an adaptive pooling reads.

    Together they cover the input; where `out` does not divide `size` they differ in width by one, or overlap by one.

    >>> adaptive_windows(8, 3)
    [(0, 2), (2, 5), (5, 7)]
    """
    return [(i * size // out, -(-(i + 1) * size // out) - 1) for i in range(out)]


@dataclass(frozen=True)
class ReceptiveField:
    """Along one axis: the pixels one output value depends on, and how far apart two neighbours' windows lie.

    `size` is the window in input pixels, `jump` the input pixels between windows of neighbouring outputs, `start` the
    centre of the first output's window, in pixels (0 is the centre of the first pixel). A window may reach beyond the
    picture, into the padding. (Araujo et al. 2019, "Computing receptive fields of convolutional neural networks",
    distill.pub.)
    """

    size: int = 1
    jump: float = 1
    start: float = 0.0

    def window(self, position: int) -> tuple[float, float]:
        """Return the first and last pixel that the output at `position` depends on.

        >>> ReceptiveField().through(5, stride=2).window(3)
        (6.0, 10.0)
        """
        centre, half = self.start + position * self.jump, (self.size - 1) / 2
        return centre - half, centre + half

    def through(self, kernel: int, stride: int = 1, padding_before: int = 0, dilation: int = 1) -> ReceptiveField:
        """Return the field after one more window of `kernel`.

        >>> ReceptiveField().through(3).through(3).size
        5
        """
        reach = dilation * (kernel - 1)
        return ReceptiveField(
            size=math.ceil(self.size + reach * self.jump),
            jump=self.jump * stride,
            start=self.start + (reach / 2 - padding_before) * self.jump,
        )

    def over(self, windows: Sequence[tuple[int, int]]) -> ReceptiveField:
        """Return the field after a layer whose output i reads the positions `windows[i]`, first to last."""
        return covering([(self.window(first)[0], self.window(last)[1]) for first, last in windows])

    def join(self, other: ReceptiveField, positions: int = 1) -> ReceptiveField:
        """Return the field where two branches meet (an addition, a concatenation): at each position, both windows.

        Branches with one jump keep it. Where the jumps differ, the windows drift apart over the `positions` of the
        map, and the field is the smallest that covers both at each of them.

        >>> ReceptiveField().join(ReceptiveField().through(3)).window(0)  # x[i] + y[i:i + 3] of one another
        (0.0, 2.0)
        """
        if self.jump == other.jump:
            return dataclasses.replace(covering([_hull(self, other, 0)]), jump=self.jump)
        return covering([_hull(self, other, position) for position in range(positions)])

    def standing(self) -> ReceptiveField:
        """Return the field of a single value that is spread over a whole map: its window no longer moves."""
        return dataclasses.replace(self, jump=0)


def _hull(one: ReceptiveField, other: ReceptiveField, position: int) -> tuple[float, float]:
    (first, last), (other_first, other_last) = one.window(position), other.window(position)
    return min(first, other_first), max(last, other_last)


def covering(windows: Sequence[tuple[float, float]]) -> ReceptiveField:
    """Return the smallest field that at each position covers that position's window, (first, last) in pixels.

    Exact where the windows have one width and lie evenly; else wider by the unevenness. A lone window gets, as jump,
    its own width: that is how far the next one would lie.

    >>> covering([(0, 2), (2, 5), (5, 7)])
    ReceptiveField(size=4, jump=2.5, start=1.0)
    """
    centres = [(first + last) / 2 for first, last in windows]
    if len(windows) == 1:
        width = math.ceil(windows[0][1] - windows[0][0] + 1)
        return ReceptiveField(width, width, centres[0])
    jump = (centres[-1] - centres[0]) / (len(windows) - 1)
    half = max(
        max(centres[0] + i * jump - first, last - centres[0] - i * jump) for i, (first, last) in enumerate(windows)
    )
    size = math.ceil(2 * half + 1 - 1e-9)  # a rounding error must not cost a pixel
    return ReceptiveField(size, int(jump) if jump == int(jump) else jump, centres[0])
