"""Initialisers: each one's mean, deviation and bounds; the exact ones exactly."""

from __future__ import annotations

import math

import pytest
import torch

from glassnet.errors import InputError
from glassnet.nn.initialise import INITIALISERS, truncated_normal, uniform

SHAPE = (64, 32, 3, 3)
IN, OUT = 32 * 9, 64 * 9


@pytest.mark.parametrize(
    "name, deviation, bound",
    [
        ("normal", 0.01, None),
        ("truncated_normal", 0.0088, 0.02),  # two deviations keep 88 % of the deviation
        ("uniform", 0.1 / math.sqrt(12), 0.05),
        ("he_normal", math.sqrt(2 / IN), None),
        ("he_uniform", math.sqrt(2 / IN), math.sqrt(6 / IN)),
        ("xavier_normal", math.sqrt(2 / (IN + OUT)), None),
        ("xavier_uniform", math.sqrt(2 / (IN + OUT)), math.sqrt(6 / (IN + OUT))),
        ("lecun_normal", math.sqrt(1 / IN), None),
        ("lecun_uniform", math.sqrt(1 / IN), math.sqrt(3 / IN)),
        ("orthogonal", math.sqrt(1 / IN), None),
        ("zeros", 0.0, 0.0),
    ],
)
def test_deviations_and_bounds(name: str, deviation: float, bound: float | None) -> None:
    torch.manual_seed(0)
    weight = torch.full(SHAPE, torch.nan)
    INITIALISERS[name](weight)
    assert weight.std().item() == pytest.approx(deviation, rel=0.02)
    assert weight.mean().item() == pytest.approx(0.0, abs=0.02 * deviation + 1e-9)
    if bound is not None:
        assert bound * 0.99 <= weight.abs().max().item() <= bound * 1.0001


def test_the_exact_ones() -> None:
    weight = torch.empty(3, 2, 3, 3)
    INITIALISERS["identity"](weight)
    assert weight.sum() == 2
    assert weight[0, 0, 1, 1] == weight[1, 1, 1, 1] == 1
    dense = torch.empty(2, 3)
    INITIALISERS["dirac"](dense)
    assert dense.tolist() == [[1, 0, 0], [0, 1, 0]]
    INITIALISERS["ones"](dense)
    assert dense.sum() == 6
    INITIALISERS["constant"](dense, value=0.5)
    assert dense.unique().tolist() == [0.5]
    INITIALISERS["torch"](dense)
    assert dense.unique().tolist() == [0.5]  # what the layer drew stays
    square = torch.empty(4, 4)
    INITIALISERS["orthogonal"](square, gain=2.0)
    torch.testing.assert_close(square @ square.T, 4 * torch.eye(4))


def test_arguments_count() -> None:
    torch.manual_seed(0)
    weight = torch.empty(SHAPE)
    INITIALISERS["he_normal"](weight, fan="out")
    assert weight.std().item() == pytest.approx(math.sqrt(2 / OUT), rel=0.02)
    truncated_normal(weight, mean=3.0, std=0.5)
    assert 2.0 <= weight.min().item() < 2.05
    uniform(weight, low=2.0, high=3.0)
    assert 2.0 <= weight.min().item() < weight.max().item() <= 3.0
    with pytest.raises(InputError, match=r"low is 3.0 and high is 2.0; expected low <= high"):
        uniform(weight, low=3.0, high=2.0)
    with pytest.raises(InputError, match="std is -1; expected at least 0"):
        INITIALISERS["normal"](weight, std=-1)
