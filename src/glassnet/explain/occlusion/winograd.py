"""A 3x3 convolution with 36 multiplications for 16 outputs where the plain one needs 144, as batched matrix products.

Winograd's minimal filtering F(4x4, 3x3): tiles of 6x6 that overlap by two are transformed, B^T d B, multiplied with the
transformed filters position by position, G g G^T, and transformed back, A^T m A. The 36 products are matrix products
over the channels. In float32 it rounds up to 2.5 times as coarsely as the plain sum.

Paper: Lavin, Gray 2015, "Fast algorithms for convolutional neural networks", arXiv:1509.09308, section 4.3. Here: other
points of interpolation, which lose fewer digits (Barabasz, Anderson, Soodhalter, Gregg 2018, arXiv:1803.10986).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from glassnet.explain.occlusion.operators import bent

TILE = 4
"""Rows and columns of outputs that a tile gives."""
FEWEST = 96
"""With fewer channels the transformations cost more than the products save."""
CHUNK = 1 << 15
"""Tiles times channels that are transformed at a time, so that they stay in the processor's own memory."""
P, Q = 0.625, 1.5
"""The polynomials are evaluated at 0, +-P, +-Q and infinity. On random maps of 96 to 512 channels the largest error was
1 to 2.5 times that of the plain convolution, and with the paper's 1 and 2 it was 4 to 7 times."""


def _matrices(p: float, q: float) -> tuple[list[list[float]], list[list[float]], list[list[float]]]:
    """Return B^T (6, 6), G (6, 3) and A^T (4, 6) for the points 0, p, -p, q, -q and infinity (Toom and Cook)."""
    pp, qq = p * p, q * q
    into = [[pp * qq, 0, -(pp + qq), 0, 1, 0]]
    into += [[0, -at * other, -other, at, 1, 0] for at, other in ((p, qq), (-p, qq), (q, pp), (-q, pp))]
    into += [[0, pp * qq, 0, -(pp + qq), 0, 1]]
    filters = [[1 / (pp * qq), 0, 0]]
    for at, other in ((p, qq), (-p, qq), (q, pp), (-q, pp)):
        scale = 1 / (2 * at * at * (at * at - other))
        filters.append([scale, scale * at, scale * at * at])
    filters += [[0, 0, 1]]
    back = [[float(power == 0), *(at**power for at in (p, -p, q, -q)), float(power == 3)] for power in range(4)]
    return into, filters, back


def pays(channels: int, size: tuple[int, int]) -> bool:
    """Tell whether it is the quicker way to `size` (h, w) outputs; `channels`: the fewer of inputs and outputs.

    Measured on two AVX-512 cores: what it does beside the products costs as much as they for 128 channels, half for
    256 and a quarter for 512.
    """
    tiles = -(-size[0] // TILE) * -(-size[1] // TILE)
    return channels >= FEWEST and 9 * size[0] * size[1] > 36 * tiles * (1 + 150 / channels)


class Winograd:
    """Weight (O, C, 3, 3) at stride 1, bias (O,) and an activation, on maps that are padded already."""

    def __init__(self, weight: Tensor, bias: Tensor | None, bend: str) -> None:
        b, g, a = (torch.tensor(each, dtype=torch.float64, device=weight.device) for each in _matrices(P, Q))
        taps = weight.detach().permute(2, 3, 1, 0).flatten(0, 1).flatten(1)  # (9, C O)
        self.filters = (torch.kron(g, g).to(weight.dtype) @ taps).view(36, weight.shape[1], -1)  # (36, C, O)
        self.into = torch.kron(b, b).to(weight.dtype)  # (36, 36)
        self.back = torch.kron(a, a).to(weight.dtype)  # (16, 36)
        self.bias, self.bend = bias, bend

    def __call__(self, x: Tensor) -> Tensor:
        """(P, C, h + 2, w + 2) channels_last -> (P, O, h, w)."""
        height, width = x.shape[2] - 2, x.shape[3] - 2
        rest = (-height % TILE, -width % TILE)
        if any(rest):
            x = F.pad(x, (0, rest[1], 0, rest[0]))
        x = x.permute(0, 2, 3, 1).contiguous()  # (P, H, W, C)
        count, H, W, C = x.shape
        tiles = (H - 2) // TILE * ((W - 2) // TILE)
        out = x.new_empty(count, H - 2, W - 2, self.filters.shape[2])
        step = max(1, round(CHUNK / (tiles * max(C, out.shape[3]))))
        for start in range(0, count, step):
            self._some(x[start : start + step], out[start : start + step])
        return out[:, :height, :width].permute(0, 3, 1, 2)

    def _some(self, x: Tensor, out: Tensor) -> None:
        """Convolve some maps (P, H, W, C) into `out` (P, H - 2, W - 2, O), whole tiles of it."""
        count, H, W, C = x.shape
        rows, columns = (H - 2) // TILE, (W - 2) // TILE
        tiles = x.as_strided(
            (6, 6, count, rows, columns, C), (W * C, C, H * W * C, TILE * W * C, TILE * C, 1), x.storage_offset()
        ).reshape(36, -1)
        transformed = (self.into @ tiles).view(36, -1, C)
        products = torch.bmm(transformed, self.filters)  # (36, P rows columns, O)
        found = (self.back @ products.view(36, -1)).view(TILE, TILE, count, rows, columns, -1)
        within = out.view(count, rows, TILE, columns, TILE, -1)
        found = found.permute(2, 3, 0, 4, 1, 5)
        if self.bias is None:
            within.copy_(found)
        elif self.bend == "relu":  # in one pass over memory
            torch.ops.aten._add_relu.out(found, self.bias, out=within)
            return
        else:
            torch.add(found, self.bias, out=within)
        bent(out, self.bend)
