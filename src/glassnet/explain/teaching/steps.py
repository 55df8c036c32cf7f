"""One convolution and one pooling, number by number, at one place of the user's picture.

The numbers are what glassnet's layers compute; the tests hold them to the NumPy reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from glassnet.errors import InputError
from glassnet.explain.teaching.filtering import Filtered

Numbers = npt.NDArray[np.float32]
AROUND = 2  # pixels of the picture shown around the window
POOL = 2  # the pooling's window and stride
BLOCKS = 2  # pooled numbers shown to each side
MODES = {"zero": "constant", "replicate": "edge", "nearest": "edge", "reflect": "reflect"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """One place of a convolution, and the pooling of what is around it.

    row, column: of the output. window, products (k, k); total is the sum of the products. surroundings: the padded
    picture from `corner` (row, column of the padded picture) on. answers (2B, 2B): a patch of the output from
    `answers_corner` on; largest and mean (B, B): its 2x2 pooling at stride 2.
    """

    filtered: Filtered
    row: int
    column: int
    surroundings: Numbers
    corner: tuple[int, int]
    window: Numbers
    products: Numbers
    total: float
    answers: Numbers
    answers_corner: tuple[int, int]
    largest: Numbers
    mean: Numbers


def steps(filtered: Filtered, at: tuple[int, int] | None = None) -> Steps:
    """Work out one place of a convolution; `at` is (row, column) of its output, by default where it answers most.

    Raises `InputError` for a place outside the output, or an output too small to be pooled.
    """
    rows, columns = filtered.answers.shape
    if min(rows, columns) < POOL:
        raise InputError(f"the output has {rows} x {columns} numbers; pooling needs at least {POOL} x {POOL}")
    if at is None:
        at = divmod(int(np.abs(filtered.answers).argmax()), columns)
    row, column = at
    if not (0 <= row < rows and 0 <= column < columns):
        raise InputError(f"there is no output at row {row}, column {column}; it has {rows} rows, {columns} columns")
    padded = padded_picture(filtered)
    side, stride = filtered.kernel.side, filtered.stride
    top, left = row * stride, column * stride
    window = padded[top : top + side, left : left + side]
    products = window * filtered.kernel.weight.numpy()
    surroundings, corner = _patch(padded, (top, left), side)
    answers, answers_corner = _blocks(filtered.answers, row, column)
    together = torch.from_numpy(answers)[None]
    return Steps(
        filtered=filtered,
        row=row,
        column=column,
        surroundings=surroundings,
        corner=corner,
        window=window,
        products=products,
        total=float(filtered.answers[row, column]),
        answers=answers,
        answers_corner=answers_corner,
        largest=nn.MaxPool2d(POOL)(together)[0].numpy(),
        mean=nn.AvgPool2d(POOL)(together)[0].numpy(),
    )


def padded_picture(filtered: Filtered) -> Numbers:
    """Return the picture with what stands beyond its edge, (H + 2 padding, W + 2 padding) grey levels."""
    grey = filtered.picture[:, :, 0].astype(np.float32)
    mode = MODES[filtered.beyond]
    padded: Numbers = np.pad(grey, filtered.padding, mode=mode)  # type: ignore[call-overload]
    return padded


def _patch(padded: Numbers, corner: tuple[int, int], side: int) -> tuple[Numbers, tuple[int, int]]:
    """Return the window with `AROUND` pixels on each side, shifted to lie inside, and its upper left corner."""
    wanted = side + 2 * AROUND
    starts = [max(0, min(start - AROUND, size - wanted)) for start, size in zip(corner, padded.shape, strict=True)]
    top, left = starts
    return padded[top : top + wanted, left : left + wanted], (top, left)


def _blocks(answers: Numbers, row: int, column: int) -> tuple[Numbers, tuple[int, int]]:
    """Return the pooling windows around an output, whole ones only, and their upper left corner."""
    starts, sizes = [], []
    for place, size in zip((row, column), answers.shape, strict=True):
        windows = min(BLOCKS, size // POOL)
        first = min(place // POOL, size // POOL - windows)
        starts.append(first * POOL)
        sizes.append(windows * POOL)
    (top, left), (high, wide) = starts, sizes
    return np.ascontiguousarray(answers[top : top + high, left : left + wide]), (top, left)
