"""Which layer to look at, where the user leaves it open; and the sentence that says so."""

from __future__ import annotations

from glassnet.errors import InputError
from glassnet.explain.inside import Inside
from glassnet.nn.trace import Layer

AUTO = "auto"


def is_map(layer: Layer) -> bool:
    """Tell whether a layer's output still has positions: (C, H, W) with more than one of them."""
    return len(layer.output_shape) == 3 and layer.output_shape[1] * layer.output_shape[2] > 1


def chosen_map(inside: Inside, name: str = AUTO) -> tuple[Layer, str]:
    """Return a layer whose output is a map, and a sentence where it was chosen for the user.

    "auto" is the last map before the positions are pooled or flattened away: what the classifier reads, at its richest
    in meaning and coarsest in place. Raises `InputError` for a layer without positions, `UnknownName`.
    """
    maps = [layer for layer in inside.trace if is_map(layer)]
    if name == AUTO:
        if not maps:
            raise InputError("no layer of this network has positions to look at; every output is one vector")
        last = maps[-1]
        return last, f"layer {short(last.name)}, chosen: the last one that still has positions"
    layer = inside.layer(name)
    if not is_map(layer):
        raise InputError(
            f"layer {name!r} gives {'x'.join(map(str, layer.output_shape))} numbers without positions; "
            f"choose one before, as {short(maps[-1].name)!r}"
            if maps
            else f"layer {name!r} has no positions"
        )
    return layer, ""


def stages(inside: Inside) -> list[Layer]:
    """Return the last map of each stage of the network, from the picture on: what a strip over all stages shows."""
    last: dict[str, Layer] = {}
    for layer in inside.trace:
        if is_map(layer):
            last[short(layer.name).split(".")[0]] = layer
    return list(last.values())


def short(name: str) -> str:
    """Return a layer's name without the "body." that every network has."""
    return name.removeprefix("body.")
