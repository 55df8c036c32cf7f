"""Penalties on single layers: a price for large weights, biases or activations that is added to the training loss.

`weight_l2 = 1e-4` adds 1e-4 times the sum of the squared weights, whose gradient is 2e-4 times the weights; an
optimiser's weight decay of d has the gradient d times the weights, so the two are the same at l2 = d / 2. An L1
penalty adds the sum of absolute values, which pulls each weight to zero at a constant rate and leaves many there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Regulariser:
    """The prices of one layer: each times the sum of absolute (l1) or squared (l2) values."""

    weight_l1: float = 0.0
    weight_l2: float = 0.0
    bias_l1: float = 0.0
    bias_l2: float = 0.0

    def __call__(self, layer: nn.Module) -> Tensor | float:
        """Return what `layer`'s weights and bias cost, 0-d with a graph."""
        cost: Tensor | float = 0.0
        for name, l1, l2 in (("weight", self.weight_l1, self.weight_l2), ("bias", self.bias_l1, self.bias_l2)):
            values = getattr(layer, name, None)
            if values is not None:
                cost = cost + norms(values, l1, l2)
        return cost


def norms(values: Tensor, l1: float, l2: float) -> Tensor | float:
    """Return l1 times the sum of absolute `values` plus l2 times the sum of squares."""
    cost: Tensor | float = 0.0
    if l1:
        cost = cost + l1 * values.abs().sum()
    if l2:
        cost = cost + l2 * values.square().sum()
    return cost


def regularise(layer: nn.Module, **prices: float) -> None:
    """Give `layer` the prices of a `Regulariser`; none where all are 0."""
    regulariser = Regulariser(**prices)
    if regulariser != Regulariser():
        layer.regulariser = regulariser  # type: ignore[assignment]  # a plain attribute, not a submodule


def penalty(module: nn.Module) -> Tensor | float:
    """Return what all layers of `module` cost now, with its graph; 0.0 where nothing is regularised.

    An activity is paid for once: it is that of the last forward pass in training mode, per picture.
    """
    cost: Tensor | float = 0.0
    for layer in module.modules():
        if isinstance(layer, ActivityPenalty):
            cost = cost + layer.take()
        elif isinstance(regulariser := getattr(layer, "regulariser", None), Regulariser):
            cost = cost + regulariser(layer)
    return cost


class ActivityPenalty(nn.Module):
    """The identity; in training it notes what its input costs, as a mean over pictures. A leaf of the trace."""

    def __init__(self, *, l1: float = 0.0, l2: float = 0.0) -> None:
        super().__init__()
        self.l1, self.l2 = l1, l2
        self._noted: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` (N, ...) itself."""
        if self.training and torch.is_grad_enabled():
            self._noted = norms(x.float(), self.l1, self.l2) / len(x)
        return x

    def take(self) -> Tensor | float:
        """Return the cost noted last, with its graph, and forget it."""
        noted, self._noted = self._noted, 0.0
        return noted

    def __getstate__(self) -> dict[str, Any]:
        """Leave the note out of copies: a tensor with a graph cannot be copied."""
        return {**self.__dict__, "_noted": 0.0}

    def extra_repr(self) -> str:
        """Return the setting in words."""
        return f"l1={self.l1}, l2={self.l2}"
