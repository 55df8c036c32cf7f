"""Shortcuts A, B, C and none, by hand numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from glassnet.errors import UnknownName
from glassnet.nn.layers.shortcuts import PaddedShortcut, make_shortcut
from glassnet.nn.trace import trace


def test_shortcut_a_takes_every_second_value_and_adds_channels_of_zeros() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4) - 8
    out = PaddedShortcut(1, 3, stride=2)(x)
    assert out.tolist() == [[[[-8.0, -6.0], [0.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]]


def test_shortcut_a_has_no_weights_and_a_trace() -> None:
    traced = trace(PaddedShortcut(16, 32, 2), (16, 9, 9))
    assert traced.parameters == 0
    assert traced.layers[-1].output_shape == (32, 5, 5)
    assert traced.layers[-1].stride == (2, 2)
    assert traced.layers[-1].receptive_field == (1, 1)


@pytest.mark.parametrize(
    "option, same, changing",
    [
        ("A", nn.Identity, PaddedShortcut),
        ("B", nn.Identity, nn.Conv2d),
        ("C", nn.Conv2d, nn.Conv2d),
        ("none", type(None), type(None)),
    ],
)
def test_the_options_are_the_papers(option: str, same: type, changing: type) -> None:
    assert isinstance(make_shortcut(option, 4, 4, 1, nn.Conv2d), same)
    assert isinstance(make_shortcut(option, 4, 8, 1, nn.Conv2d), changing)
    assert isinstance(make_shortcut(option, 4, 4, 2, nn.Conv2d), changing)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"no shortcut is called 'D'; .*expected 'A', 'B', 'C' or 'none'"):
        make_shortcut("D", 4, 4, 1, nn.Conv2d)
