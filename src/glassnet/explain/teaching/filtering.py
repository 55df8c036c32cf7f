"""A photo through fixed filters: the very convolution that networks compute, with kernels that people chose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from glassnet.errors import InputError, PictureError
from glassnet.explain.explanation import Pixels
from glassnet.explain.teaching.kernels import NamedKernel
from glassnet.files import open_regular
from glassnet.nn.layers.convolution import Conv2d
from glassnet.nn.layers.padding import padding_mode
from glassnet.preprocess import Preprocess, open_picture

LONGEST = 512  # px; the longer side of a larger photo is scaled down to it
TURNED = 5  # EXIF orientations from here on lie on their side
ORIENTATION = 274  # the tag's number


@dataclass(frozen=True, kw_only=True, eq=False)
class Filtered:
    """What a kernel answers at every position of a grey picture.

    picture (H, W, 1) uint8; answers (H', W') float32, in grey levels times the kernel's weights.
    """

    picture: Pixels
    kernel: NamedKernel
    stride: int
    padding: int
    beyond: str
    answers: npt.NDArray[np.float32]

    @property
    def sizes(self) -> str:
        """The sum that gives the output's size, in words."""
        sums = []
        for before, after, side in zip(self.picture.shape, self.answers.shape, ("high", "wide"), strict=False):
            around = f" + 2·{self.padding}" if self.padding else ""
            steps = f"({before}{around} − {self.kernel.side}) / {self.stride}"
            sums.append(f"{steps} + 1 = {after} {side}")
        return ", ".join(sums)

    @property
    def setting(self) -> str:
        """Stride and padding in words."""
        around = f"padding {self.padding} ({self.beyond})" if self.padding else "no padding"
        return f"{self.kernel.side} × {self.kernel.side}, stride {self.stride}, {around}"


def read_photo(path: str | Path) -> Pixels:
    """Return a picture file in grey with its own proportions, (H, W, 1) uint8, the longer side at most `LONGEST`.

    Upright by its EXIF orientation. Raises `PictureError`.
    """
    try:
        with open_regular(str(path)) as file:
            data = file.readall()
    except (OSError, PictureError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PictureError(f"cannot read {path}: {reason}") from error
    try:
        image = open_picture(data)
        width, height = image.size
        if _orientation(image) >= TURNED:
            width, height = height, width
        scale = min(1.0, LONGEST / max(width, height))
        wanted = Preprocess(
            height=max(1, round(height * scale)),
            width=max(1, round(width * scale)),
            channels=1,
            crop=1,
            resize="squash",
        )
        return wanted.intermediate(data)
    except PictureError as error:
        raise PictureError(f"cannot read {path}: {error}", kind=error.kind) from error


def _orientation(image: object) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))  # type: ignore[attr-defined]
    except Exception:  # a broken EXIF block does not make the pixels worse
        return 1


def convolve(
    picture: Pixels, kernel: NamedKernel, *, stride: int = 1, padding: int | str = "same", beyond: str = "replicate"
) -> Filtered:
    """Slide `kernel` over a grey picture (H, W, 1).

    Args:
        stride: pixels from one window to the next.
        padding: pixels around the picture; "same" keeps its size at stride 1, "valid" is 0.
        beyond: what these pixels hold: "zero", "replicate" (the edge's value) or "reflect".

    Raises `InputError`, `UnknownName`.
    """
    mode = padding_mode(beyond)
    around = _padding(padding, kernel.side)
    height, width = picture.shape[:2]
    if stride < 1:
        raise InputError(f"stride is {stride}; expected at least 1")
    if min(height, width) + 2 * around < kernel.side:
        raise InputError(
            f"the picture has {height} x {width} pixels and padding {around}: too small for a kernel of "
            f"{kernel.side} x {kernel.side}; give a larger padding"
        )
    if mode == "reflect" and around >= min(height, width):
        raise InputError(f"padding {around} reflects more than the {height} x {width} pixels there are; give less")
    layer = Conv2d(
        1, 1, kernel.side, stride=stride, padding=around, padding_mode=mode, bias=False, dtype=torch.float32
    ).requires_grad_(False)
    layer.weight.copy_(kernel.weight)
    grey = torch.from_numpy(picture[:, :, 0].astype(np.float32))
    answers = layer(grey[None, None])[0, 0]  # (H', W')
    return Filtered(
        picture=picture, kernel=kernel, stride=stride, padding=around, beyond=beyond, answers=answers.numpy()
    )


def _padding(given: int | str, side: int) -> int:
    """Return a padding in pixels; raise `InputError` for what is neither a number from 0 nor a known word."""
    words = {"same": (side - 1) // 2, "valid": 0}
    text = str(given).strip()
    if text in words:
        return words[text]
    if not text.isdecimal():
        raise InputError(f"padding is {given!r}; expected same, valid, or a number of pixels from 0")
    return int(text)
