"""The checking helper: right on functions known by heart, and loud about gradients that are wrong in many ways."""

from __future__ import annotations

import numpy as np
import pytest

from glassnet.reference.finite_differences import assert_gradient, numerical_gradient

X = np.array([[0.5, -1.0, 2.0], [3.0, 0.1, -0.4]])


def cubes(x: np.ndarray) -> float:
    return float((x**3).sum())


def test_a_gradient_known_by_heart() -> None:
    x = X.copy()
    np.testing.assert_allclose(numerical_gradient(lambda: cubes(x), x), 3 * X**2, atol=1e-8)
    assert (x == X).all()  # put back as it was


def test_a_right_gradient_passes() -> None:
    x = X.copy()
    assert_gradient(lambda: cubes(x), x, 3 * X**2)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(3 * X**2 * 1.0001, id="a factor"),
        pytest.param(-3 * X**2, id="the sign"),
        pytest.param(np.zeros_like(X), id="zero"),
        pytest.param(3 * X[:, ::-1] ** 2, id="the order"),
        pytest.param(3 * X**2 + 1e-4 * (X == 0.1), id="one number"),
        pytest.param(np.where(X == 0.1, np.nan, 3 * X**2), id="a nan"),
    ],
)
def test_a_wrong_gradient_fails(wrong: np.ndarray) -> None:
    x = X.copy()
    with pytest.raises(AssertionError, match=r"at \(\d, \d\) the gradient is .*, finite differences say"):
        assert_gradient(lambda: cubes(x), x, wrong)


def test_the_worst_place_is_named() -> None:
    x = X.copy()
    wrong = 3 * X**2
    wrong[1, 0] = 20
    with pytest.raises(AssertionError, match=r"at \(1, 0\) the gradient is 20, finite differences say 27"):
        assert_gradient(lambda: cubes(x), x, wrong)


def test_a_gradient_of_another_shape_fails() -> None:
    x = X.copy()
    with pytest.raises(AssertionError, match=r"the gradient has shape \(3, 2\), expected \(2, 3\)"):
        assert_gradient(lambda: cubes(x), x, 3 * X.T**2)


def test_single_precision_is_refused() -> None:
    x = X.astype(np.float32)
    with pytest.raises(ValueError, match="x is float32; finite differences need float64"):
        numerical_gradient(lambda: cubes(x), x)
