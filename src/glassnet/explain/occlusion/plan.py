"""How far a change spreads, on integers: for each position of the occluder, the window of each map that can change.

Along one axis a window operator with kernel k, stride s, dilation d and p positions of padding turns the changed
positions [lo, hi) into [max(0, ceil((lo + p - (k - 1) d) / s)), min(H', floor((hi - 1 + p) / s) + 1)). Height and width
are apart, so an axis is planned once for each place of the occluder along it. Positions are then computed in batches,
each map with one size of window for all of a batch; places of the same phase in the network's strides have windows of
the same size, so they go together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import lcm

import numpy as np
import numpy.typing as npt

from glassnet.explain.occlusion.operators import Local, Operator, Program, Window

Ints = npt.NDArray[np.int64]

DENSE = 0.75
"""From this share of a map's positions on, the whole map is computed: splicing costs more than it saves."""
TOGETHER = 8
"""So many places along an axis go together."""


@dataclass(frozen=True)
class Span:
    """For each place of the occluder along one axis: the positions [lo, hi) of a map that can change."""

    lo: Ints
    hi: Ints

    def of(self, places: Ints) -> Span:
        """Return the spans of some of the places."""
        return Span(self.lo[places], self.hi[places])


@dataclass(frozen=True)
class Place:
    """Where the windows of one map lie for the positions of one batch: all of one size, from rows `y`, columns `x`."""

    height: int
    width: int
    y: Ints
    x: Ints
    full: bool

    def same(self, other: Place) -> bool:
        """Tell whether both are the same windows."""
        alike = (self.height, self.width) == (other.height, other.width)
        return alike and bool((self.y == other.y).all() and (self.x == other.x).all())


def spans(program: Program, axis: int, starts: Ints, size: int) -> list[Span | None]:
    """Return the spans of every value for an occluder of `size` at `starts`; None for what has no positions."""
    found: list[Span | None] = [Span(starts, starts + size), *([None] * (len(program.values) - 1))]
    for operator in program.operators:
        if program.is_map(operator.out):
            found[operator.out] = _after(program, operator, axis, found)
    return found


def _after(program: Program, operator: Operator, axis: int, found: list[Span | None]) -> Span:
    length = program.size(operator.out)[axis]
    reads = [found[read] for read in operator.reads]
    known = [read for read in reads if read is not None]
    if len(known) == len(reads) and isinstance(operator, Local):
        lo = np.minimum.reduce([read.lo for read in known])
        return Span(lo, np.maximum.reduce([read.hi for read in known]))
    if len(known) == len(reads) and isinstance(operator, Window):
        return _through(operator, axis, known[0], length)
    everywhere = np.zeros_like(found[0].lo)  # type: ignore[union-attr]  # the pictures have positions
    return Span(everywhere, everywhere + length)


def _through(window: Window, axis: int, span: Span, length: int) -> Span:
    padding, stride = window.before[axis], window.stride[axis]
    back = (window.kernel[axis] - 1) * window.dilation[axis]
    lo = np.maximum(0, -((back - span.lo - padding) // stride))
    hi = np.minimum(length, (span.hi - 1 + padding) // stride + 1)
    lo = np.minimum(lo, length - 1)  # what nobody reads leaves no trace; one position is kept all the same
    return Span(lo, np.maximum(hi, lo + 1))


def layout(program: Program, vertical: list[Span | None], horizontal: list[Span | None]) -> list[Place | None]:
    """Return the place of every value for a batch of positions, of which the spans are given."""
    places: list[Place | None] = []
    full: set[int] = set()
    makers: dict[int, Operator] = {operator.out: operator for operator in program.operators}
    for value, (rows, columns) in enumerate(zip(vertical, horizontal, strict=True)):
        if rows is None or columns is None:
            places.append(None)
            full.add(value)
            continue
        H, W = program.size(value)
        height, width = int((rows.hi - rows.lo).max()), int((columns.hi - columns.lo).max())
        covers = height * width >= DENSE * H * W or bool(full.intersection(makers[value].reads)) if value else False
        if covers:
            height, width = H, W
            full.add(value)
        y, x = np.minimum(rows.lo, H - height), np.minimum(columns.lo, W - width)
        places.append(Place(height, width, y, x, covers))
    return places


def period(program: Program, axis: int) -> int:
    """Return the least common multiple of all strides from the pictures to a map: places that far apart are alike."""
    strides = {0: 1}
    for operator in program.operators:
        step = operator.stride[axis] if isinstance(operator, Window) else 1
        strides[operator.out] = lcm(*(strides[read] for read in operator.reads)) * step
    size = program.size(0)[axis]
    return lcm(*(stride for value, stride in strides.items() if program.is_map(value) and stride <= size))


def grouped(places: Ints, phase: int, together: int = TOGETHER) -> list[Ints]:
    """Return groups of indices into `places` (sorted, each once): at most `together`, of one phase where possible."""
    order = np.lexsort((places, places % phase))
    phases = (places % phase)[order]
    runs = np.split(order, np.flatnonzero(np.diff(phases)) + 1)
    groups: list[Ints] = []
    for run in runs:
        parts = np.array_split(run, -(-len(run) // together))
        for part in parts:
            if groups and len(part) + len(groups[-1]) <= together and min(len(part), len(groups[-1])) <= together // 3:
                groups[-1] = np.concatenate([groups[-1], part])
            else:
                groups.append(part)
    return groups


def batches(rows: list[Ints], columns: list[Ints], y: Ints, x: Ints) -> Iterator[Ints]:
    """Yield which positions go together: those of a group of rows and one of columns.

    y, x (P,): the place of each position among the different rows and columns.
    """
    group_y, group_x = _membership(rows), _membership(columns)
    key = group_y[y] * len(columns) + group_x[x]
    order = np.argsort(key, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(key[order])) + 1)


def _membership(groups: list[Ints]) -> Ints:
    found = np.zeros(sum(map(len, groups)), np.int64)
    for number, group in enumerate(groups):
        found[group] = number
    return found
