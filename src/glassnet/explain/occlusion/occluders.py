"""What covers the picture: a colour, the picture's own mean, its blur, or noise; each as a whole picture to cut from.

Everything is made in the pixels' own values, [0, 1], and then normalised as the preprocess does it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from glassnet.errors import InputError, UnknownName
from glassnet.preprocess import Preprocess

OCCLUDERS = ("grey", "mean", "blur", "noise")
BLUR = 0.05
"""The blur's standard deviation, as a share of the picture's shorter side: nothing the size of an occluder remains."""

Colour = str | Sequence[int]


def cover(images: Tensor, preprocess: Preprocess, occluder: Colour, seed: int = 0) -> Tensor:
    """Return the picture (1, C, H, W) that shows through where `images` (1, C, H, W) are covered, both normalised.

    occluder: "grey" is the preprocess's mean, which networks read as nothing at all; "mean" the picture's own mean
    colour; "blur" the picture, blurred; "noise" independent normal numbers with the picture's mean and deviation per
    channel, drawn from `seed`; or a colour, "#rrggbb" or (r, g, b) with 0 to 255.

    Raises `UnknownName` for another word, `InputError` for a colour that is none.
    """
    if occluder == "grey":
        return torch.zeros_like(images)
    if occluder == "mean":
        return images.mean((2, 3), keepdim=True).expand_as(images)
    if occluder == "blur":
        return blurred(images, BLUR * min(images.shape[2:]))
    if occluder == "noise":
        return _noise(images, seed)
    colour = torch.tensor(_channels(_colour(occluder), preprocess.channels)) / 255
    normalised = (colour - torch.tensor(preprocess.mean)) / torch.tensor(preprocess.std)
    return normalised.to(images)[None, :, None, None].expand_as(images)


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Return `images` (N, C, H, W) through a Gaussian of `sigma` pixels; beyond the edge is the nearest pixel."""
    reach = max(1, math.ceil(3 * sigma))
    distance = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    weights = (-distance.square() / (2 * max(sigma, 1e-3) ** 2)).exp()
    weights = weights / weights.sum()
    channels = images.shape[1]
    x = F.pad(images, (reach,) * 4, mode="replicate")
    x = F.conv2d(x, weights.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(x, weights.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)


def _noise(images: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(images.shape, generator=generator).to(images)
    return images.mean((2, 3), keepdim=True) + images.std((2, 3), keepdim=True, correction=0) * noise


def _colour(occluder: Colour) -> tuple[int, int, int]:
    """Return (r, g, b) of "#rrggbb" or three numbers."""
    if isinstance(occluder, str):
        if not occluder.startswith("#"):
            raise UnknownName("occluder", occluder, OCCLUDERS, hint=f"one of {', '.join(OCCLUDERS)}, or #rrggbb")
        digits = occluder[1:]
        if len(digits) != 6 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
            raise InputError(f"occluder is {occluder!r}; expected a colour such as #808080, or {', '.join(OCCLUDERS)}")
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    values = tuple(occluder)
    if len(values) != 3 or not all(isinstance(v, int) and 0 <= v <= 255 for v in values):
        raise InputError(f"occluder is {occluder!r}; expected three whole numbers from 0 to 255 (r, g, b)")
    return values


def _channels(colour: tuple[int, int, int], channels: int) -> list[float]:
    """Return a colour for a picture of so many channels: its luminance (ITU-R BT.601) where there are not three."""
    if channels == 3:
        return [float(value) for value in colour]
    red, green, blue = colour
    return [0.299 * red + 0.587 * green + 0.114 * blue] * channels
