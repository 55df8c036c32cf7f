"""The filters that a fully convolutional head was made of, as one matrix product over the patches they read.

A dense layer behind a flattened C x h x w map becomes a convolution with h x w filters: 7x7 over 512 channels in
VGG-16, a sixth of the multiply-adds of a pass over 896 px. Convolution kernels are made for small filters and wide
maps; for these, with few positions and 25,088 numbers each, it is quicker to lay the patches out and multiply once: on
two cores 75 ms beside 139 for 64 positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGE = 4
"""Filters of at least so many positions along one side are multiplied as patches ..."""
HEAVY = 4_000_000
"""... and those of so many weights: dense layers behind the first."""
MOST_PATCHES = 1 << 26
"""Bytes of patches that are laid out at a time."""


class PatchProduct(nn.Module):
    """What a convolution without padding, at stride 1, computes: (N, C, H, W) -> (N, K, H - h + 1, W - w + 1).

    Made from that convolution, whose weights (K, C, h, w) it reorders to (K, h w C), the order of a channels_last map.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.sides = (conv.kernel_size[0], conv.kernel_size[1])
        self.weight = nn.Parameter(
            conv.weight.detach().permute(0, 2, 3, 1).reshape(conv.out_channels, -1).contiguous(), requires_grad=False
        )
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach().clone(), requires_grad=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the scores of each position of `maps`."""
        height, width = self.sides
        patches = maps.permute(0, 2, 3, 1).unfold(1, height, 1).unfold(2, width, 1)  # (N, H', W', C, h, w), a view
        rows = max(1, MOST_PATCHES // (self.weight.shape[1] * len(maps) * patches.shape[2] * maps.element_size()))
        parts = [self._product(part) for part in torch.split(patches, rows, 1)]
        return torch.cat(parts, 1).permute(0, 3, 1, 2)  # (N, K, H', W')

    def _product(self, patches: Tensor) -> Tensor:
        """(N, rows, W', C, h, w) -> (N, rows, W', K)."""
        flat = patches.permute(0, 1, 2, 4, 5, 3).reshape(*patches.shape[:3], -1)
        return nn.functional.linear(flat, self.weight, self.bias)


def with_patch_products(network: nn.Module) -> nn.Module:
    """Put a `PatchProduct` in place of each large filter of `network`, which is changed and returned."""
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.Conv2d) and _is_large(layer):
            network.set_submodule(name, PatchProduct(layer))
    return network


def _is_large(conv: nn.Conv2d) -> bool:
    plain = conv.stride == (1, 1) and conv.dilation == (1, 1) and conv.padding == (0, 0) and conv.groups == 1
    large = max(conv.kernel_size) >= LARGE and conv.in_channels >= 64
    return plain and (large or conv.weight.numel() >= HEAVY)
