"""Initialisers by name: what a weight or bias is before the first step.

Each is a function of the tensor it fills and of named arguments. A convolution's weight (out, in, h, w) has
fan in = in h w and fan out = out h w, a dense layer's (out, in) has in and out.

He et al. 2015, arXiv:1502.01852; Glorot, Bengio 2010 (Xavier), AISTATS 9; LeCun et al. 1998, "Efficient BackProp";
Saxe et al. 2013, arXiv:1312.6120 (orthogonal); Zagoruyko, Komodakis 2017, arXiv:1706.00388 (identity, as Dirac).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from glassnet.errors import InputError


def torch_default(_tensor: Tensor) -> None:
    """Leave what PyTorch's layer draws by itself: uniform within 1 / sqrt(fan in), weights and biases alike."""


def zeros(tensor: Tensor) -> None:
    """Fill with 0."""
    nn.init.zeros_(tensor)


def ones(tensor: Tensor) -> None:
    """Fill with 1."""
    nn.init.ones_(tensor)


def constant(tensor: Tensor, *, value: float = 0.1) -> None:
    """Fill with `value`."""
    nn.init.constant_(tensor, value)


def normal(tensor: Tensor, *, mean: float = 0.0, std: float = 0.01) -> None:
    """Draw from a normal distribution."""
    nn.init.normal_(tensor, mean, _spread(std))


def truncated_normal(tensor: Tensor, *, mean: float = 0.0, std: float = 0.01) -> None:
    """Draw from a normal distribution cut off two deviations from its mean."""
    nn.init.trunc_normal_(tensor, mean, _spread(std), mean - 2 * std, mean + 2 * std)


def uniform(tensor: Tensor, *, low: float = -0.05, high: float = 0.05) -> None:
    """Draw evenly from `low` to `high`."""
    if low > high:
        raise InputError(f"low is {low} and high is {high}; expected low <= high")
    nn.init.uniform_(tensor, low, high)


def he_normal(tensor: Tensor, *, fan: str = "in") -> None:
    """Variance 2 / fan: keeps the size of activations (fan "in") or gradients (fan "out") through ReLUs."""
    nn.init.kaiming_normal_(tensor, mode=_mode(fan), nonlinearity="relu")


def he_uniform(tensor: Tensor, *, fan: str = "in") -> None:
    """As `he_normal`, drawn evenly."""
    nn.init.kaiming_uniform_(tensor, mode=_mode(fan), nonlinearity="relu")


def xavier_normal(tensor: Tensor, *, gain: float = 1.0) -> None:
    """Variance gain^2 2 / (fan in + fan out): for symmetric activations such as tanh. Also called Glorot."""
    nn.init.xavier_normal_(tensor, gain)


def xavier_uniform(tensor: Tensor, *, gain: float = 1.0) -> None:
    """As `xavier_normal`, drawn evenly."""
    nn.init.xavier_uniform_(tensor, gain)


def lecun_normal(tensor: Tensor) -> None:
    """Variance 1 / fan in."""
    nn.init.normal_(tensor, std=math.sqrt(1 / fan_in(tensor)))


def lecun_uniform(tensor: Tensor) -> None:
    """As `lecun_normal`, drawn evenly."""
    bound = math.sqrt(3 / fan_in(tensor))
    nn.init.uniform_(tensor, -bound, bound)


def orthogonal(tensor: Tensor, *, gain: float = 1.0) -> None:
    """A random orthogonal matrix of out x everything else, times `gain`."""
    nn.init.orthogonal_(tensor, gain)


def identity(tensor: Tensor) -> None:
    """Hand every input channel through unchanged, as far as there are outputs: ones on the diagonal, at the centre."""
    if tensor.ndim == 2:
        nn.init.eye_(tensor)
    else:
        nn.init.dirac_(tensor)


def fan_in(tensor: Tensor) -> int:
    """Return how many inputs one output of a weight (out, in, ...) sums over."""
    return math.prod(tensor.shape[1:])


def _spread(std: float) -> float:
    if std < 0:
        raise InputError(f"std is {std}; expected at least 0")
    return std


def _mode(fan: str) -> Literal["fan_in", "fan_out"]:
    if fan not in ("in", "out"):
        raise InputError(f"fan is {fan!r}; expected 'in' or 'out'")
    return "fan_in" if fan == "in" else "fan_out"


Initialiser = Callable[..., None]

BIAS_INITIALISERS: dict[str, Initialiser] = {
    "torch": torch_default,
    "zeros": zeros,
    "ones": ones,
    "constant": constant,
    "normal": normal,
    "truncated_normal": truncated_normal,
    "uniform": uniform,
}
"""Those that need no fan: for biases."""

INITIALISERS: dict[str, Initialiser] = {
    **BIAS_INITIALISERS,
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "xavier_normal": xavier_normal,
    "xavier_uniform": xavier_uniform,
    "lecun_normal": lecun_normal,
    "lecun_uniform": lecun_uniform,
    "orthogonal": orthogonal,
    "identity": identity,
    "dirac": identity,
}
"""Those for weights."""
