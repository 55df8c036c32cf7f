"""Softmax and cross-entropy: from scores to probabilities, and how surprised they are by the truth.

Goodfellow, Bengio, Courville 2016, Deep Learning, section 6.2.2.3. Label smoothing: Szegedy, Vanhoucke, Ioffe, Shlens
and Wojna 2015, "Rethinking the Inception architecture for computer vision", arXiv:1512.00567, section 7.
"""

from __future__ import annotations

import numpy as np

from glassnet.reference.arrays import Floats, Integers

Cache = tuple[Floats, Floats]


def softmax(z: Floats) -> Floats:
    """Turn logits z (N, K) into probabilities (N, K): p[n, k] = e^z[n, k] / sum over j of e^z[n, j].

    A row's largest logit is taken off first. That divides numerator and denominator by the same number, so nothing
    changes, except that no e^z overflows.
    """
    e = np.exp(z - z.max(1, keepdims=True))
    p: Floats = e / e.sum(1, keepdims=True)
    return p


def softmax_cross_entropy_forward(z: Floats, labels: Integers, *, smoothing: float = 0.0) -> tuple[float, Cache]:
    """Return the loss of logits z (N, K) for labels (N,) in 0 .. K - 1, and the cache.

        target[n, k] = smoothing / K, and 1 - smoothing more where k is the label
        loss = -(1/N) sum over n, k of target[n, k] * log p[n, k]

    where log p = z - log(sum over j of e^z[j]), again after taking off the largest, so that no log(0) is asked for.
    """
    N, K = z.shape
    if labels.shape != (N,) or labels.min() < 0 or labels.max() >= K:
        raise ValueError(f"labels {labels.shape} do not fit logits {z.shape}: one from 0 to {K - 1} for each row")
    target = np.full_like(z, smoothing / K)
    target[np.arange(N), labels] += 1 - smoothing
    shifted = z - z.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return float(-(target * log_p).sum() / N), (np.exp(log_p), target)


def softmax_cross_entropy_backward(cache: Cache) -> Floats:
    """Return dz (N, K) = (p - target) / N.

    In one row, with loss = -sum over k of target[k] (z[k] - log sum over j of e^z[j]) and the targets summing to 1:
    loss = -sum over k of target[k] z[k] + log sum over j of e^z[j]. The first term has the slope -target[k], the second
    e^z[k] / sum over j of e^z[j] = p[k]. The mean over the batch divides by N.
    """
    p, target = cache
    return (p - target) / len(p)
