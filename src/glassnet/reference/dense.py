"""The dense layer: every output looks at every input, each with a weight of its own.

Goodfellow, Bengio, Courville 2016, Deep Learning, section 6.5.4 and algorithm 6.4.
"""

from __future__ import annotations

from glassnet.reference.arrays import Floats

Cache = tuple[Floats, Floats]


def dense_forward(a_prev: Floats, W: Floats, b: Floats) -> tuple[Floats, Cache]:
    """Map a_prev (N, D) with W (K, D) and b (K,) to z (N, K), and return it with the cache.

    z[n, k] = b[k] + sum over d of W[k, d] * a_prev[n, d],        in one line: z = a_prev W^T + b
    """
    if a_prev.ndim != 2 or a_prev.shape[1:] != W.shape[1:] or b.shape != W.shape[:1]:
        raise ValueError(f"weights {W.shape} and bias {b.shape} do not fit an input {a_prev.shape}")
    return a_prev @ W.T + b, (a_prev, W)


def dense_backward(dz: Floats, cache: Cache) -> tuple[Floats, Floats, Floats]:
    """Return (da_prev (N, D), dW (K, D), db (K,)) for dz (N, K).

    b[k] is added in every row n:                       db[k]         = sum over n of dz[n, k]
    W[k, d] has the factor a_prev[n, d] in z[n, k]:     dW[k, d]      = sum over n of dz[n, k] * a_prev[n, d]
    a_prev[n, d] has the factor W[k, d] in z[n, k]:     da_prev[n, d] = sum over k of dz[n, k] * W[k, d]
    """
    a_prev, W = cache
    return dz @ W, dz.T @ a_prev, dz.sum(0)
