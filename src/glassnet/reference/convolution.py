"""Convolution: the same small filter looks at every place of the picture.

As in every framework the kernel is not flipped, so the mathematician calls it cross-correlation (Goodfellow, Bengio,
Courville 2016, Deep Learning, section 9.1; the gradients: section 9.5). Groups keep the channels apart (Krizhevsky,
Sutskever and Hinton 2012, "ImageNet classification with deep convolutional neural networks", section 3.5).
"""

from __future__ import annotations

import numpy as np

from glassnet.reference.arrays import Floats
from glassnet.reference.windows import Padding, Positions, Sides, Size, crop, slide

Cache = tuple[Floats, Floats, Positions, Sides]


def convolution_forward(
    a_prev: Floats,
    W: Floats,
    b: Floats,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> tuple[Floats, Cache]:
    """Convolve a_prev (N, C, H, W) with filters W (M, C / groups, I, J), add b (M,): z (N, M, rows, columns), cache.

    With P the padded a_prev, s the stride and d the dilation, a filter m of the (only) group gives

        z[n, m, y, x] = b[m] + sum over c, i, j of W[m, c, i, j] * P[n, c, y s + i d, x s + j d]

    The sum over i and j is the loop; for each, all windows are met at once. With groups, the channels and the filters
    are dealt into `groups` equal parts, and the filters of part g see the channels of part g only.
    """
    if W.ndim != 4 or a_prev.ndim != 4 or a_prev.shape[1] != W.shape[1] * groups:
        raise ValueError(f"filters {W.shape} in {groups} groups do not fit an input {a_prev.shape}")
    if W.shape[0] % groups or b.shape != W.shape[:1]:
        raise ValueError(f"{W.shape[0]} filters do not go into {groups} groups with a bias {b.shape}")
    padded, sides, positions = slide(a_prev, W.shape[2:], stride, padding, dilation)
    P = padded.reshape(len(padded), groups, -1, *padded.shape[2:])  # (N, groups, C / groups, H', W')
    F = W.reshape(groups, -1, *W.shape[1:])  # (groups, M / groups, C / groups, I, J)
    z = sum(
        np.einsum("gmc,ngcyx->ngmyx", F[..., i, j], P[..., rows, columns])
        for (i, j), (rows, columns) in positions.items()
    )
    z = z.reshape(len(z), len(W), *z.shape[3:]) + b[:, None, None]  # (N, M, rows, columns)
    return z, (P, F, positions, sides)


def convolution_backward(dz: Floats, cache: Cache) -> tuple[Floats, Floats, Floats]:
    """Return (da_prev, dW, db) for the gradient dz of the output, in the shapes of a_prev, W and b.

    Read off the forward formula what each number takes part in, and add up dz times the factor beside it:

    b[m] was added to z[n, m, y, x] for all n, y, x:

        db[m] = sum over n, y, x of dz[n, m, y, x]

    W[m, c, i, j] met one pixel of every window:

        dW[m, c, i, j] = sum over n, y, x of dz[n, m, y, x] * P[n, c, y s + i d, x s + j d]

    P[n, c, y s + i d, x s + j d] met W[m, c, i, j] on the way to z[n, m, y, x], for all m, y, x, i, j that lead to it:

        dP[n, c, y s + i d, x s + j d] += dz[n, m, y, x] * W[m, c, i, j]

    and da_prev is dP without the padding, which is constant.
    """
    P, F, positions, sides = cache
    groups, filters = F.shape[:2]
    dz = dz.reshape(len(dz), groups, filters, *dz.shape[2:])  # (N, groups, M / groups, rows, columns)
    dF, dP = np.zeros_like(F), np.zeros_like(P)
    for (i, j), (rows, columns) in positions.items():
        dF[..., i, j] = np.einsum("ngmyx,ngcyx->gmc", dz, P[..., rows, columns])
        dP[..., rows, columns] += np.einsum("gmc,ngmyx->ngcyx", F[..., i, j], dz)
    da_prev = crop(dP.reshape(len(P), -1, *P.shape[3:]), sides)  # (N, C, H, W)
    return da_prev, dF.reshape(-1, *F.shape[2:]), dz.sum((0, 3, 4)).reshape(-1)
