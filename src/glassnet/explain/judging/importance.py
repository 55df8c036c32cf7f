"""An explanation as one number per pixel, so that pixels can be put in order; and random orders to compare with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from glassnet.errors import InputError
from glassnet.explain.explanation import Explanation
from glassnet.explain.placing import spread

Floats = npt.NDArray[np.float32]

COARSE = 7  # cells along a side of a coarse random map: as the last maps of ImageNet networks have them


def importance(explanation: Explanation) -> Floats:
    """Return how important each pixel is, (H, W) float32; more is more important.

    A map is spread over the picture; where it is signed, what speaks against the class comes last. Of an image it is
    the greatest absolute value over colours, as Simonyan et al. 2013 (section 3.1) have it. Raises `InputError` for an
    explanation that is not of a class.
    """
    if explanation.label is None or explanation.kind == "labels":
        raise InputError(
            f"{explanation.title} explains no class here, so whether it is right about one cannot be judged; "
            "leave out its layer, or leave it out"
        )
    array = np.asarray(explanation.array, np.float32)
    if explanation.kind == "image":
        return np.ascontiguousarray(abs(array).max(2))
    return spread(array, explanation.extent, (explanation.picture.shape[0], explanation.picture.shape[1]))


def random_importance(size: tuple[int, int], *, coarse: bool, seed: int) -> Floats:
    """Return a random map (H, W) float32: smooth, of 7 x 7 random numbers, or `coarse` false: of each pixel's own."""
    generator = torch.Generator().manual_seed(seed)
    if not coarse:
        return torch.rand(size, generator=generator).numpy()
    numbers = torch.rand(min(COARSE, size[0]), min(COARSE, size[1]), generator=generator)
    return spread(numbers.numpy(), (0.0, float(size[1]), 0.0, float(size[0])), size)
