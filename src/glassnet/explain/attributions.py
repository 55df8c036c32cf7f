"""Attributions: how much each pixel counts for the class, from many pictures between nothing and the whole.

Integrated gradients and SmoothGrad average gradients, RISE averages masks by the probability they leave.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from glassnet.errors import InputError, UnknownName
from glassnet.explain.case import Case
from glassnet.explain.explanation import Explanation
from glassnet.explain.masks import random_masks
from glassnet.explain.rules import backward

BATCH = 16  # pictures whose gradients are computed at a time
MASKED = 32  # masked pictures whose logits are computed at a time

BASELINES = ("mean", "black", "white", "blur")


def integrated_gradients(case: Case, *, baseline: str = "mean", steps: int = 50) -> Explanation:
    """Return integrated gradients: (x - x') times the mean gradient of the logit on the way from x' to x, (H, W).

    Sundararajan et al. 2017, arXiv:1703.01365, equation 1, summed over colours; the integral by Gauss and Legendre's
    points, of which `steps` are taken. x' is the `baseline`: "mean" (what the preprocess makes 0), "black", "white" or
    "blur" (the picture out of focus). All pixels together make logit(x) - logit(x'): how nearly is in the note.
    Raises `InputError` for fewer than 1 step, `UnknownName` for the baseline.
    """
    _at_least("steps", steps, 1)
    start = baseline_of(case.images, case.network.preprocess.finish, baseline)
    way = case.images - start
    points, weights = gauss_legendre(steps)
    total = torch.zeros_like(case.images)
    for done in range(0, steps, BATCH):
        along = points[done : done + BATCH].view(-1, 1, 1, 1)
        slopes = _logit_gradients(case, start + along * way)
        total += (weights[done : done + BATCH].view(-1, 1, 1, 1) * slopes).sum(0, keepdim=True)
        case.progress(min(done + BATCH, steps), steps)
    values = (way * total)[0].sum(0)  # (H, W)
    with torch.no_grad():
        ends = case.predictor(torch.cat([case.images, start]))[:, case.target].float().cpu()
    difference, found = float(ends[0] - ends[1]), float(values.double().sum())
    return case.explanation(
        values.numpy(),
        method="integrated_gradients",
        title="Integrated gradients",
        kind="signed",
        unit="share of the class's score",
        note=f"the pixels sum to {found:.3g}; the score is {difference:.3g} above the {baseline} baseline's",
        baseline=baseline,
        steps=steps,
        sum=found,
        difference=difference,
    )


def smoothgrad(case: Case, *, samples: int = 32, noise: float = 0.15, seed: int = 0) -> Explanation:
    """Return SmoothGrad: the mean gradient of the class's logit over noisy copies of the picture, in input space.

    Smilkov et al. 2017, arXiv:1706.03825, section 3.1: `samples` copies, `noise` is the normal noise's deviation as a
    share of the picture's range, `seed` decides it. Raises `InputError` for fewer than 1 sample, or noise that is not
    a number of at least 0.
    """
    _at_least("samples", samples, 1)
    if not (math.isfinite(noise) and noise >= 0):
        raise InputError(f"noise is {noise}; expected a share of the picture's range, at least 0, as 0.15")
    generator = torch.Generator().manual_seed(seed)
    deviation = noise * float(case.images.max() - case.images.min())
    total = torch.zeros_like(case.images)
    for done in range(0, samples, BATCH):
        count = min(BATCH, samples - done)
        noisy = case.images + deviation * torch.randn(count, *case.images.shape[1:], generator=generator)
        total += _logit_gradients(case, noisy).sum(0, keepdim=True)
        case.progress(done + count, samples)
    return case.explanation(
        (total / samples)[0].permute(1, 2, 0).numpy(),
        method="smoothgrad",
        title="SmoothGrad",
        kind="image",
        unit="change of the score per unit of the input",
        samples=samples,
        noise=noise,
        seed=seed,
    )


def rise(case: Case, *, masks: int = 1000, cells: int = 7, share: float = 0.5, seed: int = 0) -> Explanation:
    """Return RISE: for each pixel the mean probability of the class where the pixel stays visible, (H, W).

    Petsiuk et al. 2018, arXiv:1806.07421, equation 6: S = sum of probability times mask / (masks share). The masks
    have `cells` x `cells` cells, visible with probability `share`, from `seed`; what is covered is the mean colour.
    It costs one forward per mask. Raises `InputError` for settings out of range.
    """
    _at_least("masks", masks, 1)
    _at_least("cells", cells, 1)
    if cells > min(case.size):
        raise InputError(f"cells is {cells}, more than the picture's {min(case.size)} pixels")
    if not 0 < share < 1:
        raise InputError(f"share is {share}; expected the share that stays visible, between 0 and 1")
    total, done = torch.zeros(case.size), 0
    for batch in random_masks(masks, case.size, cells=cells, share=share, seed=seed, batch=MASKED):
        logits = case.predictor(case.images * batch[:, None])
        probabilities = case.to_probabilities(logits.cpu())[:, case.target]
        total += torch.einsum("n,nhw->hw", probabilities, batch)
        done += len(batch)
        case.progress(done, masks)
    return case.explanation(
        (total / (masks * share)).numpy(),
        method="rise",
        title="RISE",
        kind="map",
        unit="mean probability where visible",
        masks=masks,
        cells=cells,
        share=share,
        seed=seed,
    )


def baseline_of(images: Tensor, finish: Callable[[Tensor], Tensor], name: str) -> Tensor:
    """Return a picture without content, in input space, shaped as `images` (1, C, H, W).

    "mean" is what the preprocess makes 0; "black" and "white" what `finish`, the preprocess's last step from uint8
    pixels, makes of them; "blur" is the picture blurred with a deviation of a sixteenth of its shorter side. Raises
    `UnknownName`.
    """
    if name not in BASELINES:
        raise UnknownName("baseline", name, BASELINES, hint=f"it is one of: {', '.join(BASELINES)}")
    if name == "mean":
        return torch.zeros_like(images)
    if name == "blur":
        return blurred(images, min(images.shape[2:]) / 16)
    _, channels, height, width = images.shape
    level = 0 if name == "black" else 255
    return finish(torch.full((1, height, width, channels), level, dtype=torch.uint8))


def blurred(images: Tensor, deviation: float) -> Tensor:
    """Return `images` (N, C, H, W) blurred by a Gaussian of `deviation` pixels, edges continued."""
    reach = max(1, round(3 * deviation))
    across = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-0.5 * (across / max(deviation, 1e-6)) ** 2)
    kernel = kernel / kernel.sum()
    for axis in (2, 3):
        size = images.shape[axis]
        index = (torch.arange(size)[:, None] + torch.arange(-reach, reach + 1)).clamp(0, size - 1)  # (size, taps)
        mix = torch.zeros(size, size, dtype=images.dtype, device=images.device)
        mix.scatter_add_(1, index.to(images.device), kernel.expand(size, -1).contiguous())
        images = torch.tensordot(images, mix, dims=([axis], [1])).movedim(-1, axis)
    return images.contiguous()


def gauss_legendre(count: int) -> tuple[Tensor, Tensor]:
    """Return the points in [0, 1] and weights that integrate polynomials up to degree 2 count - 1 exactly."""
    points, weights = np.polynomial.legendre.leggauss(count)  # on [-1, 1]
    return torch.from_numpy((points + 1) / 2).float(), torch.from_numpy(weights / 2).float()


def _logit_gradients(case: Case, images: Tensor) -> Tensor:
    """Return the gradient of the class's logit at each of `images` (N, C, H, W), on the CPU."""
    seed = torch.zeros(len(images), len(case.network.classes))
    seed[:, case.target] = 1
    return backward(case.inside, images, None, seed).cpu()


def _at_least(name: str, value: int, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} is {value!r}; expected a whole number of at least {least}")
