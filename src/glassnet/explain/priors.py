"""What makes an optimised picture look like one: how it is written down, what is held against it, how it is moved.

A picture here is v (N, C, H, W) float, 0 at middle grey and -1 to 1 from black to white. `Colours` leads from there to
the network's input and back.

Alpha-norm and total variation: Mahendran & Vedaldi 2015, "Understanding deep image representations by inverting them",
arXiv:1412.0035. Fourier coefficients and uncorrelated colours: Olah et al. 2017, "Feature visualization",
doi:10.23915/distill.00007. The colour axes (light, blue-yellow, red-green) are those that natural pictures decorrelate
along: Ruderman et al. 1998, "Statistics of cone responses to natural images".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glassnet.errors import InputError
from glassnet.preprocess import Preprocess

IMAGE_UNIT = "black (-1) to white (1)"
PARAMETRISATIONS = ("fourier", "pixels")
# Rows: light, blue-yellow, red-green, each of length 1. Beside them how much natural pictures vary along each.
_OPPONENT = (
    (1 / math.sqrt(3), 1 / math.sqrt(3), 1 / math.sqrt(3)),
    (1 / math.sqrt(6), 1 / math.sqrt(6), -2 / math.sqrt(6)),
    (1 / math.sqrt(2), -1 / math.sqrt(2), 0.0),
)
_SPREAD = (1.0, 0.3, 0.15)


@dataclass(frozen=True)
class Colours:
    """A preprocess's colours: v in [-1, 1] to the network's input (v / 2 + 0.5 - mean) / std, and back."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, preprocess: Preprocess, device: torch.device | str = "cpu") -> Colours:
        """Take mean and std, (C, 1, 1), from `preprocess`."""
        mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (preprocess.mean, preprocess.std))
        return cls(mean, std)

    def to_input(self, v: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> the network's input."""
        return (v / 2 + 0.5 - self.mean) / self.std

    def from_input(self, images: Tensor) -> Tensor:
        """Return v of the network's input; outside [-1, 1] where no picture could be."""
        return (images * self.std + self.mean) * 2 - 1


def to_pixels(v: Tensor) -> Tensor:
    """(N, C, H, W) in [-1, 1] -> (N, H, W, C) uint8."""
    return ((v.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)


def as_image(images: Tensor, preprocess: Preprocess) -> npt.NDArray[np.float32]:
    """Return the first of `images` (N, C, H, W), a network's input, as an explanation's image (H, W, 3 or 1)."""
    v = Colours.of(preprocess).from_input(images.cpu())[0].permute(1, 2, 0).numpy()
    return v if v.shape[2] == 3 else v[:, :, :1]


def alpha_norm(v: Tensor, alpha: float = 6.0) -> Tensor:
    """Return the mean of |v|^alpha of each picture, (N,): about 0 within the range, growing fast beyond it."""
    return v.abs().pow(alpha).mean((1, 2, 3))


def total_variation(v: Tensor, beta: float = 2.0) -> Tensor:
    """Return the mean of (dx^2 + dy^2)^(beta / 2) of each picture, (N,), from differences of neighbouring pixels.

    >>> total_variation(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]))  # one difference of 1 at the one place
    tensor([1.])
    """
    down = v[:, :, 1:, :-1] - v[:, :, :-1, :-1]  # (N, C, H - 1, W - 1)
    right = v[:, :, :-1, 1:] - v[:, :, :-1, :-1]
    squared = down.square() + right.square()
    if beta != 2:
        squared = (squared + 1e-8).pow(beta / 2)  # its derivative at 0 must be finite
    return squared.mean((1, 2, 3))


def squashed(v: Tensor) -> Tensor:
    """Bring any number into (-1, 1), where a picture's are; slowly, so that a pixel at the end can still turn back."""
    return v / (1 + v.square()).sqrt()


def moved(images: Tensor, shift: tuple[int, int]) -> Tensor:
    """Return `images` moved by (rows, columns); what leaves on one side comes in on the other."""
    return images.roll(shift, (2, 3))


def draw_shift(jitter: int, generator: torch.Generator) -> tuple[int, int]:
    """Draw a shift of at most `jitter` pixels either way, (rows, columns)."""
    rows, columns = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
    return rows, columns


class Canvas:
    """A picture written as numbers that a descent can change: `parameters` -> v (N, C, H, W).

    "fourier" holds the picture's Fourier coefficients, divided by what natural pictures have of each frequency (1 / f),
    in uncorrelated colours where there are three: a step moves coarse and fine, light and colour alike. "pixels" holds
    v itself.
    """

    def __init__(self, shape: tuple[int, ...], *, kind: str = "fourier", seed: int = 0, noise: float = 0.01) -> None:
        if kind not in PARAMETRISATIONS:
            raise InputError(f"parametrisation is {kind!r}; expected one of: {', '.join(PARAMETRISATIONS)}")
        self.kind, self.shape = kind, tuple(shape)
        generator = torch.Generator().manual_seed(seed)
        if kind == "pixels":
            self.parameters = torch.randn(self.shape, generator=generator) * noise
        else:
            count, channels, height, width = self.shape
            columns = width // 2 + 1
            self.parameters = torch.randn((count, channels, height, columns, 2), generator=generator) * noise
            self._scale = _spectrum(height, width)
        self.parameters.requires_grad_()

    def to(self, device: torch.device) -> Canvas:
        """Move the numbers to `device`."""
        self.parameters = self.parameters.detach().to(device).requires_grad_()
        if self.kind == "fourier":
            self._scale = self._scale.to(device)
        return self

    def draw(self) -> Tensor:
        """Return v (N, C, H, W), differentiable by the parameters; it may leave [-1, 1]: see `squashed`."""
        if self.kind == "pixels":
            return self.parameters
        height, width = self.shape[2:]
        coefficients = torch.view_as_complex(self.parameters) * self._scale
        v = torch.fft.irfft2(coefficients, s=(height, width), norm="ortho")  # (N, C, H, W)
        return recoloured(v) if v.shape[1] == 3 else v


def recoloured(v: Tensor) -> Tensor:
    """Turn (light, blue-yellow, red-green) into (red, green, blue): (N, 3, H, W) both."""
    axes = v.new_tensor(_OPPONENT) * v.new_tensor(_SPREAD)[:, None]  # (axis, colour)
    mixed: Tensor = torch.einsum("nahw,ac->nchw", v, axes)
    return mixed


def _spectrum(height: int, width: int) -> Tensor:
    """Return 1 / f for each coefficient of `rfft2`, (H, W // 2 + 1); the constant one counts as the lowest."""
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    frequency: Tensor = (rows.square() + columns.square()).sqrt()
    return frequency.clamp(min=1 / max(height, width)).reciprocal()


def check_descent(
    size: Sequence[int], *, steps: int, learning_rate: float, alpha_weight: float, tv_weight: float, jitter: int
) -> None:
    """Raise `InputError` for settings that no descent on a picture of `size` (H, W) can have."""
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise InputError(f"steps is {steps!r}; expected a whole number of at least 1")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise InputError(f"learning_rate is {learning_rate!r}; expected a number above 0")
    for name, weight in (("alpha_weight", alpha_weight), ("tv_weight", tv_weight)):
        if not (math.isfinite(weight) and weight >= 0):
            raise InputError(f"{name} is {weight!r}; expected a number of at least 0")
    if not isinstance(jitter, int) or isinstance(jitter, bool) or not 0 <= jitter < min(size):
        raise InputError(f"jitter is {jitter!r}; expected whole pixels from 0 to less than the picture's {min(size)}")
