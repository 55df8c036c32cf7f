"""A backbone: the body of any classifier, listened to at several scales.

A body is a sequence of named stages. The last stage at each of the wanted strides is a tap: what it says goes to the
neck. Stages behind the last tap (pooling, dropout, 1x1 convolutions that see no further) are left out.
"""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glassnet.errors import InputError

SCALES = (3, 4, 5)
"""Powers of two of the strides that are listened to: 8, 16 and 32, as in Lin et al. 2016, arXiv:1612.03144."""


@dataclass(frozen=True)
class Tap:
    """A stage whose output is used: its name, its number of channels, and log2 of its stride, rounded."""

    stage: str
    channels: int
    scale: int


def find_taps(body: nn.Sequential, input_size: tuple[int, int, int], scales: tuple[int, ...] = SCALES) -> list[Tap]:
    """Return the taps of `body` for pictures of `input_size` (C, H, W), from fine to coarse.

    Raises `InputError` for a body that never makes its maps as small as any of the scales.
    """
    found: dict[int, Tap] = {}
    x = torch.empty(1, *input_size, device="meta")
    for name, stage in copy.deepcopy(body).to("meta").eval().named_children():
        x = stage(x)
        if x.ndim != 4 or min(x.shape[2:]) < 1:
            break
        scale = round(math.log2(max(1.0, input_size[1] / x.shape[2])))
        if scale not in found or _looks_around(stage):
            found[scale] = Tap(name, x.shape[1], scale)
    taps = [found[scale] for scale in scales if scale in found]
    if not taps:
        strides = ", ".join(str(2**scale) for scale in sorted(found)) or "none"
        wanted = ", ".join(str(2**scale) for scale in scales)
        raise InputError(
            f"a backbone with maps at the strides {strides} came, expected at least one of {wanted}; "
            "take another --backbone, or larger pictures"
        )
    return taps


def _looks_around(stage: nn.Module) -> bool:
    """Whether a stage has a window larger than one position; else the stage before it is as good and cheaper."""
    windows = (getattr(part, "kernel_size", 1) for part in stage.modules())
    return any(max(size) > 1 if isinstance(size, tuple) else size > 1 for size in windows)


class Backbone(nn.Sequential):
    """The stages of a classifier's body up to the last tap: images (N, C, H, W) -> a map for each tap."""

    def __init__(self, body: nn.Sequential, taps: list[Tap]) -> None:
        names = [name for name, _ in body.named_children()]
        last = names.index(taps[-1].stage)
        super().__init__(OrderedDict((name, body.get_submodule(name)) for name in names[: last + 1]))
        self.taps = tuple(taps)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the taps' maps (N, channels, H / 2^scale, W / 2^scale), from fine to coarse."""
        wanted = {tap.stage for tap in self.taps}
        x, maps = images, []
        for name, stage in self.named_children():
            x = stage(x)
            if name in wanted:
                maps.append(x)
        return maps
