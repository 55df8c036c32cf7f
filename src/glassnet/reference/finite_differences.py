"""The gradient of anything, by trying: nudge one number, see how far the loss moves.

Goodfellow, Bengio, Courville 2016, Deep Learning, section 11.5. Central differences: by Taylor
f(x + h) - f(x - h) = 2 h f'(x) + O(h^3), so the error of the quotient falls with h^2; with h = 1e-5 in float64 rounding
(1e-16 / h) and truncation (h^2) are both about 1e-10. At a kink, as ReLU has at 0, the slope is not defined and this
gives the mean of both sides.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glassnet.reference.arrays import Floats


def numerical_gradient(loss: Callable[[], float], x: Floats, step: float = 1e-5) -> Floats:
    """Return the gradient of `loss()` with respect to the float64 array x, which it reads and which is nudged in place.

    Two evaluations for each number in x.
    """
    if x.dtype != np.float64:
        raise ValueError(f"x is {x.dtype}; finite differences need float64: others round the difference away")
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        before = x[index]
        x[index] = before + step
        above = loss()
        x[index] = before - step
        below = loss()
        x[index] = before
        gradient[index] = (above - below) / (2 * step)
    return gradient


def assert_gradient(loss: Callable[[], float], x: Floats, gradient: Floats, tolerance: float = 1e-6) -> None:
    """Raise `AssertionError` naming the worst place unless `gradient` is that of `loss()` with respect to x.

    The difference is measured against 1 + the gradient's size: relative where that is large, absolute where small.
    """
    assert gradient.shape == x.shape, f"the gradient has shape {gradient.shape}, expected {x.shape}"
    expected = numerical_gradient(loss, x)
    error = np.abs(gradient - expected) / (1 + np.abs(expected))
    worst = np.unravel_index(np.argmax(error), x.shape)  # argmax finds a NaN first
    place = tuple(int(i) for i in worst)
    message = f"at {place} the gradient is {gradient[worst]:.6g}, finite differences say {expected[worst]:.6g}"
    assert error[worst] <= tolerance, message
