"""Blocks: the repeated parts of the papers, each an abbreviation for a few plain layers.

A block is a function of the channels it is given and of its own keys; it returns layers in the language itself, so
whatever a block is can also be written out, and varied. `style` is what it hands on to all its convolutions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from glassnet.errors import InputError
from glassnet.models.described.norms import shifts

Layer = dict[str, Any]
Layers = list[Layer]
Block = Callable[..., Layers]


def residual(
    channels: int,
    *,
    width: int,
    stride: int = 1,
    kernel: Any = 3,
    shortcut: str = "B",
    norm: Any = "batch",
    activation: Any = "relu",
    **style: Any,
) -> Layers:
    """Two convolutions, added to the input, then the activation (He et al. 2015, arXiv:1512.03385)."""
    style |= {"norm": norm}
    path = [
        {"conv": width, "kernel": kernel, "stride": stride, "activation": activation, **style},
        {"conv": width, "kernel": kernel, **style},
    ]
    return _added(path, _shortcut(channels, width, stride, shortcut, style), activation)


def bottleneck(
    channels: int,
    *,
    width: int,
    stride: int = 1,
    kernel: Any = 3,
    expansion: int = 4,
    groups: int = 1,
    shortcut: str = "B",
    norm: Any = "batch",
    activation: Any = "relu",
    **style: Any,
) -> Layers:
    """1x1 down to `width`, a convolution, 1x1 up to `expansion` times as many; added (He et al. 2015).

    With `groups` the middle one is ResNeXt's (Xie et al. 2016, arXiv:1611.05431).
    """
    style |= {"norm": norm}
    path = [
        _pointwise(width, style, activation=activation),
        {"conv": width, "kernel": kernel, "stride": stride, "groups": groups, "activation": activation, **style},
        _pointwise(expansion * width, style),
    ]
    return _added(path, _shortcut(channels, expansion * width, stride, shortcut, style), activation)


def preactivation(
    channels: int,
    *,
    width: int,
    stride: int = 1,
    kernel: Any = 3,
    shortcut: str = "B",
    norm: Any = "batch",
    activation: Any = "relu",
    **style: Any,
) -> Layers:
    """Norm and activation before each convolution, nothing after the sum (He et al. 2016, arXiv:1603.05027).

    A projection, where the shape changes, reads the activated input, as in the authors' code.
    """
    style = {"bias": not shifts(norm), **style}
    bend = {"norm": norm, "activation": activation}
    path = [
        {"conv": width, "kernel": kernel, "stride": stride, **style, **bend},
        {"conv": width, "kernel": kernel, **style},
    ]
    if shortcut == "none":
        return [bend, *path]
    around = _shortcut(channels, width, stride, shortcut, style)
    if around and "conv" in around[0]:
        return [bend, {"branches": [path, around], "join": "add"}]
    return [{"branches": [[bend, *path], around or []], "join": "add"}]


def inverted_residual(
    channels: int,
    *,
    width: int,
    stride: int = 1,
    kernel: Any = 3,
    expansion: int = 6,
    norm: Any = "batch",
    activation: Any = "relu6",
    **style: Any,
) -> Layers:
    """Widen, filter each channel by itself, narrow; added where the shape stays (Sandler et al. 2018, 1801.04381)."""
    style |= {"norm": norm}
    wide = expansion * channels
    widen = [_pointwise(wide, style, activation=activation)] if expansion > 1 else []
    path = [
        *widen,
        {"conv": wide, "kernel": kernel, "stride": stride, "groups": wide, "activation": activation, **style},
        _pointwise(width, style),
    ]
    same = stride == 1 and channels == width
    return [{"branches": [path, []], "join": "add"}] if same else path


def separable(
    channels: int,
    *,
    width: int,
    stride: int = 1,
    kernel: Any = 3,
    norm: Any = "batch",
    activation: Any = "relu",
    **style: Any,
) -> Layers:
    """Filter each channel by itself, then mix them 1x1 (MobileNet: Howard et al. 2017, arXiv:1704.04861)."""
    style |= {"norm": norm, "activation": activation}
    return [
        {"conv": channels, "kernel": kernel, "stride": stride, "groups": channels, **style},
        _pointwise(width, style),
    ]


def inception(
    channels: int,  # noqa: ARG001 - every block is given them
    *,
    widths: list[Any],
    norm: Any = "none",
    activation: Any = "relu",
    **style: Any,
) -> Layers:
    """1x1, 3x3, 5x5 and a max-pooling side by side (Szegedy et al. 2014, arXiv:1409.4842).

    widths: [1x1, [reduce, 3x3], [reduce, 5x5], behind the pooling], as [64, [96, 128], [16, 32], 32]. A number in
    place of a pair leaves the reduction out, 0 at the end the convolution behind the pooling: the naive module.
    """
    style |= {"norm": norm, "activation": activation}
    _expect(len(widths) == 4, widths, "[1x1, [reduce, 3x3], [reduce, 5x5], behind the pooling]")
    one, three, five, pooled = widths
    _expect(not isinstance(one, list) and not isinstance(pooled, list), widths, "a pair only for 3x3 and 5x5")
    needed = [one, *(each for pair in (three, five) for each in (pair if isinstance(pair, list) else [pair]))]
    _expect(min(needed) >= 1, widths, "at least 1 filter each; only the last may be 0")
    pool: Layers = [{"pool": "max", "kernel": 3, "stride": 1, "padding": 1}]
    branches = [
        [_pointwise(one, style)],
        _reduced(three, 3, style),
        _reduced(five, 5, style),
        [*pool, _pointwise(pooled, style)] if pooled else pool,
    ]
    return [{"branches": branches, "join": "concat"}]


def mlpconv(
    channels: int,  # noqa: ARG001 - every block is given them
    *,
    widths: list[int],
    kernel: Any = 3,
    stride: int = 1,
    norm: Any = "none",
    activation: Any = "relu",
    **style: Any,
) -> Layers:
    """A convolution of widths[0] filters, then 1x1 convolutions of the other widths (Lin et al. 2013, 1312.4400)."""
    style |= {"norm": norm, "activation": activation}
    _expect(not any(isinstance(width, list) for width in widths), widths, "whole numbers, no pairs")
    first = {"conv": widths[0], "kernel": kernel, "stride": stride, **style}
    return [first, *(_pointwise(width, style) for width in widths[1:])]


def fire(
    channels: int,  # noqa: ARG001 - every block is given them
    *,
    widths: list[int],
    norm: Any = "none",
    activation: Any = "relu",
    **style: Any,
) -> Layers:
    """Squeeze 1x1, then expand 1x1 and 3x3 side by side; widths: those three (SqueezeNet, arXiv:1602.07360)."""
    style |= {"norm": norm, "activation": activation}
    _expect(len(widths) == 3, widths, "[squeeze, expand 1x1, expand 3x3]")
    squeeze, one, three = widths
    branches = [[_pointwise(one, style)], [{"conv": three, "kernel": 3, **style}]]
    return [_pointwise(squeeze, style), {"branches": branches, "join": "concat"}]


BLOCKS: dict[str, Block] = {
    function.__name__: function
    for function in (residual, preactivation, bottleneck, inverted_residual, separable, inception, mlpconv, fire)
}


def parameters(block: str) -> dict[str, Any]:
    """Return the keys a block has beside its style, with their defaults; `inspect.Parameter.empty`: it needs them."""
    own = inspect.signature(BLOCKS[block]).parameters.values()
    return {each.name: each.default for each in own if each.kind is inspect.Parameter.KEYWORD_ONLY}


def _expect(fine: bool, widths: list[Any], expected: str) -> None:
    if not fine:
        raise InputError(f"widths is {widths}; expected {expected}")


def _pointwise(width: int, style: Layer, **more: Any) -> Layer:
    """A 1x1 convolution, which needs no padding whatever the others have."""
    return {"conv": width, "kernel": 1, **style, **more, "padding": "valid"}


def _shortcut(channels: int, width: int, stride: int, kind: str, style: Layer) -> Layers | None:
    """Return the way around a block, as the paper's options: None for no way, [] for the identity."""
    if kind == "none":
        return None
    if kind != "C" and stride == 1 and channels == width:
        return []
    if kind == "A":
        return [{"zero_padded": width, "stride": stride}]
    return [_pointwise(width, style, stride=stride)]


def _added(path: Layers, around: Layers | None, activation: Any) -> Layers:
    """Add `path` and the way around it, and bend the sum; without one, bend the path."""
    if around is None:
        return [*path[:-1], {**path[-1], "activation": activation}]
    return [{"branches": [path, around], "join": "add", "activation": activation}]


def _reduced(width: Any, kernel: int, style: Layer) -> Layers:
    """A convolution, behind a 1x1 reduction where `width` is [reduction, width]."""
    reduction, out = width if isinstance(width, list) else (0, width)
    convolution: Layer = {"conv": out, "kernel": kernel, **style}
    return [_pointwise(reduction, style), convolution] if reduction else [convolution]
