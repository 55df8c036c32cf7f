"""Receptive fields through a graph: what each layer does to the windows of the layers it reads.

A map's positions are its last two axes. A layer nobody described is judged by its shapes: where positions stay as many
as they were it works on each by itself, as an activation does; where they change, every output may depend on all of
the map. So a field may be too large for a layer we do not know, but never too small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from glassnet.nn.arithmetic import ReceptiveField, adaptive_windows
from glassnet.nn.trace.windows import Window

Shape = tuple[int, ...]
Fields = tuple[ReceptiveField, ReceptiveField]
"""Along height and along width."""
AT_THE_PICTURE: Fields = (ReceptiveField(), ReceptiveField())

_PADS = (nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d)
_ADAPTIVE = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


@dataclass(frozen=True)
class Call:
    """What a node of the graph calls: a module, or a function by its name, with its arguments; shapes of one picture.

    `sources` are the layers it reads: the fields and the shape of each.
    """

    module: nn.Module | None
    function: str
    args: Sequence[Any]
    window: Window | None
    sources: Sequence[tuple[Fields, Shape]]
    output: Shape


def fields_of(call: Call) -> Fields:
    """Return the receptive fields of the call's output."""
    return _field(call, 0), _field(call, 1)


def _field(call: Call, axis: int) -> ReceptiveField:  # noqa: PLR0911 - a case a line
    size = max((positions(shape, axis) for _, shape in call.sources), default=0)
    out = positions(call.output, axis)
    field = _joined(call, axis, size)
    if call.window is not None and size:
        return call.window.field(field, size, axis)
    if size == 0:
        return field.standing() if out else field
    if isinstance(call.module, nn.Linear) and out and axis == 1:  # over the last axis of a map
        return _whole(field, size).standing()
    if (shifted := _shifted(call, axis)) is not None:
        return field.through(1, shifted[1], -shifted[0])
    if out == size:
        return field
    if isinstance(call.module, _ADAPTIVE) or call.function.startswith("adaptive_"):
        return field.over(adaptive_windows(size, out))
    return _whole(field, size).standing() if out > 1 else _whole(field, size)


def positions(shape: Shape, axis: int) -> int:
    """Return the positions of a map (..., H, W) along `axis`; 0 where there is no map, but a vector."""
    return shape[len(shape) - 2 + axis] if len(shape) >= 3 else 0


def _joined(call: Call, axis: int, size: int) -> ReceptiveField:
    """Return the field of all sources together, at the same position of each."""
    joined: ReceptiveField | None = None
    for fields, shape in call.sources:
        spread = size > 1 and positions(shape, axis) <= 1  # one value for all positions, as a squeeze's
        field = fields[axis].standing() if spread else fields[axis]
        joined = field if joined is None else joined.join(field, size)
    assert joined is not None, "a layer reads at least one other, or the pictures"
    return joined


def _whole(field: ReceptiveField, size: int) -> ReceptiveField:
    """Return the field of an output that depends on all `size` positions."""
    return field.through(size, stride=size)


def _shifted(call: Call, axis: int) -> tuple[int, int] | None:
    """Return (first position, step) of a layer that pads a map or takes every so many-th of it; None for others."""
    if isinstance(call.module, _PADS):
        return -int(call.module.padding[2 * (1 - axis)]), 1  # left, right, top, bottom
    if call.function == "pad":
        sides = [*call.args[1], 0, 0, 0, 0]
        return -int(sides[2 * (1 - axis)]), 1
    if call.function == "getitem":
        return _slice(call, axis)
    return None


def _slice(call: Call, axis: int) -> tuple[int, int] | None:
    shape, index = call.sources[0][1], call.args[1]
    index = index if isinstance(index, tuple) else (index,)
    if len(call.output) != len(shape) or any(not isinstance(part, slice) for part in index):
        return None
    place = len(shape) - 1 + axis  # among the axes of a batch
    if place >= len(index):
        return 0, 1
    first, _, step = index[place].indices(shape[place - 1])
    return first, step
