"""Activation maximisation: the picture that a class, a channel, or one neuron answers most, made from noise.

Simonyan et al. 2013, "Deep inside convolutional networks", arXiv:1312.6034, section 2. Gradient ascent on the picture,
with the priors of `priors`; each step sees it moved, turned and scaled a little, so that what answers is a pattern and
not an accident of single pixels (Olah et al. 2017, "Feature visualization", doi:10.23915/distill.00007).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from glassnet.errors import InputError
from glassnet.explain.case import Case, Progress, class_number, no_progress
from glassnet.explain.choose import AUTO, chosen_map, short
from glassnet.explain.explanation import Explanation
from glassnet.explain.inside import Inside
from glassnet.explain.priors import (
    IMAGE_UNIT,
    Canvas,
    Colours,
    alpha_norm,
    as_image,
    check_descent,
    squashed,
    to_pixels,
    total_variation,
)
from glassnet.explain.strongest import as_maps
from glassnet.models.network import Network
from glassnet.nn.trace import Layer

STEPS = 128
LEARNING_RATE = 0.02
ALPHA_WEIGHT = 1.0
TV_WEIGHT = 1.0
MOST_TURN, MOST_SCALE = 5.0, 0.1
"""Degrees either way, and the share by which a picture is made larger or smaller."""


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What shall answer: the class number `target`, or `channel` of `layer`, all of its map or one `position` of it."""

    target: int | None = None
    layer: Layer | None = None
    channel: int = 0
    position: tuple[int, int] | None = None

    def read(self, inside: Inside, images: Tensor) -> Tensor:
        """Return the answer to each picture, (N,): the class's logit, the map's mean, or the neuron's value."""
        if self.layer is None:
            logits = inside.play(images).logits
            assert logits is not None
            return logits[:, self.target]
        output = inside.play(images, keep=[self.layer.name], until=self.layer.name).kept[self.layer.name]
        map_ = as_maps(output)[:, self.channel]  # (N, h, w)
        return map_.mean((1, 2)) if self.position is None else map_[:, self.position[0], self.position[1]]

    @property
    def words(self) -> str:
        """What it is, in words."""
        if self.layer is None:
            return "the class's logit"
        where = "" if self.position is None else f" at row {self.position[0]}, column {self.position[1]}"
        return f"{short(self.layer.name)}, channel {self.channel}{where}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Maximised:
    """The picture that was made, (1, C, H, W) float in the network's input space, and its answer beside noise's."""

    images: Tensor
    answer: float
    before: float


def ascend(
    network: Network,
    inside: Inside,
    aim: Aim,
    *,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
    parametrisation: str = "fourier",
    alpha_weight: float = ALPHA_WEIGHT,
    tv_weight: float = TV_WEIGHT,
    jitter: int | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Maximised:
    """Make the picture that `aim` answers most; settings as in `maximise`."""
    size = inside.trace.input_shape
    jitter = max(1, min(size[1:]) // 28) if jitter is None else jitter
    check_descent(
        size[1:],
        steps=steps,
        learning_rate=learning_rate,
        alpha_weight=alpha_weight,
        tv_weight=tv_weight,
        jitter=jitter,
    )
    canvas = Canvas((1, *size), kind=parametrisation, seed=seed).to(inside.device)
    colours = Colours.of(network.preprocess, inside.device)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam([canvas.parameters], lr=learning_rate)
    with torch.no_grad():
        before = float(aim.read(inside, colours.to_input(squashed(canvas.draw()))))
    for step in range(steps):
        v = squashed(canvas.draw())
        answer = aim.read(inside, colours.to_input(shaken(v, jitter, generator)))
        (upward,) = torch.autograd.grad(answer.sum(), v, retain_graph=True)
        priors = (alpha_weight * alpha_norm(v) + tv_weight * total_variation(v)).sum()
        (against,) = torch.autograd.grad(priors, v, retain_graph=True)
        # Answers have any scale, so the priors are weighed against a slope of one.
        v_slope = against * v[0].numel() ** 0.5 - upward / upward.norm().clamp(min=1e-12)
        (canvas.parameters.grad,) = torch.autograd.grad(v, canvas.parameters, v_slope)
        optimiser.step()
        progress(step + 1, steps)
    with torch.no_grad():
        made = colours.to_input(squashed(canvas.draw()))
        return Maximised(images=made.cpu(), answer=float(aim.read(inside, made)), before=before)


def maximise(
    network: Network,
    *,
    label: str | int | None = None,
    layer: str | None = None,
    channel: int | None = None,
    position: tuple[int, int] | None = None,
    inside: Inside | None = None,
    device: str | torch.device = "cpu",
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
    parametrisation: str = "fourier",
    alpha_weight: float = ALPHA_WEIGHT,
    tv_weight: float = TV_WEIGHT,
    jitter: int | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Explanation:
    """Make the picture that the class `label`, or a `channel` of `layer`, answers most; there is no given picture.

    The explanation's picture is the one that was made, and its score the probability that the network gives it.

    Args:
        label: a class's name or number. Either this or a channel.
        channel: its mean over all positions is raised, in `layer` (None or "auto": the last map).
        position: (row, column): only this neuron of the channel.
        jitter: most pixels either way that a step moves the picture; None takes a 28th of the shorter side.
        seed: of the starting noise and of the moves; torch's own state is not touched.

    Raises:
        UnknownName: there is no such layer or class.
        InputError: neither class nor channel or both, a channel or position that is not there, a setting out of range.
    """
    inside = inside or Inside.of(network, device=device)
    if (label is None) == (channel is None):
        raise InputError("give either a label, or a channel (and its layer): one of them is to answer")
    aim = Aim(target=_class(network, label)) if label is not None else find_aim(inside, layer, channel, position)
    if label is not None and (layer is not None or position is not None):
        raise InputError(f"label is {label!r}, so there is no layer or position to choose; leave them out")
    made = ascend(
        network,
        inside,
        aim,
        steps=steps,
        learning_rate=learning_rate,
        parametrisation=parametrisation,
        alpha_weight=alpha_weight,
        tv_weight=tv_weight,
        jitter=jitter,
        seed=seed,
        progress=progress,
    )
    pixels = np.ascontiguousarray(to_pixels(Colours.of(network.preprocess).from_input(made.images))[0].numpy())
    case = Case(
        network=network,
        inside=inside,
        images=made.images,
        pixels=pixels if pixels.shape[2] == 3 else pixels[:, :, :1],
        target=aim.target or 0,
        progress=progress,
    )
    return _explained(case, aim, made, steps=steps, parametrisation=parametrisation, seed=seed)


def maximisation(
    case: Case,
    *,
    layer: str | None = None,
    channel: int | None = None,
    position: tuple[int, int] | None = None,
    steps: int = STEPS,
    parametrisation: str = "fourier",
    seed: int = 0,
) -> Explanation:
    """Explain what the network would most like to see as the case's class, or for a `channel` of `layer`.

    The case's picture is not used, but for comparison: the note gives its answer too. Arguments and errors are those of
    `maximise`.
    """
    if channel is None and (layer is not None or position is not None):
        raise InputError("layer and position say where a channel is; give the channel too, or leave them out")
    inside = case.inside
    aim = Aim(target=case.target) if channel is None else find_aim(inside, layer, channel, position)
    made = ascend(
        case.network, inside, aim, steps=steps, parametrisation=parametrisation, seed=seed, progress=case.progress
    )  # fmt: skip
    with torch.no_grad():
        beside = float(aim.read(inside, case.images))
    return _explained(case, aim, made, beside, steps=steps, parametrisation=parametrisation, seed=seed)


def find_aim(inside: Inside, layer: str | None, channel: int | None, position: tuple[int, int] | None) -> Aim:
    """Return the aim that the words mean; raise `UnknownName` or `InputError` for what is not there."""
    found = chosen_map(inside, AUTO)[0] if layer in (None, AUTO) else inside.layer(str(layer))
    shape = (*found.output_shape, 1, 1)[:3]
    name = short(found.name)
    if channel is None or not 0 <= channel < shape[0]:
        raise InputError(f"layer {name!r} has no channel {channel}; it has {shape[0]}, numbered from 0")
    if position is not None and not (0 <= position[0] < shape[1] and 0 <= position[1] < shape[2]):
        raise InputError(
            f"layer {name!r} has no position {position}; its map has {shape[1]} rows and {shape[2]} columns"
        )
    return Aim(layer=found, channel=channel, position=position)


def shaken(v: Tensor, jitter: int, generator: torch.Generator) -> Tensor:
    """Return v (N, C, H, W) moved by up to `jitter` pixels, turned and scaled a little, mirrored beyond its edges."""
    row, column, turn, size = (torch.rand(4, generator=generator) * 2 - 1).tolist()
    angle, scale = math.radians(turn * MOST_TURN), 1 + size * MOST_SCALE
    height, width = v.shape[2:]
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    move = (2 * jitter * column / width, 2 * jitter * row / height)
    # Rows: x and y in [-1, 1] of the old picture from those of the new one; turning must not squeeze an oblong one.
    affine = v.new_tensor([[cos, -sin * height / width, move[0]], [sin * width / height, cos, move[1]]])
    grid = F.affine_grid(affine[None].expand(len(v), 2, 3), list(v.shape), align_corners=False)
    return F.grid_sample(v, grid, padding_mode="reflection", align_corners=False)


def _class(network: Network, label: str | int) -> int:
    if label == "top" and "top" not in network.classes:
        raise InputError("label is 'top', but there is no picture whose top class it could be; name a class")
    return class_number(network, label, torch.empty(0))


def _explained(case: Case, aim: Aim, made: Maximised, beside: float | None = None, **settings: Any) -> Explanation:
    told = f"{aim.words}: {made.answer:.3g}, of noise {made.before:.3g}"
    if beside is not None:
        told += f", of this picture {beside:.3g}"
    return case.explanation(
        as_image(made.images, case.network.preprocess),
        method="maximisation",
        title="Activation maximisation",
        kind="image",
        unit=IMAGE_UNIT,
        layer=None if aim.layer is None else aim.layer.name,
        of_class=aim.layer is None,
        note=told,
        answer=made.answer,
        **settings,
    )
