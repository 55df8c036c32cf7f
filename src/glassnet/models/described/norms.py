"""Norms by name, for feature maps or vectors; each is a function of the shape it normalises and of named arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from glassnet.errors import InputError
from glassnet.nn.layers.normalisation import LocalResponseNorm

Shape = tuple[int, ...]
"""Of one picture: (C, H, W) for maps, (D,) for vectors."""


def none(_shape: Shape) -> nn.Module:
    """Nothing."""
    return nn.Identity()


def batch(shape: Shape, *, eps: float = 1e-5, momentum: float = 0.1, gamma: float = 1.0) -> nn.Module:
    """Batch norm (Ioffe, Szegedy 2015, arXiv:1502.03167); `momentum` is the share of the newest batch.

    gamma: the scale at the start; 0 on a residual's last norm starts the block as the identity.
    """
    if eps < 0 or not 0 <= momentum <= 1:
        raise InputError(f"eps is {eps} and momentum {momentum}; expected eps >= 0 and momentum from 0 to 1")
    kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    norm = kind(shape[0], eps, momentum)
    nn.init.constant_(norm.weight, gamma)
    return norm


def lrn(shape: Shape, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> nn.Module:
    """AlexNet's local response normalisation, alpha undivided."""
    if len(shape) != 3:
        raise InputError(f"lrn normalises maps across channels, and here is a vector of {shape[0]}")
    if size < 1 or k < 0:
        raise InputError(f"size is {size} and k {k}; expected size >= 1 and k >= 0")
    return LocalResponseNorm(size, alpha=alpha, beta=beta, k=k)


def group(shape: Shape, *, groups: int = 8, eps: float = 1e-5) -> nn.Module:
    """Group norm (Wu, He 2018, arXiv:1803.08494)."""
    if groups < 1 or shape[0] % groups:
        raise InputError(f"a group norm of {groups} groups does not divide {shape[0]} channels")
    return nn.GroupNorm(groups, shape[0], eps)


def layer(shape: Shape, *, eps: float = 1e-5) -> nn.Module:
    """All channels and positions of one picture together: a group norm of one group."""
    return nn.GroupNorm(1, shape[0], eps)


NORMS: dict[str, Callable[..., nn.Module]] = {
    "none": none,
    "batch": batch,
    "lrn": lrn,
    "group": group,
    "layer": layer,
}
SHIFTING = ("batch", "group", "layer")
"""Those with a shift of their own for every channel, which makes a bias before them redundant."""


def shifts(norm: Any) -> bool:
    """Whether `norm`, a word or a table with a type, shifts every channel by itself."""
    return (norm["type"] if isinstance(norm, dict) else norm) in SHIFTING
