"""Activations by name: the bend between two linear layers, without which they were one.

Each is a class, or a function of named arguments, that makes the module.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from glassnet.errors import InputError


class ScaledTanh(nn.Module):
    """amplitude tanh(slope x), any shape.

    With 1.7159 and 2/3 it maps 1 to 1 and -1 to -1 and is steepest there: LeCun et al. 1998, appendix A.
    """

    def __init__(self, amplitude: float = 1.7159, slope: float = 2 / 3) -> None:
        super().__init__()
        self.amplitude, self.slope = amplitude, slope

    def forward(self, x: Tensor) -> Tensor:
        """Bend `x`."""
        return self.amplitude * torch.tanh(self.slope * x)

    def extra_repr(self) -> str:
        """Return the setting in words."""
        return f"amplitude={self.amplitude}, slope={self.slope:.4g}"


def scaled_tanh(*, amplitude: float = 1.7159, slope: float = 2 / 3) -> nn.Module:
    """LeNet-5's: amplitude tanh(slope x)."""
    return ScaledTanh(amplitude, slope)


def leaky_relu(*, slope: float = 0.01) -> nn.Module:
    """x above 0, slope x below."""
    return nn.LeakyReLU(slope)


def elu(*, alpha: float = 1.0) -> nn.Module:
    """x above 0, alpha (e^x - 1) below."""
    return nn.ELU(alpha)


def softplus(*, beta: float = 1.0) -> nn.Module:
    """log(1 + e^(beta x)) / beta: a smooth rectifier."""
    if beta <= 0:
        raise InputError(f"beta is {beta}; expected a number above 0")
    return nn.Softplus(beta)


ACTIVATIONS: dict[str, Callable[..., nn.Module]] = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": softplus,
    "softsign": nn.Softsign,
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.Hardsigmoid,
    "hard_swish": nn.Hardswish,
    "tanh": nn.Tanh,
    "scaled_tanh": scaled_tanh,
}
