"""Class maps: where a layer's maps hold what speaks for the class.

A class map is a weighted sum of a layer's maps A (C, h, w); the methods differ in where the weights come from: the
classifier's own (CAM), the mean gradient of the class's logit (Grad-CAM), its positive part weighed by position
(Grad-CAM++), or what each map, used as a mask, does to the logit (Score-CAM). The gradient goes back only to the layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.errors import InputError
from glassnet.explain.case import Case
from glassnet.explain.choose import AUTO, chosen_map, is_map, short
from glassnet.explain.explanation import Explanation
from glassnet.explain.inside import Inside
from glassnet.explain.masks import to_unit
from glassnet.explain.placing import spread
from glassnet.nn.trace import Layer

BATCH = 32  # masked pictures computed at a time


def gradcam(case: Case, *, layer: str = AUTO) -> Explanation:
    """Return Grad-CAM: relu(sum over k of w_k A_k), where w_k is the mean over positions of d logit / d A_k.

    Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2. "auto" is the last convolutional stage with positions.
    On a network whose maps are averaged and read by a linear layer this is CAM's positive part over h w. Raises
    `InputError` for a layer without positions, `UnknownName`.
    """
    found, note = last_stage(case.inside, layer)
    maps, slopes = _maps_and_slopes(case, found.name)
    weights = slopes.mean((1, 2))  # (C,)
    return _explanation(case, "gradcam", "Grad-CAM", _weighed(weights, maps).clamp_min(0), found, note)


def gradcam_plus_plus(case: Case, *, layer: str = AUTO) -> Explanation:
    """Return Grad-CAM++: as Grad-CAM, where a position's slope counts by a_k = g^2 / (2 g^2 + g^3 sum of A_k).

    w_k = sum over positions of a_k relu(g), with g = d logit / d A_k: Chattopadhyay et al. 2018, arXiv:1710.11063,
    equations 10 and 19, with exp(logit) as the score, whose derivatives are g, g^2, g^3 times it; the common factor
    exp(logit) is left out. A k whose denominator is 0 counts nothing.
    """
    found, note = last_stage(case.inside, layer)
    maps, slopes = _maps_and_slopes(case, found.name)
    below = 2 * slopes**2 + slopes**3 * maps.sum((1, 2), keepdim=True)
    shares = torch.where(below != 0, slopes**2 / torch.where(below != 0, below, 1), 0)
    weights = (shares * slopes.clamp_min(0)).sum((1, 2))
    return _explanation(case, "gradcam++", "Grad-CAM++", _weighed(weights, maps).clamp_min(0), found, note)


def scorecam(case: Case, *, layer: str = AUTO, channels: int | None = None) -> Explanation:
    """Return Score-CAM: relu(sum over k of w_k A_k), where w_k is what map k as a mask leaves of the logit.

    Each map is spread over the picture and scaled to [0, 1]; the picture times it gets a logit; w is the softmax over k
    of the logit's gain over that of an empty picture: Wang et al. 2020, arXiv:1910.01279, definition 3 and algorithm 1.
    It costs one forward per map; `channels` takes only the so many maps with the greatest sums. Covered is what the
    preprocess makes 0, the mean colour. Raises `InputError` for fewer than 1 or a layer without positions.
    """
    found, note = last_stage(case.inside, layer)
    if channels is not None and channels < 1:
        raise InputError(f"channels is {channels}; expected at least 1")
    with torch.no_grad():
        maps = case.inside.play(case.images, keep=[found.name], until=found.name).kept[found.name][0].float().cpu()
    chosen = maps.sum((1, 2)).argsort(descending=True, stable=True)[:channels]
    gains = _gains(case, maps[chosen], found)
    weighed = _weighed(gains.softmax(0), maps[chosen]).clamp_min(0)
    if channels is not None and channels < len(maps):
        note = "; ".join(filter(None, [note, f"of {len(maps)} maps the {channels} strongest were tried"]))
    return _explanation(case, "scorecam", "Score-CAM", weighed, found, note, channels=channels)


def cam(case: Case) -> Explanation:
    """Return CAM: what each position of the last maps adds to the class's logit, whose mean and the bias make it.

    Zhou et al. 2016, arXiv:1512.04150, equation 2, for networks whose last maps are averaged over all positions and
    then read by one linear layer; where each position is scored and the scores are averaged, the score map itself.
    Raises `InputError` for any other network.
    """
    source = cam_source(case.inside)
    keep = [source.maps.name, *([source.pooled] if source.pooled else [])]
    with torch.no_grad():
        playing = case.inside.play(case.images, keep=keep)
    maps = playing.kept[source.maps.name][0].float().cpu()
    pooled = playing.kept[source.pooled] if source.pooled else playing.logits
    assert pooled is not None
    if not _is_mean(maps, pooled.float().cpu().flatten()):
        raise InputError(_refusal(f"here what is read is not the mean of {short(source.maps.name)} over all positions"))
    rows = torch.eye(len(maps)) if source.head is None else source.head.weight.float().cpu()  # (K, C)
    return case.explanation(
        _weighed(rows[case.target], maps).numpy(),
        method="cam",
        title="CAM",
        kind="signed",
        unit="share of the class's score",
        extent=case.extent_of(source.maps.name),
        layer=source.maps.name,
        note="the mean over positions, and the bias, is the class's score",
    )


@dataclass(frozen=True)
class CamSource:
    """Where CAM finds its maps: `head` reads the mean of `maps` from layer `pooled`; both None for score maps."""

    maps: Layer
    head: nn.Linear | None = None
    pooled: str | None = None


def cam_source(inside: Inside) -> CamSource:
    """Return the maps that CAM weighs; raise `InputError` for a network that it does not fit."""
    last = inside.trace.layers[-1]
    head = inside.module(last.name)
    if isinstance(head, nn.Linear) and len(last.output_shape) == 1:
        maps = _before_the_mean(inside, inside.trace.layers[last.reads[0]]) if last.reads[0] >= 0 else None
        if maps is not None:
            return CamSource(maps, head, inside.trace.layers[last.reads[0]].name)
        raise InputError(_refusal(f"here {short(last.name)} reads {_described(inside, last)}"))
    maps = _before_the_mean(inside, last)
    if maps is not None and maps.output_shape[0] == last.output_shape[0]:
        return CamSource(maps)
    raise InputError(_refusal(f"here the last layer is {short(last.name)} ({last.kind})"))


def _is_mean(maps: Tensor, pooled: Tensor) -> bool:
    """Tell whether `pooled` (D,) is the mean over positions of maps (C, h, w), up to rounding: names alone may lie."""
    means, slack = maps.mean((1, 2)), 1e-4 * float(maps.abs().max())
    return means.shape == pooled.shape and torch.allclose(means, pooled, rtol=1e-3, atol=slack)


_MEANS = {"GlobalAveragePool", "AdaptiveAvgPool2d", "AvgPool2d", "AvgPool2dSame", "mean"}
_MEANS |= {"adaptive_avg_pool2d", "avg_pool2d"}
_PASSING = {"Flatten", "Dropout", "Dropout2d", "Identity", "flatten", "dropout", "squeeze", "view", "reshape"}


def _before_the_mean(inside: Inside, layer: Layer) -> Layer | None:
    """Return the maps whose mean over all positions `layer` is, going back through what changes no number."""
    while len(layer.reads) == 1 and layer.reads[0] >= 0:
        before = inside.trace.layers[layer.reads[0]]
        if layer.kind in _MEANS and is_map(before) and not is_map(layer):
            return before
        if layer.kind not in _PASSING or is_map(before):
            return None
        layer = before
    return None


def _described(inside: Inside, layer: Layer) -> str:
    before = inside.trace.layers[layer.reads[0]] if layer.reads[0] >= 0 else None
    return f"{short(before.name)} ({before.kind})" if before else "the picture"


def _refusal(found: str) -> str:
    return (
        "CAM needs a network whose last maps are averaged over all positions and read by one linear layer, or whose "
        f"score maps are averaged; {found}. gradcam, gradcam++ and scorecam work on any network with maps"
    )


def last_stage(inside: Inside, name: str = AUTO) -> tuple[Layer, str]:
    """Return the layer to take maps from, and a sentence where it was chosen: the end of the last convolutional stage.

    That is the last layer of the last convolution's resolution before anything is pooled: behind its norm, its
    activation and the sum or concatenation that it goes into. Raises as `chosen_map`.
    """
    if name != AUTO:
        return chosen_map(inside, name)
    convolutions = [at for at, layer in enumerate(inside.trace) if is_map(layer) and layer.multiply_adds]
    if not convolutions:
        return chosen_map(inside, name)
    at = convolutions[-1]
    side = inside.trace.layers[at].output_shape[1:]
    for number, layer in enumerate(inside.trace.layers[at + 1 :], at + 1):
        if at in layer.reads and layer.window is None and is_map(layer) and layer.output_shape[1:] == side:
            at = number
    last = inside.trace.layers[at]
    return last, f"layer {short(last.name)}, chosen: the end of the last convolutional stage"


def _maps_and_slopes(case: Case, layer: str) -> tuple[Tensor, Tensor]:
    """Return the layer's maps and the derivative of the class's logit with respect to them, both (C, h, w)."""
    playing = case.inside.play(case.images, keep=[layer], leaves=[layer])
    assert playing.logits is not None
    maps = playing.kept[layer]
    (slopes,) = torch.autograd.grad(playing.logits[0, case.target], maps)
    return maps.detach()[0].float().cpu(), slopes[0].float().cpu()


def _weighed(weights: Tensor, maps: Tensor) -> Tensor:
    """Return the sum of maps (C, h, w) times weights (C,): (h, w)."""
    return torch.einsum("c,chw->hw", weights, maps)


def _gains(case: Case, maps: Tensor, layer: Layer) -> Tensor:
    """Return what is gained in the class's logit over an empty picture, with each of maps (K, h, w) as a mask: (K,)."""
    logit = _logit_of(case)
    gains = []
    empty = logit(torch.zeros_like(case.images))
    for start in range(0, len(maps), BATCH):
        placed = spread(maps[start : start + BATCH].numpy(), case.extent_of(layer.name), case.size)
        masks = to_unit(torch.from_numpy(placed))  # (B, H, W)
        gains.append(logit(case.images * masks[:, None].to(case.images)) - empty)
        case.progress(min(start + BATCH, len(maps)), len(maps))
    return torch.cat(gains)


def _logit_of(case: Case) -> Callable[[Tensor], Tensor]:
    def logit(images: Tensor) -> Tensor:
        return case.predictor(images)[:, case.target].float().cpu().clone()

    return logit


def _explanation(
    case: Case, method: str, title: str, values: Tensor, layer: Layer, note: str, *, channels: int | None = None
) -> Explanation:
    settings: dict[str, Any] = {} if channels is None else {"channels": channels}
    if not values.any():
        note = "; ".join(filter(None, [note, "nothing in these maps speaks for the class"]))
    return case.explanation(
        values.numpy(),
        method=method,
        title=title,
        kind="map",
        unit="weight for the class",
        extent=case.extent_of(layer.name),
        layer=layer.name,
        note=note,
        **settings,
    )
