"""Shortcuts: the road around a residual block, and what to do where the block changes size or channels.

The paper compares three: A, the identity with zeros for the new channels, which has no weights; B, a 1x1 projection
where the shape changes and the identity elsewhere; C, a projection around every block. "none" leaves the road out and
makes the plain network that the paper holds against its own.

Paper: He, Zhang, Ren, Sun 2015, "Deep residual learning for image recognition", arXiv:1512.03385, sections 3.3 and 4.1.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from glassnet.errors import UnknownName

OPTIONS = ("A", "B", "C", "none")


class PaddedShortcut(nn.Sequential):
    """Option A: every `stride`-th value, then channels of zeros: (N, in, H, W) -> (N, out, H / stride, W / stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.subsample = nn.AvgPool2d(1, stride)  # a window of one value: its mean is that value
        self.pad = nn.ConstantPad3d((0, 0, 0, 0, 0, out_channels - in_channels), 0.0)  # behind the last channel


def make_shortcut(
    option: str, in_channels: int, out_channels: int, stride: int, project: Callable[[int, int, int, int], nn.Module]
) -> nn.Module | None:
    """Return the shortcut of a block, (N, in, H, W) -> (N, out, H / stride, W / stride); None where there is none.

    project(in_channels, out_channels, kernel_size, stride) makes a 1x1 projection. Raises `UnknownName` for an option
    that is not one of A, B, C and none.
    """
    if option not in OPTIONS:
        raise UnknownName("shortcut", option, OPTIONS, hint="expected 'A', 'B', 'C' or 'none'")
    if option == "none":
        return None
    if option != "C" and stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if option == "A":
        return PaddedShortcut(in_channels, out_channels, stride)
    return project(in_channels, out_channels, 1, stride)
