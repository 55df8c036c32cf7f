"""What occlusion costs in theory: multiply-adds of whole passes, and of the windows that can change."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from glassnet.explain.occlusion.convolution import Convolution
from glassnet.explain.occlusion.operators import Program, Window
from glassnet.explain.occlusion.plan import spans


def multiply_adds(program: Program, positions: Any, size: tuple[int, int]) -> tuple[float, float]:
    """Return the multiply-adds per position of the convolutions over whole maps, and over the windows that can change.

    Each position has its own windows here, without rounding up to those of a batch. Dense layers read all that there
    is, so they count the same in both and are left out.
    """
    where = np.asarray(positions, dtype=np.int64)
    rows, y = np.unique(where[:, 0], return_inverse=True)
    columns, x = np.unique(where[:, 1], return_inverse=True)
    vertical, horizontal = spans(program, 0, rows, size[0]), spans(program, 1, columns, size[1])
    whole = changed = 0.0
    for operator in program.operators:
        down, across = vertical[operator.out], horizontal[operator.out]
        if not isinstance(operator, Window) or down is None or across is None:
            continue
        each = _weights(operator.inner)
        height, width = program.size(operator.out)
        whole += each * height * width
        changed += each * float(((down.hi - down.lo)[y] * (across.hi - across.lo)[x]).mean())
    return whole, changed


def _weights(compute: Any) -> int:
    """Multiplications for one position of the output."""
    weight = compute.weight if isinstance(compute, Convolution | nn.Module) and hasattr(compute, "weight") else None
    return weight.numel() if isinstance(weight, Tensor) else 0
