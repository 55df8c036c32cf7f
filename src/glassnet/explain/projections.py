"""Projections: what in the picture a class, a layer, a channel or a single activation answers to, in pixels.

The way back and its three rules are in `rules`. Of the class the seed is 1 at its logit. Of a layer, the deconvnet and
guided backpropagation send back the activations' own values with all others zero, as Zeiler & Fergus 2013 (section 2.1)
do; the gradient sends back 1, so that it is the derivative of the activation, or of the sum of several.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from glassnet.errors import InputError
from glassnet.explain.case import Case
from glassnet.explain.choose import AUTO, chosen_map, short
from glassnet.explain.explanation import Explanation
from glassnet.explain.rules import backward, has_rectifiers
from glassnet.nn.trace import Layer

Position = tuple[int, int]


def gradient(
    case: Case, *, layer: str | None = None, channel: int | None = None, position: Position | None = None
) -> Explanation:
    """Return the gradient of the class's logit in input space; or that of a layer's activations, see `project`.

    With `layer` ("auto" is the last with positions): the sum of its outputs; with `channel`, that channel's strongest
    activation; with `position` (row, column) on the layer's map, the one there. Raises `InputError`, `UnknownName`.
    """
    return _explained(case, "gradient", "Gradient", layer, channel, position)


def deconvnet(
    case: Case, *, layer: str | None = None, channel: int | None = None, position: Position | None = None
) -> Explanation:
    """Return the deconvnet's projection of the class's logit, or of a layer's activations; settings as `gradient`'s."""
    return _explained(case, "deconvnet", "Deconvnet", layer, channel, position)


def guided(
    case: Case, *, layer: str | None = None, channel: int | None = None, position: Position | None = None
) -> Explanation:
    """Return guided backpropagation from the class's logit, or a layer's activations; settings as `gradient`'s."""
    return _explained(case, "guided", "Guided backpropagation", layer, channel, position)


def project(case: Case, layer: str, *, rule: str = "deconvnet", seeds: Tensor) -> Tensor:
    """Carry `seeds` (N, C', h, w) or (N, D) at `layer` back to the case's picture; return (N, C, H, W) input space.

    N seeds are N projections of the one picture. Raises `UnknownName` for layer and rule, `InputError` for the shape.
    """
    name = case.inside.layer(layer).name
    return backward(case.inside, case.images.expand(len(seeds), -1, -1, -1), name, seeds, rule)


def strongest(activations: Tensor, channel: int) -> Position:
    """Return (row, column) of the greatest activation of a channel; of several the first. `activations` (C, h, w)."""
    row, column = divmod(int(activations[channel].argmax()), activations.shape[2])
    return row, column


def _explained(
    case: Case, method: str, title: str, layer: str | None, channel: int | None, position: Position | None
) -> Explanation:
    if layer is None:
        return _of_class(case, method, title, channel, position)
    found, note = chosen_map(case.inside, layer) if layer == AUTO else (case.inside.layer(layer), "")
    with torch.no_grad():
        activations = case.inside.play(case.images, keep=[found.name], until=found.name).kept[found.name].cpu()
    where, said = _places(found, activations[0], channel, position)
    seeds = where if method == "gradient" else where * activations
    image = project(case, found.name, rule=method, seeds=seeds)
    note = "; ".join(filter(None, [note, said, _same_rules(case, method)]))
    title = f"{title} of {_named(found, channel)}"
    return _explanation(case, image, method, title, note, layer=found.name, channel=channel, position=position)


def _of_class(case: Case, method: str, title: str, channel: int | None, position: Position | None) -> Explanation:
    for name, value in (("channel", channel), ("position", position)):
        if value is not None:
            raise InputError(f"{name} is {value}, but no layer is given; say which with layer=, or layer='auto'")
    seed = torch.zeros(1, len(case.network.classes))
    seed[0, case.target] = 1
    image = backward(case.inside, case.images, None, seed, method)
    return _explanation(case, image, method, title, _same_rules(case, method))


def _explanation(
    case: Case, image: Tensor, method: str, title: str, note: str, *, layer: str | None = None, **settings: Any
) -> Explanation:
    """Return the explanation whose image is (1, C, H, W)."""
    if not image.any():
        vanished = "nothing of it reaches the picture: at some rectifier on the way back all of it is below zero"
        note = "; ".join(filter(None, [note, vanished]))
    return case.explanation(
        image[0].permute(1, 2, 0).cpu().numpy(),  # (H, W, C)
        method=method,
        title=title,
        kind="image",
        unit="change per unit of the input" if method == "gradient" else "projection, in the input's units",
        layer=layer,
        of_class=layer is None,
        note=note,
        **{name: value for name, value in settings.items() if value is not None},
    )


def _places(layer: Layer, activations: Tensor, channel: int | None, position: Position | None) -> tuple[Tensor, str]:
    """Return 1 where the seed goes and 0 elsewhere, (1, C, h, w) or (1, D), and a sentence about what was chosen."""
    shape = activations.shape
    _check(layer, shape, channel, position)
    where, said = torch.ones(1, *shape), ""
    if channel is not None:
        where = torch.zeros(1, *shape)
        where[0, channel] = 1
    if channel is not None and position is None and len(shape) == 3:
        position = strongest(activations, channel)
        value = float(activations[channel][position])
        said = f"channel {channel} is strongest at row {position[0]}, column {position[1]}, with {value:.3g}"
        if value <= 0:
            said += ": it does not answer to this picture"
    if position is not None:
        there = torch.zeros(shape[1:])
        there[position] = 1
        where = where * there
    return where, said


def _check(layer: Layer, shape: torch.Size, channel: int | None, position: Position | None) -> None:
    name = short(layer.name)
    if channel is not None and not 0 <= channel < shape[0]:
        raise InputError(f"channel is {channel}; {name} has {shape[0]}, numbered from 0")
    if position is None:
        return
    if len(shape) != 3:
        raise InputError(f"position is {position}, but {name} gives {shape[0]} numbers without positions; leave it out")
    if len(position) != 2 or not (0 <= position[0] < shape[1] and 0 <= position[1] < shape[2]):
        raise InputError(
            f"position is {position}; expected (row, column) on {name}'s map of {shape[1]}x{shape[2]}, from 0"
        )


def _same_rules(case: Case, method: str) -> str:
    if method == "gradient" or has_rectifiers(case.inside):
        return ""
    return "this network has no rectifier, so this is its gradient"


def _named(layer: Layer, channel: int | None) -> str:
    return short(layer.name) if channel is None else f"{short(layer.name)}, channel {channel}"
