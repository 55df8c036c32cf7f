"""Dropout: by hand with a mask, on average with a generator."""

from __future__ import annotations

import numpy as np
import pytest

from glassnet.reference.dropout import dropout_backward, dropout_forward
from glassnet.reference.finite_differences import assert_gradient


def test_a_mask_by_hand() -> None:
    a, cache = dropout_forward(np.array([[1.0, 2, 3]]), 0.75, mask=np.array([[True, False, True]]))
    assert a.tolist() == [[4, 0, 12]]
    assert dropout_backward(np.array([[1.0, 1, 10]]), cache).tolist() == [[4, 0, 40]]


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_the_expectation_is_the_input(rate: float) -> None:
    count = 200_000
    a, cache = dropout_forward(np.full((count, 2), 3.0), rate, generator=np.random.default_rng(0))
    spread = 3 * np.sqrt(rate / (1 - rate) / count)  # the deviation of the mean of numbers that are 0 or 3 / (1 - rate)
    assert np.abs(a.mean(0) - 3).max() < 5 * spread
    assert (a == 0).mean() == pytest.approx(rate, abs=0.01)
    assert set(np.unique(cache)) == {0, 1 / (1 - rate)}


def test_without_a_rate_nothing_happens() -> None:
    x = np.random.default_rng(0).standard_normal((3, 2, 4, 4))
    np.testing.assert_array_equal(dropout_forward(x, 0, generator=np.random.default_rng(1))[0], x)


def test_the_same_generator_draws_the_same() -> None:
    x = np.ones((4, 5), np.float32)
    first, second, other = (dropout_forward(x, 0.5, generator=np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != other).any()
    assert first.dtype == np.float32


def test_the_gradient_is_what_finite_differences_say() -> None:
    generator = np.random.default_rng(0)
    a, da = generator.standard_normal((2, 3, 4))
    mask = generator.random((3, 4)) > 0.4
    _, cache = dropout_forward(a, 0.4, mask=mask)
    assert_gradient(lambda: float((da * dropout_forward(a, 0.4, mask=mask)[0]).sum()), a, dropout_backward(da, cache))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the dropout rate is 1; expected 0 <= rate < 1"):
        dropout_forward(np.ones(3), 1, mask=np.ones(3, bool))
    with pytest.raises(ValueError, match="needs a mask or a generator"):
        dropout_forward(np.ones(3), 0.5)
    with pytest.raises(ValueError, match="and not both"):
        dropout_forward(np.ones(3), 0.5, mask=np.ones(3, bool), generator=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"a mask \(1,\) does not fit an input \(3,\)"):
        dropout_forward(np.ones(3), 0.5, mask=np.ones(1, bool))
