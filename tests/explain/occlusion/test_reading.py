"""What the lowering makes of layers: folded, local, windows, and what it leaves whole; so that speed is not lost."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn

from glassnet.explain.inside import Inside
from glassnet.explain.occlusion.lower import lower
from glassnet.explain.occlusion.operators import Program, Whole
from glassnet.models import create


def program_of(name: str, size: tuple[int, int, int] = (3, 64, 64), watched: tuple[int, ...] = ()) -> Program:
    """Return a network's program; `watched` are places in its trace."""
    torch.manual_seed(0)
    inside = Inside(create(name, classes=5), size)
    return lower(inside, torch.zeros(1, *size), tuple(inside.trace.layers[place].name for place in watched))


def kinds(program: Program) -> Counter[str]:
    return Counter(type(operator).__name__ for operator in program.operators)


def test_batch_norms_and_rectifiers_disappear() -> None:
    """ResNet-18: 20 convolutions and a pooling; 8 additions, each rectified; the mean; the dense layer."""
    assert kinds(program_of("resnet18")) == {"Window": 21, "Local": 16, "Total": 1, "Whole": 1}


def test_a_watched_layer_keeps_an_output_of_its_own() -> None:
    program = program_of("resnet18", watched=(0, 1))  # the first convolution and its batch norm
    assert kinds(program) - kinds(program_of("resnet18")) == {"Local": 2}  # the norm and the rectifier behind it
    assert list(program.named.values()) == [1, 2]


@pytest.mark.parametrize(
    "name",
    ["squeezenet1_0", "googlenet_bn", "mobilenet_v2", "efficientnet_lite0", "preresnet18"],
)
def test_what_is_whole_has_no_positions_any_more(name: str) -> None:
    """No map of a common network falls back: only flattening, dense layers and what is between them."""
    program = program_of(name)
    whole = [operator for operator in program.operators if isinstance(operator, Whole)]
    assert all(not program.is_map(operator.out) for operator in whole)


def test_an_unknown_layer_is_whole() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    program = lower(Inside(module, (3, 8, 8)), torch.zeros(1, 3, 8, 8))
    assert [type(operator).__name__ for operator in program.operators] == ["Window", "Whole", "Local", "Whole", "Whole"]
