"""A 3x3 convolution with 36 multiplications for 16 outputs where the plain one needs 144, as batched matrix products.

Winograd's minimal filtering F(4x4, 3x3): tiles of 6x6 that overlap by two are transformed, B^T d B, multiplied with the
transformed filters position by position, G g G^T, and transformed back, A^T m A. The 36 products are matrix products
over the channels. In float32 its rounding is about ten times that of the plain sum, some 1e-6 of a map's range.

Paper: Lavin, Gray 2015, "Fast algorithms for convolutional neural networks", arXiv:1509.09308, section 4.3.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from glassnet.explain.occlusion.operators import bent

TILE = 4
"""Rows and columns of outputs that a tile gives."""
FEWEST = 128
"""With fewer channels the transformations cost more than the products save."""
CHUNK = 1 << 17
"""Tiles times channels that are transformed at a time, so that they stay in the processor's own memory."""
_B = (
    (4.0, 0.0, -5.0, 0.0, 1.0, 0.0),
    (0.0, -4.0, -4.0, 1.0, 1.0, 0.0),
    (0.0, 4.0, -4.0, -1.0, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 2.0, -1.0, -2.0, 1.0, 0.0),
    (0.0, 4.0, 0.0, -5.0, 0.0, 1.0),
)
_G = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)
_A = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 2.0, -2.0, 0.0),
    (0.0, 1.0, 1.0, 4.0, 4.0, 0.0),
    (0.0, 1.0, -1.0, 8.0, -8.0, 1.0),
)


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
        g = torch.tensor(_G, dtype=torch.float64, device=weight.device)
        taps = weight.detach().double().permute(2, 3, 1, 0).flatten(0, 1).flatten(1)  # (9, C O)
        self.filters = (torch.kron(g, g) @ taps).to(weight.dtype).view(36, weight.shape[1], -1)  # (36, C, O)
        b, a = (torch.tensor(each, dtype=weight.dtype, device=weight.device) for each in (_B, _A))
        self.into, self.back = torch.kron(b, b), torch.kron(a, a)  # (36, 36), (16, 36)
        self.bias, self.bend = bias, bend

    def __call__(self, x: Tensor) -> Tensor:
        """(P, C, h + 2, w + 2) channels_last -> (P, O, h, w)."""
        height, width = x.shape[2] - 2, x.shape[3] - 2
        rest = (-height % TILE, -width % TILE)
        if any(rest):
            x = F.pad(x, (0, rest[1], 0, rest[0]))
        x = x.permute(0, 2, 3, 1).contiguous()  # (P, H, W, C)
        P, H, W, C = x.shape
        tiles = (H - 2) // TILE * ((W - 2) // TILE)
        out = x.new_empty(P, H - 2, W - 2, self.filters.shape[2])
        step = max(1, round(CHUNK / (tiles * max(C, out.shape[3]))))
        for start in range(0, P, step):
            self._some(x[start : start + step], out[start : start + step])
        return out[:, :height, :width].permute(0, 3, 1, 2)

    def _some(self, x: Tensor, out: Tensor) -> None:
        """Convolve some maps (P, H, W, C) into `out` (P, H - 2, W - 2, O), whole tiles of it."""
        P, H, W, C = x.shape
        rows, columns = (H - 2) // TILE, (W - 2) // TILE
        tiles = x.as_strided(
            (6, 6, P, rows, columns, C), (W * C, C, H * W * C, TILE * W * C, TILE * C, 1), x.storage_offset()
        ).reshape(36, -1)
        transformed = (self.into @ tiles).view(36, -1, C)
        products = torch.bmm(transformed, self.filters)  # (36, P rows columns, O)
        found = (self.back @ products.view(36, -1)).view(TILE, TILE, P, rows, columns, -1)
        if self.bias is not None:
            found += self.bias
        bent(found, self.bend)
        out.view(P, rows, TILE, columns, TILE, -1).copy_(found.permute(2, 3, 0, 4, 1, 5))
