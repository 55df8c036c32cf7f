"""Local response normalisation: each value is divided by a measure of what its neighbouring channels say there.

Paper: Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional neural networks", section
3.3: b_i = a_i / (k + alpha * sum of a_j^2 over the `size` channels j around i)^beta. Here: as in the paper, `alpha` is
not divided by `size`; torch's layer divides it.
"""

from __future__ import annotations

from torch import Tensor, nn


class LocalResponseNorm(nn.LocalResponseNorm):
    """The paper's normalisation across channels: (N, C, H, W) -> the same shape. A leaf of the trace."""

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__(size, alpha, beta, k)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise `input` (N, C, H, W)."""
        return nn.functional.local_response_norm(input, self.size, self.alpha * self.size, self.beta, self.k)
