"""Local response normalisation: a strong answer of one channel dims its neighbours' answers at the same position.

Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional neural networks", section 3.3:
b_i = a_i / (k + alpha sum_j a_j^2)^beta over the `size` channels j around i. `nn.LocalResponseNorm` divides alpha by
`size`, so with the paper's numbers it hardly normalises; this one takes alpha as the paper writes it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class LocalResponseNorm(nn.Module):
    """Divide each value by its neighbours across channels: (N, C, H, W) -> the same shape. A leaf of the trace."""

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x`."""
        return F.local_response_norm(x, self.size, self.alpha * self.size, self.beta, self.k)

    def extra_repr(self) -> str:
        """Return the setting in words."""
        return f"size={self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
