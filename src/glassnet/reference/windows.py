"""Where a kernel looks: the padded picture, and for each kernel position (i, j) the pixels it meets.

A window starts at every `stride`-th row and column of the padded picture and reads every `dilation`-th pixel from
there. So kernel position (i, j) meets, over all windows at once, the pixels [i * dilation :: stride, j * dilation ::
stride]: a slice. Convolution and pooling loop over the few positions of the kernel, not over the many of the picture.
(Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.)
"""

from __future__ import annotations

import numpy as np

from glassnet.reference.arrays import Floats

Size = int | tuple[int, int]
"""(vertical, horizontal), or one number for both."""
Padding = int | tuple[int, int] | tuple[int, int, int, int] | str
"""Zeros on every side; (vertical, horizontal); (top, bottom, left, right); "valid" (none); or "same" (TensorFlow's:
the output is ceil(H / stride) x ceil(W / stride), and of an odd number of zeros the last is at the bottom or right)."""
Sides = tuple[int, int, int, int]
"""Zeros added at the (top, bottom, left, right)."""
Positions = dict[tuple[int, int], tuple[slice, slice]]
"""Kernel position (i, j) -> (rows, columns) of the padded picture that it meets, one for each output pixel."""


def slide(
    a: Floats, kernel: Size, stride: Size = 1, padding: Padding = 0, dilation: Size = 1, fill: float = 0.0
) -> tuple[Floats, Sides, Positions]:
    """Return (N, C, H, W) with its padding, how much that was, and what each kernel position meets.

    Along each axis the output has floor((size + padding - dilation * (kernel - 1) - 1) / stride) + 1 pixels.

    >>> padded, sides, positions = slide(np.zeros((1, 1, 6, 6)), kernel=3, stride=2)
    >>> positions[0, 2]
    (slice(0, 3, 2), slice(2, 5, 2))
    """
    if a.ndim != 4:
        raise ValueError(f"the input has shape {a.shape}; expected (N, C, H, W)")
    kernel, stride, dilation = pair(kernel), pair(stride), pair(dilation)
    if min(*kernel, *stride, *dilation) < 1:
        raise ValueError(f"kernel {kernel}, stride {stride} and dilation {dilation} must all be at least 1")
    sides = padding_sides(a.shape[2:], kernel, stride, padding, dilation)
    padded = np.pad(a, ((0, 0), (0, 0), sides[:2], sides[2:]), constant_values=fill)
    slices: list[list[slice]] = []  # for rows and for columns: one slice for each position of the kernel
    for size, k, s, d in zip(padded.shape[2:], kernel, stride, dilation, strict=True):
        span = size - d * (k - 1) - 1
        if span < 0:
            raise ValueError(f"a kernel of {d * (k - 1) + 1} does not fit a padded input of {size}")
        reach = span // s * s + 1  # from the first window's start to just behind the last one's
        slices.append([slice(i * d, i * d + reach, s) for i in range(k)])
    rows, columns = slices
    return padded, sides, {(i, j): (rows[i], columns[j]) for i in range(kernel[0]) for j in range(kernel[1])}


def crop(padded: Floats, sides: Sides) -> Floats:
    """Take the padding off again: what the backward step does with the gradient of constant zeros."""
    top, bottom, left, right = sides
    return padded[:, :, top : padded.shape[2] - bottom, left : padded.shape[3] - right]


def padding_sides(
    size: tuple[int, ...], kernel: tuple[int, int], stride: tuple[int, int], padding: Padding, dilation: tuple[int, int]
) -> Sides:
    """Return how many zeros `padding` means at the (top, bottom, left, right) of a picture of `size` (H, W)."""
    if padding == "same":
        sides = []
        for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
            total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            sides += [total // 2, total - total // 2]
        return sides[0], sides[1], sides[2], sides[3]
    if padding == "valid":
        return 0, 0, 0, 0
    if isinstance(padding, int):
        return padding, padding, padding, padding
    if isinstance(padding, tuple) and len(padding) == 2:
        return padding[0], padding[0], padding[1], padding[1]
    if isinstance(padding, tuple) and len(padding) == 4:
        return padding
    raise ValueError(f"padding is {padding!r}; expected a number, 2 or 4 numbers, 'same' or 'valid'")


def pair(value: Size) -> tuple[int, int]:
    """Return (value, value) for a number, and a pair as it is."""
    return (value, value) if isinstance(value, int) else value
