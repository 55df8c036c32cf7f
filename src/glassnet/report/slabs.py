"""What a drawing of a network shows: its feature maps as slabs, gathered by stage, with the roads around them.

A network of few layers shows every convolution; one of many a slab for each residual block, or one for a run of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from glassnet.nn.trace import Layer, Shape, Trace

MOST_SLABS = 27  # more than that are too thin to be told apart on a page


@dataclass(frozen=True)
class Slab:
    """One feature map, (C, H, W), or vector, (D,), and what made it.

    `kind` is input, conv, pool or dense; `parts` the channels that were concatenated; a `road` leads around the last
    `span` slabs, straight ("identity") or through a convolution ("projection"); `times` as many stand in a row.
    """

    kind: str
    what: str
    shape: Shape
    parts: tuple[int, ...] = ()
    road: str = ""
    span: int = 1
    times: int = 1


@dataclass(frozen=True)
class Stage:
    """A named part of the network and its slabs."""

    name: str
    slabs: tuple[Slab, ...]


def stages(traced: Trace) -> list[Stage]:
    """Return the stages of `traced`, as detailed as `MOST_SLABS` allows, the pictures first."""
    for blocks, folded in ((False, False), (True, False), (True, True)):
        drawn = [_stage(traced, name, members, blocks, folded) for name, members in _by_stage(traced)]
        if sum(len(stage.slabs) for stage in drawn) <= MOST_SLABS:
            break
    else:  # a network of very many stages: the map each of them ends in
        drawn = [Stage(stage.name, stage.slabs[-1:]) for stage in drawn]
    picture = Stage("input", (Slab("input", "picture", traced.input_shape),))
    return [picture, *(stage for stage in drawn if stage.slabs)]


def _by_stage(traced: Trace) -> list[tuple[str, list[int]]]:
    found: dict[str, list[int]] = {}
    for number, layer in enumerate(traced):
        found.setdefault(_path(layer)[0], []).append(number)
    return list(found.items())


def _path(layer: Layer) -> list[str]:
    return layer.name.removeprefix("body.").split(".")


def _stage(traced: Trace, name: str, members: list[int], blocks: bool, folded: bool) -> Stage:
    slabs: list[Slab] = []
    for part in _parts(traced, members, blocks):
        joins = [number for number in part if _joins(traced.layers[number])]
        if blocks and not joins and len(part) > 1:
            slabs.append(Slab("conv", "block", traced.layers[part[-1]].output_shape))
        elif not joins:
            slabs += [_slab(traced.layers[number]) for number in part if _shows(traced.layers[number])]
        elif _concatenates(traced, joins[-1]):
            slabs += _concatenation(traced, part, joins[-1])
        else:
            slabs += _residual(traced, part, joins[-1], blocks)
    return Stage(name, tuple(_told_once(slabs) if folded else slabs))


def _parts(traced: Trace, members: list[int], blocks: bool) -> Iterator[list[int]]:
    """Cut a stage into runs of plain layers and blocks: all layers of the outermost module with a join in it.

    `blocks` are also the stage's other parts that have parts themselves.
    """
    scopes = [tuple(_path(traced.layers[number])[:-1]) for number in members if _joins(traced.layers[number])]
    outermost = [scope for scope in scopes if not any(scope[: len(o)] == o and o != scope for o in scopes)]
    parts: dict[tuple[str, ...] | int, list[int]] = {}
    for number in members:
        path = tuple(_path(traced.layers[number]))
        scope = next((scope for scope in outermost if path[: len(scope)] == scope), None)
        if scope is None and blocks and len(path) >= 4:  # stage, block, convolution, its part
            scope = path[:2]
        parts.setdefault(number if scope is None else scope, []).append(number)
    yield from parts.values()


def _joins(layer: Layer) -> bool:
    return layer.kind in ("add", "cat", "concat", "Add", "Concatenate", "Concat") and len(layer.reads) > 1


def _concatenates(traced: Trace, number: int) -> bool:
    return sum(_channels(traced, number)) == traced.layers[number].output_shape[0]


def _channels(traced: Trace, number: int) -> list[int]:
    shapes = [traced.layers[i].output_shape if i >= 0 else traced.input_shape for i in traced.layers[number].reads]
    return [shape[0] for shape in shapes]


def _concatenation(traced: Trace, part: Sequence[int], join: int) -> list[Slab]:
    """What all branches share, then their outputs side by side."""
    branches = [_ancestors(traced, source, part) for source in traced.layers[join].reads]
    trunk = sorted(set.intersection(*branches))
    slabs = [_slab(traced.layers[number]) for number in trunk if _shows(traced.layers[number])]
    behind = [_slab(traced.layers[n]) for n in part if n > join and _shows(traced.layers[n])]
    parts = tuple(_channels(traced, join))
    return [*slabs, Slab("conv", "joined branches", traced.layers[join].output_shape, parts), *behind]


def _residual(traced: Trace, part: Sequence[int], join: int, blocks: bool) -> list[Slab]:
    """The longer road through the block, and the other around it."""
    roads = sorted((_ancestors(traced, source, part) for source in traced.layers[join].reads), key=len)
    longest = [_slab(traced.layers[n]) for n in sorted(roads[-1]) if _shows(traced.layers[n])]
    shorter = [n for n in roads[0] if traced.layers[n].multiply_adds > 0]
    if not longest:
        return []
    road = "projection" if shorter else "identity"
    if blocks:
        return [Slab("conv", "residual block", traced.layers[part[-1]].output_shape, road=road)]
    named = [replace(slab, what="residual block") for slab in longest]
    return [*named[:-1], replace(named[-1], road=road, span=len(longest))]


def _ancestors(traced: Trace, number: int, part: Sequence[int]) -> set[int]:
    """Return the layers of `part` that lead to layer `number`, itself included."""
    found, ahead = set(), [number]
    while ahead:
        at = ahead.pop()
        if at in part and at not in found:
            found.add(at)
            ahead += traced.layers[at].reads
    return found


def _told_once(slabs: Sequence[Slab]) -> list[Slab]:
    told: list[Slab] = []
    for slab in slabs:
        if told and replace(told[-1], times=1) == slab:
            told[-1] = replace(slab, times=told[-1].times + 1)
        else:
            told.append(slab)
    return told


def _shows(layer: Layer) -> bool:
    """Tell whether a layer makes a map worth drawing: one that weighs, or that changes the shape by more than view."""
    return layer.multiply_adds > 0 or (layer.output_shape != layer.input_shape and layer.memory > 0)


def _slab(layer: Layer) -> Slab:
    kernel = f" {'x'.join(map(str, layer.window.kernel))}" if layer.window else ""
    if layer.multiply_adds and len(layer.output_shape) == 1:
        return Slab("dense", "dense", layer.output_shape)
    if layer.multiply_adds:
        depthwise = "depthwise" if layer.groups == layer.input_shape[0] > 1 else "conv"
        return Slab("conv", depthwise + kernel, layer.output_shape)
    over = "global " if len(layer.output_shape) == 1 or layer.output_shape[1:] == (1, 1) else ""
    kind = layer.kind.lower()
    what = (
        "max pool" if "max" in kind else "average pool" if "avg" in kind or "average" in kind or kind == "mean" else ""
    )
    return Slab("pool" if what or layer.window else "conv", f"{over}{what or layer.kind}{kernel}", layer.output_shape)
