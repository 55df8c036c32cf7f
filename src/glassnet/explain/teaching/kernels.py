"""Kernels as people write them: names and numbers in one list, separated by commas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glassnet.errors import InputError
from glassnet.nn.layers.filters import FILTERS, filter_kernel

SIDES = (3, 5, 7)


@dataclass(frozen=True, eq=False)
class NamedKernel:
    """A kernel (k, k) float and what to call it."""

    name: str
    weight: Tensor

    @property
    def side(self) -> int:
        """Rows, and columns."""
        return int(self.weight.shape[0])

    @property
    def finds_differences(self) -> bool:
        """Tell whether it answers 0 to a plain area: its weights sum to 0."""
        return abs(float(self.weight.sum())) < 1e-6 * float(self.weight.abs().sum())


def kernels(texts: Sequence[str]) -> list[NamedKernel]:
    """Return the kernels that texts such as "sobel_x,-1,1,-1,-1,5,-1,-2,2,-2" mean, in their order.

    A word is the name of a filter. Numbers that stand together, row by row, are 3x3 kernels of nine each; exactly 25
    are one 5x5 kernel and exactly 49 one of 7x7. Numbers in different texts are never put together. Raises
    `UnknownName` for a word, `InputError` for another count of numbers.

    >>> [kernel.name for kernel in kernels(["sobel_x,0,0,0,0,1,0,0,0,0", "laplacian"])]
    ['sobel_x', '0 0 0 / 0 1 0 / 0 0 0', 'laplacian']
    """
    found: list[NamedKernel] = []
    for text in texts:
        numbers: list[float] = []
        for word in (word.strip() for word in text.split(",")):
            value = _number(word)
            if value is not None:
                numbers.append(value)
                continue
            found += _squares(numbers, text)
            numbers = []
            found.append(NamedKernel(word, filter_kernel(word)))
        found += _squares(numbers, text)
    if not found:
        raise InputError(f"no kernel is given; name one of {', '.join(FILTERS)}, or write its 9 numbers")
    return found


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    if not math.isfinite(value):
        raise InputError(f"a kernel's number is {word!r}; expected a finite one")
    return value


def _squares(numbers: list[float], text: str) -> list[NamedKernel]:
    """Cut numbers that stand together into kernels."""
    count = len(numbers)
    side = next((side for side in SIDES[1:] if count == side * side), SIDES[0])
    if count % (side * side):
        raise InputError(
            f"{count} numbers stand together in kernel {text!r}; expected 9 for each 3x3 kernel, row by row, "
            "or 25 or 49 for one of 5x5 or 7x7"
        )
    weights = torch.tensor(numbers).view(-1, side, side)
    return [NamedKernel(" / ".join(" ".join(f"{v:g}" for v in row) for row in w.tolist()), w) for w in weights]
