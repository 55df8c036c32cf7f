"""Where a kernel looks: numbers by hand."""

from __future__ import annotations

import doctest

import numpy as np

from glassnet.reference import windows
from glassnet.reference.windows import crop, slide


def test_the_examples_in_the_module() -> None:
    result = doctest.testmod(windows)
    assert (result.attempted, result.failed) == (2, 0)


def test_each_kernel_position_meets_one_pixel_of_every_window() -> None:
    a = np.arange(20.0).reshape(1, 1, 4, 5)
    padded, sides, positions = slide(a, 2, stride=2, padding=(1, 0))
    assert (padded.shape, sides, list(positions)) == ((1, 1, 6, 5), (1, 1, 0, 0), [(0, 0), (0, 1), (1, 0), (1, 1)])
    rows, columns = positions[1, 1]
    assert padded[0, 0, rows, columns].tolist() == [[1, 3], [11, 13], [0, 0]]
    assert (crop(padded, sides) == a).all()


def test_same_padding_puts_the_odd_zero_last() -> None:
    assert slide(np.zeros((1, 1, 224, 7)), 3, stride=2, padding="same")[1] == (0, 1, 1, 1)
    assert slide(np.zeros((1, 1, 28, 28)), 5, padding="same")[1] == (2, 2, 2, 2)
    assert slide(np.zeros((1, 1, 28, 28)), 5, padding="valid")[1] == (0, 0, 0, 0)
