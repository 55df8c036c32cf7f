"""What the engine takes in memory, counted before it takes it: so that a bound can be kept by smaller batches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from glassnet.errors import InputError
from glassnet.explain.occlusion import winograd
from glassnet.explain.occlusion.operators import Program, Total, Window
from glassnet.explain.occlusion.plan import Place

BYTES = 4
"""Of a float32."""


def bytes_kept(program: Program) -> int:
    """Return what the unoccluded activations and their padded copies take, at most, in bytes."""
    own = sum(value.numel() * BYTES for value in program.values if isinstance(value, Tensor))
    margins: dict[tuple[int, float], tuple[int, int]] = {}
    for operator in program.operators:
        if isinstance(operator, Window):
            tile = winograd.TILE if operator.whole_tiles is not None else 0
            reach = [operator.span(1, axis) + operator.stride[axis] + tile for axis in (0, 1)]
            key = (operator.reads[0], operator.fill)
            before = margins.get(key, (0, 0))
            margins[key] = (max(before[0], reach[0]), max(before[1], reach[1]))
    copies = 0
    for (value, _), (down, across) in margins.items():
        height, width = program.size(value)
        copies += program.values[value].shape[1] * (height + 2 * down) * (width + 2 * across) * BYTES
    return own + copies


def bytes_each(program: Program, body: int, places: Sequence[Place | None], last: Mapping[int, int]) -> int:
    """Return the most that one position of a batch takes at one time, in bytes.

    That is, while an operator runs: its result, the windows it reads, and all results that are still wanted.
    """
    live = {0: _bytes_of(program, 0, places)}
    most = 0
    for index, operator in enumerate(program.operators[:body]):
        mine = _bytes_of(program, operator.out, places)
        windows = sum(_bytes_read(program, operator, read, places) for read in operator.reads)
        most = max(most, sum(live.values()) + windows + 2 * mine)
        live[operator.out] = mine
        for read in operator.reads:
            if last[read] == index:
                live.pop(read, None)
    return most


def bytes_of_tiles(program: Program, places: Sequence[Place | None]) -> int:
    """Return what one worker's transformed tiles take, in bytes (see `winograd`): four copies of 36 numbers a tile."""
    most = 0
    for operator in program.operators:
        place = places[operator.out]
        if isinstance(operator, Window) and operator.whole_tiles is not None and place is not None:
            channels = max(program.values[value].shape[1] for value in (*operator.reads, operator.out))
            tiles = (place.height // winograd.TILE + 1) * (place.width // winograd.TILE + 1)
            most = max(most, winograd.CHUNK, tiles * channels)
    return 4 * 36 * most * BYTES


def _bytes_of(program: Program, value: int, places: Sequence[Place | None]) -> int:
    found, place = program.values[value], places[value]
    if not isinstance(found, Tensor):
        return 0
    if place is None:
        return found.numel() * BYTES
    return int(found.shape[1]) * place.height * place.width * BYTES


def _bytes_read(program: Program, operator: object, value: int, places: Sequence[Place | None]) -> int:
    """Return what the window takes that an operator cuts out to read, with the patch laid out in rows beside it."""
    place = places[value]
    if place is None:
        return 0
    channels = int(program.values[value].shape[1])
    own = channels * place.height * place.width
    if isinstance(operator, Window) and not place.full:
        at = places[operator.out]
        assert at is not None
        height, width = (
            operator.span(at.height, 0) + operator.stride[0],
            operator.span(at.width, 1) + operator.stride[1],
        )
        return (channels * height * width + own) * BYTES
    if isinstance(operator, Total):
        return 2 * own * BYTES
    height, width = program.size(value)
    return (own if place.full else channels * height * width + own) * BYTES


def positions_within(memory: float, kept: int, each: int) -> int:
    """Return how many positions can be computed together within `memory` MB; raise `InputError` where not one can."""
    if not isinstance(memory, int | float) or not math.isfinite(memory) or memory <= 0:
        raise InputError(f"memory is {memory!r}; expected megabytes above 0")
    fitting = int((memory * 1e6 - kept) // max(each, 1))
    if fitting < 1:
        raise InputError(
            f"memory is {memory:g} MB; this network and occluder need at least {math.ceil((kept + each) / 1e6)}"
        )
    return fitting
