"""A layer's setting in words, as a table or an error message says it: "3x3, 64 -> 128, stride 2, padding 1"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from glassnet.nn.trace.windows import Window, window_of

LONGEST = 72  # letters that a layer we know nothing about may say of itself


def setting_of(layer: nn.Module) -> str:
    """Return the setting of the module `layer`; empty where it has none, as a ReLU."""
    if isinstance(layer, nn.modules.conv._ConvNd):
        return _convolution(layer)
    for kind, words in _WORDS.items():
        if isinstance(layer, kind):
            return words(layer)
    if window := window_of(layer):
        return str(window)
    return "" if isinstance(layer, _WITHOUT) else " ".join(layer.extra_repr().split())[:LONGEST]


def setting_of_call(
    function: str, window: Window | None, channels: Sequence[int], out_channels: int, arguments: Sequence[Any]
) -> str:
    """Return the setting of a function: its window, the channels it joins, or the axes it works on.

    `channels` are those of its inputs, `arguments` what it was called with.
    """
    if window is not None:
        kernel, *rest = str(window).split(", ")
        change = [f"{channels[0]} -> {out_channels}"] if function == "conv2d" else []
        return ", ".join([kernel, *change, *rest])
    if function in ("cat", "concat", "concatenate"):
        return " + ".join(map(str, channels)) + " channels"
    if function == "linear":
        return f"{channels[0]} -> {out_channels}"
    if function.startswith("adaptive_"):
        return f"to {_square(arguments[1])}"
    return ""


def _convolution(conv: nn.modules.conv._ConvNd) -> str:
    window = str(window_of(conv) or "x".join(map(str, conv.kernel_size))).split(", ")
    words = [window[0], f"{conv.in_channels} -> {conv.out_channels}"]
    if conv.groups == conv.in_channels > 1:
        words.append("depthwise")
    elif conv.groups > 1:
        words.append(f"{conv.groups} groups")
    words += window[1:]
    return ", ".join(words + ([] if conv.padding_mode == "zeros" else [conv.padding_mode]))


def _norm(norm: Any) -> str:
    return f"{norm.num_features} channels" + (f", eps {norm.eps:g}" if norm.eps != 1e-5 else "")


def _linear(linear: Any) -> str:
    return f"{linear.in_features} -> {linear.out_features}"


def _local_response(norm: Any) -> str:
    return f"over {norm.size} channels, alpha {norm.alpha:g}, beta {norm.beta:g}, k {norm.k:g}"


def _adaptive(pool: Any) -> str:
    return f"to {_square(pool.output_size)}"


def _pad(pad: Any) -> str:
    left, right, top, bottom = pad.padding
    same = left == right == top == bottom
    return f"by {left}" if same else f"left {left}, right {right}, top {top}, bottom {bottom}"


_WORDS: dict[type[nn.Module] | tuple[type[nn.Module], ...], Callable[[Any], str]] = {
    nn.Linear: _linear,
    nn.modules.batchnorm._BatchNorm: _norm,
    nn.LocalResponseNorm: _local_response,
    (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d): _adaptive,
    (nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d): _pad,
    (nn.Dropout, nn.Dropout2d): lambda layer: f"{layer.p:g} dropped",
}
_WITHOUT = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Identity, nn.Flatten, nn.Hardswish, nn.Hardsigmoid)


def _square(sides: Any) -> str:
    return "x".join(map(str, sides)) if isinstance(sides, tuple | list) else f"{sides}x{sides}"
