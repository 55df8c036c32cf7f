"""What a network does, in four kinds: by how far a change of the picture spreads through them.

`Local` works on each position by itself, `Window` slides a window, `Total` sums a map over its positions, and `Whole`
is everything else: it is computed on whole maps, whatever it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Pair = tuple[int, int]
"""(height, width)."""

Compute = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One step: reads the values numbered `reads` and gives the value numbered `out`.

    `whole` computes it on whole maps, (N, C, H, W) or (N, D) each.
    """

    reads: tuple[int, ...]
    out: int
    whole: Compute


@dataclass(frozen=True, kw_only=True)
class Local(Operator):
    """Each position by itself: activations, batch norm, addition, concatenation of channels.

    `over` does the same and may write over its first operand; None where there is no such way.
    """

    over: Compute | None = None


@dataclass(frozen=True, kw_only=True)
class Window(Operator):
    """A sliding window: convolution, pooling, padding, taking every so many-th position.

    `inner` computes it on maps that are padded already; `fill` is what they are padded with, `before` how many rows
    and columns above and left. `scale` (H', W') multiplies the result: where an average divides by what it covers.
    `whole_tiles` tells how many rows and columns of outputs `inner` would add to fill its tiles.
    """

    inner: Callable[[Tensor], Tensor]
    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    before: Pair = (0, 0)
    fill: float = 0.0
    scale: Tensor | None = None
    whole_tiles: Callable[[Pair], Pair] | None = None

    def beyond(self, size: Pair) -> Pair:
        """Return how many rows and columns more than `size` outputs are computed, to fill whole tiles."""
        return (0, 0) if self.whole_tiles is None else self.whole_tiles(size)

    def span(self, size: int, axis: int) -> int:
        """Return the positions of the input that `size` neighbouring outputs read."""
        return (size - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis] + 1


@dataclass(frozen=True, kw_only=True)
class Total(Operator):
    """The sum over all positions divided by `divisor`, of one channel or of all, with or without the two axes left."""

    divisor: float = 1.0
    keep: bool = False
    channel: int | None = None

    def shaped(self, sums: Tensor) -> Tensor:
        """Return sums (N, C) as the operator gives them."""
        return sums[:, :, None, None] if self.keep else sums


@dataclass(frozen=True, kw_only=True)
class Whole(Operator):
    """Anything: flattening, dense layers, and what nobody has described. `shape_only`: it reads sizes, no numbers."""

    shape_only: bool = False


@dataclass(frozen=True)
class Program:
    """A network as a list of operators in the order of computing.

    Value 0 is the pictures; `values` has every value's result for the whole picture (maps (1, C, H, W) channels_last;
    other things as they come), `logits` the number of the last one, `named` the numbers of the layers that were asked
    for.
    """

    operators: tuple[Operator, ...]
    values: tuple[Any, ...]
    logits: int
    named: dict[str, int]

    def is_map(self, value: int) -> bool:
        """Tell whether a value has positions: (1, C, H, W)."""
        found = self.values[value]
        return isinstance(found, Tensor) and found.ndim == 4 and found.is_floating_point()

    def size(self, value: int) -> Pair:
        """Return (H, W) of a map."""
        return self.values[value].shape[2], self.values[value].shape[3]


def total_of(maps: Tensor) -> Tensor:
    """Return the sums over the positions of (N, C, H, W), (N, C)."""
    return torch.sum(maps, (2, 3))


def bent(x: Tensor, bend: str) -> Tensor:
    """Apply an activation in place."""
    if bend == "relu":
        return x.relu_()
    return x.clamp_(0.0, 6.0) if bend == "relu6" else x
