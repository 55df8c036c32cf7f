"""Where shapes change and paths meet: flatten, residual addition, concatenation. No arithmetic to speak of.

Residual addition: He, Zhang, Ren and Sun 2015, "Deep residual learning for image recognition", arXiv:1512.03385,
section 3.2. Concatenation of channels: Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842.
"""

from __future__ import annotations

import numpy as np

from glassnet.reference.arrays import Floats


def flatten_forward(a: Floats) -> tuple[Floats, tuple[int, ...]]:
    """Put the numbers of each picture in one row, channel after channel, row after row: (N, C, H, W) -> (N, C H W)."""
    return a.reshape(len(a), -1), a.shape


def flatten_backward(da: Floats, cache: tuple[int, ...]) -> Floats:
    """Put each number's gradient where the number came from: (N, C H W) -> (N, C, H, W)."""
    return da.reshape(cache)


def residual_forward(branch: Floats, shortcut: Floats) -> tuple[Floats, None]:
    """Add what a block computed to what went past it: a = branch + shortcut, of one shape. No cache is needed."""
    if branch.shape != shortcut.shape:  # broadcasting would hide a wrong shortcut
        raise ValueError(f"a branch {branch.shape} and a shortcut {shortcut.shape} cannot be added")
    return branch + shortcut, None


def residual_backward(da: Floats, cache: None = None) -> tuple[Floats, Floats]:  # noqa: ARG001
    """Return (dbranch, dshortcut). Both have the factor 1 in the sum: the gradient goes both ways, whole.

    This is why deep residual nets train: along the shortcuts the gradient reaches the first layer undiminished.
    """
    return da, da


def concatenate_forward(parts: list[Floats]) -> tuple[Floats, list[int]]:
    """Lay the channels of (N, C1, H, W), (N, C2, H, W), ... one after the other: (N, C1 + C2 + ..., H, W)."""
    return np.concatenate(parts, 1), [part.shape[1] for part in parts]


def concatenate_backward(da: Floats, cache: list[int]) -> list[Floats]:
    """Cut the gradient where the parts met, so that each part gets its own channels back."""
    return np.split(da, np.cumsum(cache)[:-1], 1)
