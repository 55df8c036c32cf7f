"""Normalisations that networks used before batch norm.

Local response normalisation lets neighbouring channels compete: a filter that answers strongly damps those beside it.
Two networks of 2012 and 2013 were built with it; VGG found in 2014 that it cost memory and time and gained nothing.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.errors import InputError


def local_response_norm(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """Return x_i / (k + alpha * sum of x_j^2 over the `size` channels j around i)^beta, for x (N, C, H, W).

    Beyond the first and the last channel the sum ends.
    """
    channels = x.shape[1]
    squares = F.pad(x.square(), (0, 0, 0, 0, size // 2, size // 2))  # (N, C + size - 1, H, W)
    total = squares[:, :channels]
    for offset in range(1, size):
        total = total + squares[:, offset : offset + channels]
    normalised: Tensor = x * (k + alpha * total).pow(-beta)
    return normalised


class LocalResponseNorm(nn.Module):
    """b_i = a_i / (k + alpha * sum of a_j^2 over `size` neighbouring channels)^beta: (N, C, H, W) -> the same shape.

    Krizhevsky, Sutskever, Hinton 2012, section 3.3, with its numbers. `alpha` multiplies the sum, as in the paper;
    `nn.LocalResponseNorm` multiplies the mean, so that there it would have to be `alpha * size` for the same result.
    A leaf of the trace.
    """

    def __init__(self, size: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise InputError(
                f"size is {size}; expected an odd number of channels, the middle one's neighbours included"
            )
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x`."""
        return local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """Return the four numbers."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
