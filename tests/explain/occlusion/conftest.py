"""The naive loop, which knows nothing of windows: what the engine is held against."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from glassnet.explain.inside import Inside
from glassnet.explain.occlusion.engine import Engine

Compare = Callable[..., float]
EXACT = 1e-4
"""Of the map's range; what is asked is 1e-3."""
TIMES = 3.0


def naive_logits(module: nn.Module, images: Tensor, positions: Sequence[tuple[int, int]], patch: Tensor) -> Tensor:
    """Return the logits (P, K) of the picture with `patch` (C, h, w) pasted in, one whole forward pass each."""
    height, width = patch.shape[1:]
    found = []
    with torch.inference_mode():
        for y, x in positions:
            covered = images.clone()
            covered[:, :, y : y + height, x : x + width] = patch
            found.append(module(covered))
    return torch.cat(found)


def borders_and_middle(picture: tuple[int, int], size: tuple[int, int]) -> list[tuple[int, int]]:
    """Return positions at all borders and corners, beside them, and some within, of either parity."""
    chosen = []
    for length, side in zip(picture, size, strict=True):
        last = length - side
        chosen.append(sorted({0, min(1, last), last // 3, last // 2 + 1 if last > 2 else last, last}))
    return [(y, x) for y in chosen[0] for x in chosen[1]]


def worst(found: Tensor, wanted: Tensor) -> float:
    """Return the largest difference of two (P, K), relative to the range of the logit that moves most."""
    moved = float((wanted.max(0).values - wanted.min(0).values).max())
    assert moved > 0, "no logit moves: the comparison says nothing"
    assert found.shape == wanted.shape
    return float((found - wanted).abs().max()) / moved


def settle(module: nn.Module, shape: Sequence[int]) -> nn.Module:
    """Give batch norms the statistics of random pictures, and scales of their own, as after a training."""
    generator = torch.Generator().manual_seed(1)
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
        nn.init.uniform_(norm.weight, 0.6, 1.4, generator=generator)
        nn.init.uniform_(norm.bias, -0.3, 0.3, generator=generator)
    if norms:
        with torch.no_grad():
            module.train()(torch.randn(4, *shape, generator=generator))
    return module.eval()


@pytest.fixture(scope="session")
def compare() -> Compare:
    """Return how far the engine is from the naive loop, for a random picture and a random patch.

    Fresh weights can move the logits so little that float32's own rounding shows: for AlexNet of 2012 the naive loop is
    1e-2 of the range away from the same in float64. The engine may then be `TIMES` as far from that as the loop is.
    """

    def comparison(
        module: nn.Module,
        shape: tuple[int, int, int],
        size: tuple[int, int],
        positions: Sequence[tuple[int, int]] | None = None,
    ) -> float:
        settle(module, shape)
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(1, *shape, generator=generator)
        patch = torch.randn(shape[0], *size, generator=generator)
        where = positions or borders_and_middle((shape[1], shape[2]), size)
        found = Engine(Inside(module, shape), images).logits(where, patch)
        wanted = naive_logits(module, images, where, patch)
        if worst(found, wanted) < EXACT:
            return worst(found, wanted)
        exact = naive_logits(copy.deepcopy(module).double(), images.double(), where, patch.double())
        return EXACT * worst(found, exact) / (TIMES * worst(wanted, exact))

    return comparison
