"""The sanity check: with random weights the map must be another one.

Adebayo et al. 2018, arXiv:1810.03292, section 3: layers forget what they learnt, from the head down, in a copy of the
network. A method whose map stays nearly the same shows the picture (its edges) and not what the network learnt.
"""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from glassnet.errors import InputError
from glassnet.explain.inside import Inside
from glassnet.models.network import Network

SAME = 0.5
"""A map whose ranks correlate more than this with the trained network's hardly depends on the weights."""


def randomised(network: Network, share: float, *, seed: int = 0) -> Network:
    """Return a copy of `network` in which the last `share` of the layers with weights, at least one, forgot them.

    Weights are drawn anew with variance 2 / fan in (He et al. 2015), batch norms begin at the identity, and biases and
    other vectors are shuffled. The network itself and torch's random state stay as they are. Raises `InputError` for a
    share that is not from 0 to 1.
    """
    if not 0 <= share <= 1:
        raise InputError(f"share is {share}; expected 0 (the last layer alone) to 1 (all)")
    module = copy.deepcopy(network.module)
    layers = weighted_layers(network)
    generator = torch.Generator().manual_seed(seed)
    for name in layers[len(layers) - max(1, round(share * len(layers))) :]:
        for part in module.get_submodule(name).modules():
            forget(part, generator)
    return Network(module, network.card)


def weighted_layers(network: Network) -> list[str]:
    """Return the names of the layers with weights, in the order they are computed, each once."""
    inside = Inside.of(network)
    parts = {layer.name: inside.module(layer.name) for layer in inside.trace}
    return [name for name, part in parts.items() if part is not None and next(part.parameters(), None) is not None]


@torch.no_grad()
def forget(part: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of a module (not of its children) anew, in place."""
    if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
        part.reset_parameters()  # draws nothing
        return
    for weight in part.parameters(recurse=False):
        weight.copy_(_drawn(weight, generator))


def _drawn(weight: Tensor, generator: torch.Generator) -> Tensor:
    if weight.ndim < 2:
        flat = weight.cpu().flatten()
        return flat[torch.randperm(len(flat), generator=generator)].view_as(weight)
    fan_in = weight[0].numel()
    drawn: Tensor = torch.randn(weight.shape, generator=generator) * (2 / fan_in) ** 0.5
    return drawn


def rank_correlation(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    """Return Spearman's rank correlation of two arrays of one shape, in [-1, 1]; 0 where one of them is constant."""
    one, other = _ranks(first), _ranks(second)
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _ranks(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the rank of each number; equal ones share the mean of theirs."""
    _, places, counts = np.unique(array, return_inverse=True, return_counts=True)
    ranks: npt.NDArray[np.float64] = (counts.cumsum() - (counts - 1) / 2)[places.ravel()]
    return ranks
