"""Filters with a name: what people convolved pictures with before networks learnt their own.

A trained first layer ends up with edges and blobs much like these, so they are a good thing to look at, to start from
(`fill_with_filters_`), and to compare a trained layer with (`FixedFilter`).

As everywhere in networks, the kernel is slid over the picture without being turned (a cross-correlation).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from glassnet.errors import InputError, UnknownName
from glassnet.nn.layers.padding import padding_mode

Kernel = tuple[tuple[float, float, float], ...]

FILTERS: dict[str, Kernel] = {
    "vertical": ((1, 0, -1), (1, 0, -1), (1, 0, -1)),  # an edge from bright, on the left, to dark
    "horizontal": ((1, 1, 1), (0, 0, 0), (-1, -1, -1)),  # from bright, above, to dark
    "sobel_x": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),  # 8 times the slope to the right, smoothed by 1 2 1
    "sobel_y": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),  # downwards
    "scharr_x": ((-3, 0, 3), (-10, 0, 10), (-3, 0, 3)),  # 32 times the slope, nearer to the same for all directions
    "scharr_y": ((-3, -10, -3), (0, 0, 0), (3, 10, 3)),
    "laplacian": ((0, 1, 0), (1, -4, 1), (0, 1, 0)),  # how much the neighbours are above the middle
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),  # the picture minus its Laplacian
    "introduction": ((-1, 1, -1), (-1, 5, -1), (-2, 2, -2)),  # the example of an introductory text; its sum is 0
}
"""3x3 kernels by name."""


def filter_kernel(name: str) -> Tensor:
    """Return the kernel called `name`, (3, 3) float; raise `UnknownName` for another."""
    if name not in FILTERS:
        raise UnknownName("filter", name, FILTERS, hint=f"expected one of {', '.join(FILTERS)}")
    return torch.tensor(FILTERS[name], dtype=torch.get_default_dtype())


class FixedFilter(nn.Conv2d):
    """The named filter on every channel by itself, never trained: (N, C, H, W) -> the same shape.

    `padding` is what the kernel reads beyond the edge (see `padding_mode`): by default the nearest value, because a
    frame of zeros is an edge of its own. The kernel is a buffer and not a parameter. A leaf of the trace.
    """

    def __init__(self, name: str, channels: int, *, padding: str = "replicate") -> None:
        kernel = filter_kernel(name)
        super().__init__(
            channels, channels, 3, padding=1, groups=channels, bias=False, padding_mode=padding_mode(padding)
        )
        self.name = name
        del self.weight
        self.register_buffer("weight", kernel.repeat(channels, 1, 1, 1))  # (C, 1, 3, 3)

    def extra_repr(self) -> str:
        """Return the setting."""
        return f"{self.name!r}, {self.in_channels}"


@torch.no_grad()
def fill_with_filters_(weight: Tensor, names: Sequence[str] = tuple(FILTERS)) -> Tensor:
    """Overwrite a convolution's `weight` (out, in, h, w) with the filters called `names`, in turn, and return it.

    Output o gets filter o modulo their number, the same for all input channels and divided by how many there are, so
    that it answers to their mean. In a kernel larger than 3x3 the filter stands in the middle of zeros. Raises
    `InputError` for a smaller kernel or one without a middle, `UnknownName`.

    >>> fill_with_filters_(torch.empty(1, 1, 3, 3), ["laplacian"]).flatten().tolist()
    [0.0, 1.0, 0.0, 1.0, -4.0, 1.0, 0.0, 1.0, 0.0]
    """
    height, width = weight.shape[-2:]
    if weight.ndim != 4 or min(height, width) < 3 or height % 2 == 0 or width % 2 == 0:
        raise InputError(f"weight has shape {tuple(weight.shape)}; expected (out, in, h, w) with odd h and w from 3 up")
    if not names:
        raise InputError(f"names is empty; expected at least one of {', '.join(FILTERS)}")
    kernels = [filter_kernel(name).to(weight) for name in names]
    top, left = (height - 3) // 2, (width - 3) // 2
    weight.zero_()
    for output in range(weight.shape[0]):
        weight[output, :, top : top + 3, left : left + 3] = kernels[output % len(kernels)] / weight.shape[1]
    return weight
