"""Activations: a = g(z), number by number, so that layers in a row are more than one layer.

All have the same backward step: z[k] reaches the loss through a[k] alone, so dz = da * g'(z). ReLU: Krizhevsky,
Sutskever and Hinton 2012, section 3.1; sigmoid and tanh: Goodfellow, Bengio, Courville 2016, Deep Learning, section
6.3. Arrays may have any shape.
"""

from __future__ import annotations

import numpy as np

from glassnet.reference.arrays import Floats

Cache = Floats


def relu_forward(z: Floats) -> tuple[Floats, Cache]:
    """a = max(0, z)."""
    return np.maximum(z, 0), z


def relu_backward(da: Floats, cache: Cache) -> Floats:
    """dz = da where z > 0, else 0: the slope is 1 or 0. At the kink the slope is taken to be 0."""
    z = cache
    return da * (z > 0)


def sigmoid_forward(z: Floats) -> tuple[Floats, Cache]:
    """a = 1 / (1 + e^-z), computed as (1 + tanh(z / 2)) / 2: the same number, and e^-z cannot overflow."""
    a = (1 + np.tanh(z / 2)) / 2
    return a, a


def sigmoid_backward(da: Floats, cache: Cache) -> Floats:
    """dz = da * a (1 - a).

    With a = (1 + e^-z)^-1: a' = e^-z (1 + e^-z)^-2 = a * e^-z / (1 + e^-z) = a (1 - a).
    """
    a = cache
    return da * a * (1 - a)


def tanh_forward(z: Floats) -> tuple[Floats, Cache]:
    """a = (e^z - e^-z) / (e^z + e^-z)."""
    a = np.tanh(z)
    return a, a


def tanh_backward(da: Floats, cache: Cache) -> Floats:
    """dz = da * (1 - a^2).

    By the quotient rule a' = ((e^z + e^-z)^2 - (e^z - e^-z)^2) / (e^z + e^-z)^2 = 1 - a^2.
    """
    a = cache
    return da * (1 - a**2)
