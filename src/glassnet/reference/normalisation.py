"""Normalisation: keep the numbers between layers at a size that the next layer can work with.

Batch normalisation: Ioffe and Szegedy 2015, "Batch normalization: accelerating deep network training by reducing
internal covariate shift", arXiv:1502.03167, algorithms 1 and 2. Local response normalisation: Krizhevsky, Sutskever
and Hinton 2012, "ImageNet classification with deep convolutional neural networks", section 3.3.
"""

from __future__ import annotations

import numpy as np

from glassnet.reference.arrays import Floats

BatchCache = tuple[Floats, Floats, Floats]
ResponseCache = tuple[Floats, Floats, int, float, float]


def batch_norm_train_forward(
    x: Floats,
    gamma: Floats,
    beta: Floats,
    running: tuple[Floats, Floats],
    *,
    momentum: float = 0.1,
    epsilon: float = 1e-5,
) -> tuple[Floats, BatchCache, tuple[Floats, Floats]]:
    """Normalise each channel of x, (N, C, H, W) or (N, C), over the batch: y, cache, and the new running statistics.

    With m = N H W numbers in a channel:

        mean = (1/m) sum x        variance = (1/m) sum (x - mean)^2
        normal = (x - mean) / sqrt(variance + epsilon)        y = gamma * normal + beta

    `running` is (mean, variance), each (C,), for use after training: momentum of the new and 1 - momentum of the old.
    It keeps the unbiased variance, times m / (m - 1), as it is to stand for all pictures, not for this batch.
    """
    axes = _all_but_channels(x)
    m = x.size // x.shape[1]
    if m < 2:
        raise ValueError(f"an input {x.shape} has one number in each channel; a variance needs two")
    mean, variance = x.mean(axes), x.var(axes)  # (C,)
    deviation = np.sqrt(variance + epsilon)
    normal = (x - _spread(mean, x)) / _spread(deviation, x)
    y = _spread(gamma, x) * normal + _spread(beta, x)
    running_mean = (1 - momentum) * running[0] + momentum * mean
    running_variance = (1 - momentum) * running[1] + momentum * variance * m / (m - 1)
    return y, (normal, deviation, gamma), (running_mean, running_variance)


def batch_norm_train_backward(dy: Floats, cache: BatchCache) -> tuple[Floats, Floats, Floats]:
    """Return (dx, dgamma, dbeta); dx in the shape of x, the others (C,).

    From y = gamma * normal + beta:  dbeta = sum dy,  dgamma = sum dy * normal,  dnormal = gamma * dy.
    With s = sqrt(variance + epsilon), x reaches normal = (x - mean) / s in three ways:

        by itself:              dnormal / s
        through the variance:   dvariance = sum dnormal (x - mean) * (-1/2) s^-3, and each x has 2 (x - mean) / m in it:
                                together -(x - mean) / s * (1/m) (sum dnormal * (x - mean) / s) / s
                                         = -normal * mean(dnormal * normal) / s
        through the mean:       dmean = -sum dnormal / s, and each x has 1/m in it: -mean(dnormal) / s
                                (the mean inside the variance adds nothing, for sum (x - mean) = 0)

    so dx = (dnormal - mean(dnormal) - normal * mean(dnormal * normal)) / s.
    """
    normal, deviation, gamma = cache
    axes = _all_but_channels(dy)
    dnormal = _spread(gamma, dy) * dy
    mean = dnormal.mean(axes, keepdims=True)
    along = (dnormal * normal).mean(axes, keepdims=True)
    dx = (dnormal - mean - normal * along) / _spread(deviation, dy)
    return dx, (dy * normal).sum(axes), dy.sum(axes)


def batch_norm_eval_forward(
    x: Floats,
    gamma: Floats,
    beta: Floats,
    running: tuple[Floats, Floats],
    *,
    epsilon: float = 1e-5,
) -> tuple[Floats, BatchCache]:
    """Normalise with the running (mean, variance) instead of the batch's: y = gamma * normal + beta, and the cache."""
    mean, variance = running
    deviation = np.sqrt(variance + epsilon)
    normal = (x - _spread(mean, x)) / _spread(deviation, x)
    return _spread(gamma, x) * normal + _spread(beta, x), (normal, deviation, gamma)


def batch_norm_eval_backward(dy: Floats, cache: BatchCache) -> tuple[Floats, Floats, Floats]:
    """Return (dx, dgamma, dbeta). The statistics are constants now: x reaches y by itself only, dx = gamma dy / s."""
    normal, deviation, gamma = cache
    axes = _all_but_channels(dy)
    return dy * _spread(gamma / deviation, dy), (dy * normal).sum(axes), dy.sum(axes)


def local_response_norm_forward(
    a: Floats, n: int = 5, *, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> tuple[Floats, ResponseCache]:
    """Damp each number of a (N, C, H, W) by its n neighbours across channels: b (N, C, H, W), and the cache.

        b[c] = a[c] / s[c]^beta        s[c] = k + alpha * sum of a[j]^2 over the n channels j from c - n // 2 on

    at each pixel; channels that do not exist are left out. As in the paper alpha is not divided by n (torch divides).
    """
    if n < 1:
        raise ValueError(f"n is {n}; expected at least 1 channel to look at")
    s = k + alpha * _neighbours(a**2, n // 2, (n - 1) // 2)
    return a * s**-beta, (a, s, n, alpha, beta)


def local_response_norm_backward(db: Floats, cache: ResponseCache) -> Floats:
    """Return da (N, C, H, W).

    a[j] is in b[j] by itself, with the factor s[j]^-beta, and in b[c] of every c that has j for a neighbour, through
    s[c], where ds[c]/da[j] = 2 alpha a[j]:

        da[j] = db[j] s[j]^-beta - 2 alpha beta a[j] * sum over those c of db[c] a[c] s[c]^(-beta - 1)

    j lies in the window from c - n // 2 to c + (n - 1) // 2; so c lies from j - (n - 1) // 2 to j + n // 2.
    """
    a, s, n, alpha, beta = cache
    collected = _neighbours(db * a * s ** (-beta - 1), (n - 1) // 2, n // 2)
    return db * s**-beta - 2 * alpha * beta * a * collected


def _neighbours(a: Floats, before: int, after: int) -> Floats:
    """Return for each channel c the sum of a's channels from c - before to c + after, as far as they exist."""
    total = np.zeros_like(a)
    for c in range(a.shape[1]):
        total[:, c] = a[:, max(c - before, 0) : c + after + 1].sum(1)
    return total


def _all_but_channels(x: Floats) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _spread(v: Floats, x: Floats) -> Floats:
    """Give v (C,) the axes of x, so that it meets every picture and pixel: (1, C, 1, 1) or (1, C)."""
    return v.reshape(1, -1, *[1] * (x.ndim - 2))
