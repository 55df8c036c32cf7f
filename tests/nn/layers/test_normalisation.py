"""Local response normalisation: by hand, beside torch's (whose alpha means another thing), and against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from glassnet.errors import InputError
from glassnet.nn.layers.normalisation import LocalResponseNorm


def test_by_hand() -> None:
    x = torch.ones(1, 5, 1, 1)
    # k + alpha * sum with k = 1, alpha = 1: the ends see 3 channels, their neighbours 4, the middle all 5.
    out = LocalResponseNorm(5, alpha=1.0, beta=1.0, k=1.0)(x).flatten()
    torch.testing.assert_close(out, torch.tensor([1 / 4, 1 / 5, 1 / 6, 1 / 5, 1 / 4]))
    # the paper's numbers, one channel of 100 alone: 100 / (2 + 1e-4 * 10000)^0.75 = 100 / 3^0.75
    alone = torch.zeros(1, 9, 1, 1)
    alone[0, 4] = 100.0
    assert LocalResponseNorm()(alone)[0, 4].item() == pytest.approx(100 / 3**0.75)


@pytest.mark.parametrize("size", [1, 3, 5, 9])
@pytest.mark.parametrize("channels", [1, 4, 16])
def test_it_is_torchs_with_alpha_times_size(size: int, channels: int) -> None:
    torch.manual_seed(0)
    x = 50 * torch.randn(2, channels, 3, 4, dtype=torch.float64)
    ours = LocalResponseNorm(size)(x)
    torch.testing.assert_close(ours, nn.LocalResponseNorm(size, alpha=1e-4 * size, beta=0.75, k=2.0)(x))
    if size > 1:
        trap = nn.LocalResponseNorm(size, alpha=1e-4, beta=0.75, k=2.0)(x)
        assert (ours - trap).abs().max() > 1.0, "torch divides alpha by the size; the same alpha gives another layer"


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 8), st.sampled_from([1, 3, 5]), st.floats(0.0, 2.0), st.floats(0.1, 1.0), st.integers(0, 99))
def test_it_is_the_papers_sum(channels: int, size: int, alpha: float, beta: float, seed: int) -> None:
    a = np.random.default_rng(seed).normal(size=(channels, 2, 3))
    half = size // 2
    expected = np.empty_like(a)
    for i in range(channels):
        around = a[max(0, i - half) : min(channels - 1, i + half) + 1]
        expected[i] = a[i] / (2.0 + alpha * (around**2).sum(0)) ** beta
    layer = LocalResponseNorm(size, alpha=alpha, beta=beta)
    np.testing.assert_allclose(layer(torch.from_numpy(a[None]))[0].numpy(), expected, rtol=1e-12)


def test_its_gradient_is_right() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 6, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(LocalResponseNorm(alpha=0.5), x)


@pytest.mark.parametrize("size", [0, 4, -1])
def test_a_size_without_a_middle_is_refused(size: int) -> None:
    with pytest.raises(InputError, match=f"size is {size}; expected an odd number"):
        LocalResponseNorm(size)
