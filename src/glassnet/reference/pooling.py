"""Pooling: one number says what a window holds, its largest value or its mean.

LeCun, Bottou, Bengio and Haffner 1998 averaged (and learned a factor); the maximum, which asks whether a feature is
there at all, has been the habit since (Goodfellow, Bengio, Courville 2016, Deep Learning, section 9.3). Output sizes
round down.
"""

from __future__ import annotations

import numpy as np

from glassnet.reference.arrays import Floats
from glassnet.reference.windows import Padding, Positions, Sides, Size, crop, slide

Cache = tuple[Floats, tuple[int, ...], Positions, Sides]


def max_pooling_forward(
    a_prev: Floats, kernel: Size, stride: Size | None = None, *, padding: Padding = 0, dilation: Size = 1
) -> tuple[Floats, Cache]:
    """Take the largest value of each window of a_prev (N, C, H, W): a (N, C, rows, columns), cache.

    a[n, c, y, x] = max over i, j of P[n, c, y s + i d, x s + j d], with P padded by minus infinity, which never wins.
    Without `stride` the windows lie side by side. The winner is remembered as its number i * J + j; of equal values
    the first, in reading order, wins. (A dilated window that meets nothing but padding gives minus infinity.)
    """
    stride = kernel if stride is None else stride
    padded, sides, positions = slide(a_prev, kernel, stride, padding, dilation, fill=-np.inf)
    met = np.stack(
        [padded[:, :, rows, columns] for rows, columns in positions.values()]
    )  # (I * J, N, C, rows, columns)
    winner = met.argmax(0)
    return met.max(0), (winner, padded.shape, positions, sides)


def max_pooling_backward(da: Floats, cache: Cache) -> Floats:
    """Return da_prev (N, C, H, W).

    Moving the winner a little moves the maximum as much, moving any other value does not move it at all: the whole
    gradient of a window goes to its winner. Where windows overlap, a pixel that wins twice collects twice.
    """
    winner, padded_shape, positions, sides = cache
    dP = np.zeros(padded_shape, da.dtype)
    for number, (rows, columns) in enumerate(positions.values()):
        dP[:, :, rows, columns] += da * (winner == number)
    return crop(dP, sides)


def average_pooling_forward(
    a_prev: Floats,
    kernel: Size,
    stride: Size | None = None,
    *,
    padding: Padding = 0,
    count_include_pad: bool = True,
) -> tuple[Floats, Cache]:
    """Take the mean of each window of a_prev (N, C, H, W): a (N, C, rows, columns), cache.

    a[n, c, y, x] = (sum over i, j of P[n, c, y s + i, x s + j]) / count[y, x]. The zeros of the padding count as
    pixels, so count is I * J everywhere, unless `count_include_pad` is false: then count is how many true pixels the
    window holds.
    """
    stride = kernel if stride is None else stride
    padded, sides, positions = slide(a_prev, kernel, stride, padding)
    real, _, _ = slide(np.ones_like(a_prev[:1, :1]), kernel, stride, padding, fill=float(count_include_pad))
    total = np.stack([padded[:, :, rows, columns] for rows, columns in positions.values()]).sum(0)
    count = np.stack([real[:, :, rows, columns] for rows, columns in positions.values()]).sum(0)
    return total / count, (count, padded.shape, positions, sides)


def average_pooling_backward(da: Floats, cache: Cache) -> Floats:
    """Return da_prev (N, C, H, W): each pixel of a window had the factor 1 / count, so each gets da / count."""
    count, padded_shape, positions, sides = cache
    dP = np.zeros(padded_shape, da.dtype)
    for rows, columns in positions.values():
        dP[:, :, rows, columns] += da / count
    return crop(dP, sides)
