"""Networks as shapes alone: built without memory and without drawing weights, to be measured or filled from a file.

torch computes much of what it does with tensors that have no memory by a path that imports its compiler first. That
takes 1.5 s here, longer than all the rest of reading a network file or of tracing a network, and is what this avoids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Module = TypeVar("Module", bound=nn.Module)

_FILL = {"normal_", "uniform_", "fill_", "zero_", "copy_", "mul_", "div_", "add_", "erfinv_", "clamp_"}
_FILL |= {"kaiming_normal_", "kaiming_uniform_", "xavier_normal_", "xavier_uniform_", "constant_", "zeros_", "ones_"}


@contextmanager
def shapes_only() -> Iterator[None]:
    """Make every tensor on the meta device, and leave out what would only fill it with numbers."""
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


def with_memory(module: Module) -> Module:
    """Give a module that was built as shapes alone memory on the CPU, with whatever numbers lie there; return it."""
    with ShapeRules():
        return module.to_empty(device="cpu")


class ShapeRules(TorchFunctionMode):
    """Gives the commonest functions of tensors without memory their shapes; torch computes all others as ever.

    Rules know activations and batch norms, whose output is like their input, dense layers, sums and products of two
    tensors of one shape, concatenation, and means. A rule that is not sure gives None: torch computes, or complains.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        rule = _RULES.get(getattr(func, "__name__", ""))
        first = args[0] if args else None
        first = first[0] if isinstance(first, (list, tuple)) and first else first
        found = rule(*args, **kwargs) if rule and isinstance(first, Tensor) and first.is_meta else None
        return func(*args, **kwargs) if found is None else found


def _empty(x: Tensor, device: Any = None) -> Tensor:
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=device or x.device)


def _empty_like(x: Tensor, *, device: Any = None, **others: Any) -> Tensor | None:
    return None if others else _empty(x, device)


def _alike(x: Tensor, inplace: bool = False) -> Tensor:
    return x if inplace else _empty(x)


def _clipped(x: Tensor, _least: float = -1.0, _most: float = 1.0, inplace: bool = False, **_: Any) -> Tensor:
    return _alike(x, inplace)


def _normalised(x: Tensor, mean: Tensor | None = None, *_: Any, **__: Any) -> Tensor | None:
    return _empty(x) if mean is not None and x.dim() > 1 and x.shape[1] == len(mean) else None


def _dense(x: Tensor, weight: Tensor, _bias: Tensor | None = None) -> Tensor | None:
    return x.new_empty((*x.shape[:-1], len(weight))) if x.shape[-1] == weight.shape[1] else None


def _together(x: Tensor, other: Any, **_: Any) -> Tensor | None:
    alike = isinstance(other, Tensor) and (x.shape, x.dtype) == (other.shape, other.dtype)
    return _empty(x) if alike else None


def _onto(x: Tensor, other: Any, **_: Any) -> Tensor | None:
    return None if _together(x, other) is None else x


def _joined(parts: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    shapes = [list(part.shape) for part in parts]
    widths = [shape.pop(dim) if -len(shape) <= dim < len(shape) else None for shape in shapes]
    if None in widths or any(shape != shapes[0] for shape in shapes):
        return None
    shapes[0].insert(dim % parts[0].dim(), sum(width or 0 for width in widths))
    return parts[0].new_empty(shapes[0])


def _averaged(x: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> Tensor | None:
    if dim is None:
        return None
    gone = {axis % x.dim() for axis in ((dim,) if isinstance(dim, int) else dim)}
    kept = [1 if axis in gone else size for axis, size in enumerate(x.shape) if axis not in gone or keepdim]
    return x.new_empty(kept)


_RULES: dict[str, Callable[..., Tensor | None]] = {
    **dict.fromkeys(("relu", "relu6", "sigmoid", "tanh"), _alike),
    "hardtanh": _clipped,
    "empty_like": _empty_like,
    "batch_norm": _normalised,
    "linear": _dense,
    "add": _together,
    "mul": _together,
    "add_": _onto,
    "mul_": _onto,
    "cat": _joined,
    "mean": _averaged,
}
