"""Inversion: a picture that a layer cannot tell from the given one, found by descent on its pixels.

Mahendran & Vedaldi 2015, "Understanding deep image representations by inverting them", arXiv:1412.0035. With Phi what
the layer makes of a picture x and Phi0 what it made of the given one, minimise

    |Phi(x) - Phi0|^2 / |Phi0|^2 + a alpha-norm(x) + b total variation(x).

What the layer has thrown away is filled in by the priors, so what can still be recognised is what it knows. Differs
from the paper: Adam with a learning rate that falls to zero, on Fourier coefficients by default (see `priors`), which
took a fifth of the steps that momentum on pixels took; the start is faint noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glassnet.errors import InputError
from glassnet.explain.case import Case, Progress, no_progress
from glassnet.explain.choose import AUTO, chosen_map, short, stages
from glassnet.explain.explanation import Explanation
from glassnet.explain.inside import Inside
from glassnet.explain.priors import (
    Canvas,
    Colours,
    alpha_norm,
    check_descent,
    draw_shift,
    moved,
    to_pixels,
    total_variation,
)
from glassnet.nn.trace import Layer
from glassnet.preprocess import Preprocess

STEPS = 200
LEARNING_RATE = 0.05
ALPHA_WEIGHT = 0.1
TV_WEIGHT = 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class Inverted:
    """Pictures that `layer` takes for the given ones.

    images: (N, C, H, W) float in the network's input space, every pixel one that a picture can have. errors: (N,)
    |Phi(x) - Phi0| / |Phi0| of these; 0 is perfect, and 1 is what a layer of zeros would have. history: the mean error
    before each step, as the descent saw it (moved by jitter, not yet held to the range).
    """

    layer: Layer
    images: Tensor
    errors: tuple[float, ...]
    history: tuple[float, ...]


def invert(
    inside: Inside,
    images: Tensor,
    layer: str,
    *,
    preprocess: Preprocess,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
    parametrisation: str = "fourier",
    alpha_weight: float = ALPHA_WEIGHT,
    tv_weight: float = TV_WEIGHT,
    jitter: int = 0,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Inverted:
    """Reconstruct `images` (N, C, H, W), as `preprocess` makes them, from the output of `layer` alone.

    Args:
        parametrisation: "fourier" or "pixels".
        alpha_weight: of the mean of |v|^6, v from -1 to 1 where a picture can be.
        tv_weight: of the mean squared difference of neighbouring pixels.
        jitter: the picture is moved by up to so many pixels either way before each step: smoother, less exact.
        seed: of the starting noise and the jitter; torch's own state is not touched.

    Raises:
        UnknownName: there is no such layer.
        InputError: a setting out of range, or a layer that gives nothing but zeros.
    """
    check_descent(
        images.shape[2:],
        steps=steps,
        learning_rate=learning_rate,
        alpha_weight=alpha_weight,
        tv_weight=tv_weight,
        jitter=jitter,
    )
    found = inside.layer(layer)
    images = images.to(inside.device)
    wanted = _output(inside, images, found).detach()
    scale = wanted.flatten(1).square().sum(1)  # (N,)
    if not scale.min() > 0:
        raise InputError(f"layer {short(found.name)!r} gives only zeros for this picture: nothing is left to invert")
    canvas = Canvas(tuple(images.shape), kind=parametrisation, seed=seed).to(inside.device)
    colours = Colours.of(preprocess, inside.device)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam([canvas.parameters], lr=learning_rate)
    history = []
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = learning_rate * _falling(step / steps)
        v = canvas.draw()
        shift = draw_shift(jitter, generator) if jitter else (0, 0)
        squared = _squared(_output(inside, colours.to_input(moved(v, shift)), found), wanted) / scale  # (N,)
        loss = squared + alpha_weight * alpha_norm(v) + tv_weight * total_variation(v)
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
        history.append(float(squared.detach().sqrt().mean()))
        progress(step + 1, steps)
    with torch.no_grad():
        made = colours.to_input(canvas.draw().clamp(-1, 1))
        errors = (_squared(_output(inside, made, found), wanted) / scale).sqrt()
    return Inverted(layer=found, images=made.cpu(), errors=tuple(errors.tolist()), history=tuple(history))


def inversion(
    case: Case,
    *,
    layer: str = AUTO,
    steps: int = STEPS,
    parametrisation: str = "fourier",
    alpha_weight: float = ALPHA_WEIGHT,
    tv_weight: float = TV_WEIGHT,
    jitter: int = 0,
    seed: int = 0,
) -> Explanation:
    """Explain what a layer still knows of the picture: the picture, reconstructed from the layer's output alone.

    The note says the error that is left, |Phi(x) - Phi0| / |Phi0|. No class is asked for. Arguments and errors are
    those of `invert`.
    """
    found, note = chosen_map(case.inside, layer) if layer == AUTO else (case.inside.layer(layer), "")
    inverted = invert(
        case.inside,
        case.images,
        found.name,
        preprocess=case.network.preprocess,
        steps=steps,
        parametrisation=parametrisation,
        alpha_weight=alpha_weight,
        tv_weight=tv_weight,
        jitter=jitter,
        seed=seed,
        progress=case.progress,
    )
    error = f"error {inverted.errors[0]:.2g} of what the layer gives"
    array = inverted.images[0].permute(1, 2, 0).numpy()  # (H, W, C)
    return case.explanation(
        array if array.shape[2] == 3 else array[:, :, :1],
        method="inversion",
        title="Inversion",
        kind="image",
        unit="network input",
        layer=found.name,
        of_class=False,
        note="; ".join(filter(None, (note, error))),
        error=inverted.errors[0],
        steps=steps,
        parametrisation=parametrisation,
        alpha_weight=alpha_weight,
        tv_weight=tv_weight,
        jitter=jitter,
        seed=seed,
    )


def strip(case: Case, *, layers: Sequence[str] | None = None, steps: int = STEPS, seed: int = 0) -> list[Explanation]:
    """Return the inversion of each of `layers`, by default the last map of each stage: what each still keeps."""
    names = [layer.name for layer in stages(case.inside)] if layers is None else layers
    return [inversion(case, layer=name, steps=steps, seed=seed) for name in names]


def pixels_of(inverted: Inverted, preprocess: Preprocess) -> Tensor:
    """Return the pictures as people see them, (N, H, W, C) uint8."""
    return to_pixels(Colours.of(preprocess).from_input(inverted.images))


def _output(inside: Inside, images: Tensor, layer: Layer) -> Tensor:
    return inside.play(images, keep=[layer.name], until=layer.name).kept[layer.name].float()


def _squared(output: Tensor, wanted: Tensor) -> Tensor:
    return (output - wanted).flatten(1).square().sum(1)  # (N,)


def _falling(done: float) -> float:
    """Return the share of the learning rate: all of it for the first half, then down to a fiftieth in a line."""
    return min(1.0, 2 * (1 - done) + 0.02)
