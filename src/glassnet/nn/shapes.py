"""Networks as shapes alone: built without memory and without drawing weights, to be measured or filled from a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_FILL = {"normal_", "uniform_", "fill_", "zero_", "copy_", "mul_", "div_", "add_", "erfinv_", "clamp_"}
_FILL |= {"kaiming_normal_", "kaiming_uniform_", "xavier_normal_", "xavier_uniform_", "constant_", "zeros_", "ones_"}


@contextmanager
def shapes_only() -> Iterator[None]:
    """Make every tensor on the meta device, and leave out what would only fill it with numbers.

    torch computes random numbers for tensors without memory by a path that imports its compiler first, which would take
    longer (1.5 s here) than all the rest of reading a network file.
    """
    with torch.device("meta"), _NoNumbers():
        yield


class _NoNumbers(TorchFunctionMode):
    """Skips functions that write numbers into a tensor which has no memory."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        written = args[0] if args else kwargs.get("tensor")  # as torch.nn.init's functions are passed on
        if name in _FILL and isinstance(written, Tensor) and written.is_meta:
            return written
        if name == "eye":
            return torch.empty(args[0], args[-1])
        return func(*args, **kwargs)
