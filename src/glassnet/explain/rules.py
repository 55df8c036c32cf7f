"""One way back through the network, three rules for what a rectifier does to the signal on it.

From any layer a seed goes back to the picture through the transpose of everything on the way: filters transposed
(their stride inserts zeros), max pooling through the switches it used on the way in, batch norm by its factors, a sum
to all its parts, a concatenation to each its own. Only rectifiers differ; with z what one reads and g the signal:

    gradient    g [z > 0]              the derivative (Simonyan et al. 2013, arXiv:1312.6034)
    deconvnet   max(g, 0)              what goes back is rectified as what came in was (Zeiler & Fergus 2013,
                                       arXiv:1311.2901, section 2.1)
    guided      max(g, 0) [z > 0]      both (Springenberg et al. 2014, arXiv:1412.6806, section 3.4)

A rectifier is what clips at zero: ReLU, ReLU6, any clipping from 0 to something, as a module or as a function, written
in place or used several times. Where it also clips above, the derivative is 0 there, and the deconvnet, which does not
ask what the rectifier read, goes through. Every other activation keeps its derivative under all three rules: the
papers rectify the signal because rectified maps are never negative, which is not so for tanh, ELU or SiLU. Local
response normalisation too is passed by its derivative, at this picture.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from glassnet.errors import InputError, UnknownName
from glassnet.explain.inside import Call, Inside, Rule

RuleName = Literal["gradient", "deconvnet", "guided"]
RULES: tuple[RuleName, ...] = ("gradient", "deconvnet", "guided")

_RECTIFIERS = {"relu", "relu6"}
# Functions that clip, and where in their call (after the input) and under which word the lower bound is.
_CLIPPERS = {"clamp": "min", "clip": "min", "clamp_min": "min", "hardtanh": "min_val", "threshold": "threshold"}
_CLIPPERS["_threshold"] = "threshold"  # what torch calls F.threshold inside


def backward(inside: Inside, images: Tensor, layer: str | None, seed: Tensor, rule: str = "gradient") -> Tensor:
    """Carry `seed` from the output of `layer` back to the pictures by `rule`; return (N, C, H, W) in input space.

    `images` (N, C, H, W) float as the preprocess makes them; `seed` has the shape of the layer's output for them,
    (N, C', h, w) or (N, D); `layer` is a full name of the trace, or None for the logits (N, K). Under "gradient" the
    result is the gradient of the sum of seed times output. Linear in the seed there, and under the others for factors
    of at least 0. Raises `UnknownName` for the rule, `InputError` for a seed of another shape.
    """
    pictures = images.detach().clone().requires_grad_()
    keep = [] if layer is None else [layer]
    playing = inside.play(pictures, keep=keep, until=layer, rule=rule_of(rule))
    output = playing.logits if layer is None else playing.kept[layer]
    assert output is not None
    if seed.shape != output.shape:
        raise InputError(
            f"the seed is {tuple(seed.shape)}, but {layer or 'the logits'} of these pictures is {tuple(output.shape)}"
        )
    (signal,) = torch.autograd.grad(output, pictures, seed.to(output))
    return signal


def rule_of(name: str) -> Rule | None:
    """Return the rule for `Inside.play`: None for the derivative itself. Raises `UnknownName`."""
    if name not in RULES:
        raise UnknownName("rule", name, RULES, hint=f"it is one of: {', '.join(RULES)}")
    if name == "gradient":
        return None
    turned = _deconvolved if name == "deconvnet" else _guided

    def rule(module: nn.Module | None, function: str, call: Call) -> Call:
        if not _may_rectify(module, function):
            return call

        def rectifier(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            if module is None and not _clips_at_zero(function, args, kwargs):
                return call(input, *args, **kwargs)  # type: ignore[no-any-return]
            return turned(call, input, *args, **kwargs)

        return rectifier

    return rule


def has_rectifiers(inside: Inside) -> bool:
    """Tell whether any layer may be a rectifier: without one the three rules are the same."""
    return any(_may_rectify(inside.module(layer.name), layer.kind) for layer in inside.trace)


def _may_rectify(module: nn.Module | None, function: str) -> bool:
    """Tell whether a node is a rectifier; of a function that clips, its call must say more."""
    if module is None:
        return function in _RECTIFIERS or function in _CLIPPERS
    if isinstance(module, nn.Hardtanh):  # ReLU6 is one
        return module.min_val == 0
    if isinstance(module, nn.Threshold):
        return bool(module.threshold == 0 and module.value == 0)
    return isinstance(module, nn.ReLU)


def _clips_at_zero(function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if function in _RECTIFIERS:
        return True
    low = args[0] if args else kwargs.get(_CLIPPERS[function])
    if function.endswith("threshold"):  # what is below becomes `value`
        value = args[1] if len(args) > 1 else kwargs.get("value")
        return bool(low == 0 and value == 0)
    return not isinstance(low, Tensor) and low == 0


class _Rectify(torch.autograd.Function):
    """Nothing on the way in; on the way back the signal is rectified."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # noqa: ARG004
        return g.clamp_min(0)


class _Replace(torch.autograd.Function):
    """The value `y` in place of `x`, with x's place in the graph; on the way back the signal is rectified."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG004
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        return g.clamp_min(0), None


def _guided(call: Call, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    result: Tensor = _Rectify.apply(call(x, *args, **kwargs))  # type: ignore[no-untyped-call]
    return result


def _deconvolved(call: Call, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    result: Tensor = _Replace.apply(x, call(x.detach(), *args, **kwargs))  # type: ignore[no-untyped-call]
    return result
