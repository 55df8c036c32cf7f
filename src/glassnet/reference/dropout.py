"""Dropout: in training each number is left out with a certain chance, so that none relies on another.

Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov 2014, "Dropout: a simple way to prevent neural networks from
overfitting", JMLR 15. Inverted, as is the habit: what stays is enlarged in training, so that after training nothing
has to be done at all.
"""

from __future__ import annotations

import numpy as np

from glassnet.reference.arrays import Booleans, Floats

Cache = Floats


def dropout_forward(
    a: Floats,
    rate: float,
    *,
    generator: np.random.Generator | None = None,
    mask: Booleans | None = None,
) -> tuple[Floats, Cache]:
    """Leave out a share `rate` of the numbers of a, of any shape, and divide the others by 1 - rate.

    What stays is said by `mask` (the shape of a, True for stays), or drawn with `generator`. A number stays with
    probability 1 - rate and is then divided by it, so its expectation is what it was.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"the dropout rate is {rate}; expected 0 <= rate < 1")
    if (mask is None) == (generator is None):
        raise ValueError("dropout needs a mask or a generator to draw one with, and not both")
    stays = np.asarray(mask if generator is None else generator.random(a.shape) >= rate)
    if stays.shape != a.shape:
        raise ValueError(f"a mask {stays.shape} does not fit an input {a.shape}")
    factor = stays / a.dtype.type(1 - rate)  # 0 or 1 / (1 - rate), in the precision of a
    return a * factor, factor


def dropout_backward(da: Floats, cache: Cache) -> Floats:
    """Return the gradient of the input: each number had the factor 0 or 1 / (1 - rate), and so has its gradient."""
    return da * cache
