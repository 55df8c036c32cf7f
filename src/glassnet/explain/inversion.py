"""Inversion: a picture that a layer cannot tell from the given one, found by descent on its pixels.

Mahendran & Vedaldi 2015, "Understanding deep image representations by inverting them", arXiv:1412.0035. With Phi what
the layer makes of a picture x and Phi0 what it made of the given one, minimise

    |Phi(x) - Phi0|^2 / |Phi0|^2 + a alpha-norm(x) + b total variation(x).

What the layer has thrown away is filled in by the priors, so what can still be recognised is what it knows. Differs
from the paper, which has momentum on pixels: L-BFGS on Fourier coefficients (see `priors`), started from faint noise.
At ResNet-18's second stage 200 evaluations left an error of 0.11 so, and Adam at its best rate of four one of 0.20.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glassnet.errors import InputError
from glassnet.explain.case import Case, Progress, no_progress
from glassnet.explain.choose import AUTO, chosen_map, short, stages
from glassnet.explain.explanation import Explanation
from glassnet.explain.inside import Inside
from glassnet.explain.priors import (
    IMAGE_UNIT,
    Canvas,
    Colours,
    alpha_norm,
    as_image,
    check_descent,
    draw_shift,
    moved,
    squashed,
    to_pixels,
    total_variation,
)
from glassnet.nn.trace import Layer
from glassnet.preprocess import Preprocess

STEPS = 200
ADAM_RATE = 0.05
ALPHA_WEIGHT = 0.01
TV_WEIGHT = 0.002


@dataclass(frozen=True, kw_only=True, eq=False)
class Inverted:
    """Pictures that `layer` takes for the given ones.

    images: (N, C, H, W) float in the network's input space, every pixel one that a picture can have. errors: (N,)
    |Phi(x) - Phi0| / |Phi0| of these; 0 is perfect, and 1 is what a layer of zeros would have. history: the mean error
    of each picture on the way, as the descent saw it.
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
        steps: how often the loss is computed; L-BFGS may add a few to finish its last search along a line.
        jitter: the picture is moved by up to so many pixels either way before each step: smoother, less exact. The
            descent is Adam's then, because the loss is another at each step.
        seed: of the starting noise and the jitter; torch's own state is not touched.

    Raises:
        UnknownName: there is no such layer.
        InputError: a setting out of range, or a layer that gives nothing but zeros.
    """
    check_descent(
        images.shape[2:],
        steps=steps,
        learning_rate=ADAM_RATE,
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
    history: list[float] = []

    def loss() -> Tensor:
        v = squashed(canvas.draw())
        shift = draw_shift(jitter, generator) if jitter else (0, 0)
        squared = _squared(_output(inside, colours.to_input(moved(v, shift)), found), wanted) / scale  # (N,)
        history.append(float(squared.detach().sqrt().mean()))
        progress(min(len(history), steps), steps)
        return (squared + alpha_weight * alpha_norm(v) + tv_weight * total_variation(v)).sum()

    descend(canvas.parameters, loss, steps=steps, changing=jitter > 0)
    with torch.no_grad():
        made = colours.to_input(squashed(canvas.draw()))
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
    return case.explanation(
        as_image(inverted.images, case.network.preprocess),
        method="inversion",
        title="Inversion",
        kind="image",
        unit=IMAGE_UNIT,
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


def descend(parameters: Tensor, loss: Callable[[], Tensor], *, steps: int, changing: bool) -> None:
    """Lower `loss` by changing `parameters`, computing it about `steps` times.

    A loss that is the same each time is lowered by L-BFGS, which finds its own step lengths; one that is `changing` by
    Adam at a learning rate that falls to zero.
    """
    if changing:
        adam = torch.optim.Adam([parameters], lr=ADAM_RATE)
        for step in range(steps):
            adam.param_groups[0]["lr"] = ADAM_RATE * min(1.0, 2 * (1 - step / steps))
            (parameters.grad,) = torch.autograd.grad(loss(), parameters)
            adam.step()
        return
    lbfgs = torch.optim.LBFGS(
        [parameters],
        max_iter=steps,
        max_eval=steps,
        history_size=20,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )

    def closure() -> Tensor:
        value = loss()
        (parameters.grad,) = torch.autograd.grad(value, parameters)
        return value.detach()

    lbfgs.step(closure)  # type: ignore[no-untyped-call]
