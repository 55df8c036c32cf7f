"""Flatten, residual addition, concatenation: by hand, against torch, against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from glassnet.reference.finite_differences import assert_gradient
from glassnet.reference.joining import (
    concatenate_backward,
    concatenate_forward,
    flatten_backward,
    flatten_forward,
    residual_backward,
    residual_forward,
)


def test_flatten_reads_channel_by_channel_and_row_by_row() -> None:
    a = np.arange(24.0).reshape(2, 3, 2, 2)
    flat, cache = flatten_forward(a)
    assert flat.tolist() == [list(range(12)), list(range(12, 24))]
    assert (flatten_backward(flat, cache) == a).all()
    assert (flat == torch.tensor(a).flatten(1).numpy()).all()


def test_a_residual_addition_sends_the_gradient_both_ways() -> None:
    branch, shortcut, da = np.random.default_rng(0).standard_normal((3, 1, 2, 2, 2))
    a, cache = residual_forward(branch, shortcut)
    assert (a == branch + shortcut).all()
    for array, gradient in zip((branch, shortcut), residual_backward(da, cache), strict=True):
        assert_gradient(lambda: float((da * residual_forward(branch, shortcut)[0]).sum()), array, gradient)


def test_a_shortcut_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a branch \(1, 2, 4, 4\) and a shortcut \(1, 1, 4, 4\) cannot be added"):
        residual_forward(np.zeros((1, 2, 4, 4)), np.zeros((1, 1, 4, 4)))


def test_concatenation_is_torchs(torch_says: Callable[..., Any]) -> None:
    generator = np.random.default_rng(0)
    parts = [generator.standard_normal((2, channels, 3, 4)) for channels in (1, 3, 2)]
    a, cache = concatenate_forward(parts)
    assert a.shape == (2, 6, 3, 4)
    da = generator.standard_normal(a.shape)
    expected, gradients = torch_says(lambda *t: torch.cat(t, 1), da, *parts)
    assert (a == expected).all()
    for part, ours, theirs in zip(parts, concatenate_backward(da, cache), gradients, strict=True):
        assert (ours == theirs).all()
        assert_gradient(lambda: float((da * concatenate_forward(parts)[0]).sum()), part, ours)
