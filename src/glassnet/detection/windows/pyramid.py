"""A picture at several scales, as a classifier's input: a window of one size then covers objects of many.

Scale 1 is the picture at the size at which one window just covers its shorter side, so that a scale says how large an
object is beside the picture, whatever the picture's resolution: at scale 3 a window covers a third of the shorter side.
A small picture is thereby enlarged, as the preprocess would enlarge it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from glassnet.detection.windows.places import Size, Sliding
from glassnet.errors import InputError
from glassnet.models.prediction import Picture
from glassnet.placement import displayed_size
from glassnet.preprocess import Pixels, Preprocess

MOST_PIXELS = 100_000_000
"""Of one scale; as floats of three channels they take 1.2 GB."""
SMALLEST, LARGEST = 0.1, 32.0
"""Scales that make sense: a picture of a tenth of the window, and one of a thousand windows."""


@dataclass(frozen=True)
class Level:
    """One scale of a picture, finished for the network.

    images: (1, C, H, W) float32; windows cover H x W to the last pixel. x of it = `across` x + `left`, with x in pixels
    of the picture; y likewise with `down` and `top`. What lies around the picture is the preprocess's mean, to the
    network nothing at all, less than a stride of it where the picture is no smaller than a window.
    """

    scale: float
    images: Tensor
    across: float
    down: float
    left: int
    top: int

    def to_picture(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return `boxes` (..., 4) xyxy of the level in pixels of the picture; they may reach beyond it."""
        shift, factor = np.array([[self.left, self.top] * 2, [self.across, self.down] * 2], np.float32)
        placed: npt.NDArray[np.float32] = np.asarray((boxes - shift) / factor, np.float32)
        return placed


def check_scales(scales: Sequence[float]) -> tuple[float, ...]:
    """Return `scales`, at least one, each once; raise `InputError` for one that is not from 0.1 to 32."""
    values = tuple(float(scale) for scale in scales)
    for scale in values:
        if not SMALLEST <= scale <= LARGEST:  # NaN fails too
            raise InputError(
                f"scale {scale} came; expected {SMALLEST} to {LARGEST:g}, where at scale 2 a window covers half of the "
                "picture's shorter side"
            )
    if not values or len(set(values)) < len(values):
        raise InputError(f"scales is {values}; expected at least one, and each once")
    return values


def whole(preprocess: Preprocess, picture: Picture) -> Pixels:
    """Return a picture at its own size, (H, W, C) uint8: upright and in the colours that `preprocess` gives its input.

    Raises `PictureError` for one that cannot be read.
    """
    return _at(preprocess, displayed_size(picture)).intermediate(picture)


def level(preprocess: Preprocess, pixels: Pixels, scale: float, sliding: Sliding) -> Level:
    """Return the picture `pixels` (H, W, C) uint8 at `scale`, with the margins that windows need to cover it.

    Raises `InputError` where that would be more than 100 million pixels.
    """
    height, width = pixels.shape[:2]
    factor = scale * max(sliding.window[0] / height, sliding.window[1] / width)
    size = max(1, round(height * factor)), max(1, round(width * factor))
    full = sliding.fitting(size)
    if full[0] * full[1] > MOST_PIXELS:
        raise InputError(
            f"at scale {scale:g} a picture of {width} x {height} has {full[1]} x {full[0]} pixels, more than "
            f"{MOST_PIXELS:,}; use smaller scales, or cut the picture"
        )
    finishing = _at(preprocess, size)
    images = finishing.finish(torch.from_numpy(finishing.intermediate(pixels)[None]))  # (1, C, h, w)
    top, left = (full[0] - size[0]) // 2, (full[1] - size[1]) // 2
    margins = (left, full[1] - size[1] - left, top, full[0] - size[0] - top)
    return Level(scale, F.pad(images, margins), size[1] / width, size[0] / height, left, top)


def _at(preprocess: Preprocess, size: Size) -> Preprocess:
    """Return the preprocess that makes exactly `size` (height, width) of the whole picture."""
    return dataclasses.replace(preprocess, height=size[0], width=size[1], resize="squash", crop=1.0, decode="full")
