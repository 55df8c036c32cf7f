"""Top-activating patches: of each channel the strongest pictures, cut to what the answer depends on, with projections.

Zeiler & Fergus 2013, "Visualizing and understanding convolutional networks", arXiv:1311.2901, figure 2. One patch for
each picture: where its map has its maximum, the receptive field of that position, pixel for pixel. Beside it that one
activation, all others set to zero, projected back through the network. Where the field is larger than the picture, the
whole picture is shown, with the projection's support outlined. Where it only reaches over the edge, it keeps its size,
so that the nine are alike, and what lies outside is filled with the preprocess's mean colour: the network sees zeros.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glassnet.data.pictures import Pictures
from glassnet.errors import InputError
from glassnet.explain.case import Progress, no_progress, shown
from glassnet.explain.choose import AUTO, short
from glassnet.explain.explanation import Pixels
from glassnet.explain.inside import Inside
from glassnet.explain.rules import RuleName, backward
from glassnet.explain.strongest import TOP, Strongest, strongest
from glassnet.models.network import Network
from glassnet.nn.trace import Layer

SHOWN = 16
"""How many channels are shown where nobody names them."""
SUPPORT = 0.1
"""A pixel counts to a projection's support from this share of its largest value on."""
BATCH = 12
"""Pictures projected at a time."""

Number = TypeVar("Number", bound=np.generic)
Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels of the network's input; bottom and right are the first outside."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Patch:
    """One picture's strongest answer of one channel.

    Attributes:
        item: the picture's number in the index; `where` its path or place, `label` its class.
        value: the answer.
        position: (row, column) in the channel's map.
        field: the answer's receptive field on the picture; it may reach outside.
        box: what `pixels` and `projection` show: the field, or the whole picture where the field is larger.
        outline: the projection's support on the picture, where all of it is shown; else None.
        pixels: (h, w, 3) or (h, w, 1) uint8.
        projection: (h, w, C) float32 in the network's input space.
    """

    item: int
    where: str
    label: str
    value: float
    position: tuple[int, int]
    field: Box
    box: Box
    outline: Box | None
    pixels: Pixels
    projection: npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelPatches:
    """The strongest patches of one channel of `layer`, the strongest first, out of so many `pictures`.

    A dead channel, which a rectifier keeps at zero in all of them, has none. `rule` is how projections were made;
    `note` says which layer was chosen, where it was.
    """

    layer: Layer
    channel: int
    patches: tuple[Patch, ...]
    pictures: int
    dead: bool
    rule: str
    note: str = ""

    @property
    def title(self) -> str:
        """Layer and channel in words."""
        return f"{short(self.layer.name)}, channel {self.channel}" + (", never above zero" if self.dead else "")


def top_patches(
    network: Network,
    pictures: Pictures,
    layer: str = AUTO,
    channels: Sequence[int] | Literal["strongest"] = "strongest",
    *,
    items: npt.NDArray[np.int64] | None = None,
    top: int = TOP,
    rule: RuleName = "deconvnet",
    batch_size: int | None = None,
    device: str | torch.device = "auto",
    progress: Progress = no_progress,
) -> list[ChannelPatches]:
    """Find the `top` strongest patches of some channels of `layer` in `pictures`, and project each back.

    The pictures are gone through once, whatever `channels` asks for. "strongest" are the 16 channels whose kept answers
    are the strongest on average. Arguments and errors are those of `strongest`, and `InputError` for a channel that the
    layer does not have.
    """
    inside = Inside.of(network, device=device)
    found = inside.layer(layer) if layer != AUTO else None
    if found is not None:
        _check_channels(channels, found)
    answers = strongest(
        network, pictures, layer, items=items, top=top, batch_size=batch_size, device=device, progress=progress
    )  # fmt: skip
    return patches_of(answers, network, pictures, channels, rule=rule, inside=inside)


def patches_of(
    answers: Strongest,
    network: Network,
    pictures: Pictures,
    channels: Sequence[int] | Literal["strongest"] = "strongest",
    *,
    rule: RuleName = "deconvnet",
    inside: Inside | None = None,
    device: str | torch.device = "auto",
) -> list[ChannelPatches]:
    """Cut and project the patches of `channels`, from `answers` found before in the same `pictures`."""
    _check_channels(channels, answers.layer)
    inside = inside or Inside.of(network, device=device)
    wanted = answers.liveliest(SHOWN) if isinstance(channels, str) else [int(channel) for channel in channels]
    cutter = _Cutter(answers, network, pictures, inside, rule)
    alive = [channel for channel in wanted if not answers.dead[channel]]
    cut = iter(cutter.cut([(channel, rank) for channel in alive for rank in range(answers.values.shape[1])]))
    return [
        ChannelPatches(
            layer=answers.layer,
            channel=channel,
            patches=() if answers.dead[channel] else tuple(next(cut) for _ in range(answers.values.shape[1])),
            pictures=answers.pictures,
            dead=bool(answers.dead[channel]),
            rule=rule,
            note=answers.note,
        )
        for channel in wanted
    ]


def field_of(layer: Layer, position: tuple[int, int]) -> Box:
    """Return the pixels that `layer`'s output at `position` (row, column) depends on; they may lie outside.

    Never too small. It is exact where the trace's receptive field is: in chains of windows, and where branches of one
    stride meet.
    """
    edges = []
    for axis in (0, 1):
        centre = layer.start[axis] + position[axis] * layer.stride[axis]
        half = (layer.receptive_field[axis] - 1) / 2
        edges.append((math.floor(centre - half), math.ceil(centre + half) + 1))
    return edges[0][0], edges[1][0], edges[0][1], edges[1][1]


def cut(array: npt.NDArray[Number], box: Box, fill: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Return a copy of what `box` holds of `array` (H, W, C), and `fill` (C,) where it reaches outside."""
    top, left, bottom, right = box
    part = np.empty((bottom - top, right - left, array.shape[2]), array.dtype)
    part[:] = fill
    first, last = (max(top, 0), max(left, 0)), (min(bottom, array.shape[0]), min(right, array.shape[1]))
    part[first[0] - top : last[0] - top, first[1] - left : last[1] - left] = array[
        first[0] : last[0], first[1] : last[1]
    ]
    return part


def support_of(projection: npt.NDArray[np.float32]) -> Box | None:
    """Return the smallest box around all pixels of (H, W, C) that reach `SUPPORT` of the largest; None of zeros."""
    strength = np.abs(projection).max(2)
    if not strength.max() > 0:
        return None
    rows, columns = np.nonzero(strength >= SUPPORT * strength.max())
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


class _Cutter:
    """Cuts and projects the patches at (channel, rank) of some answers."""

    def __init__(
        self, answers: Strongest, network: Network, pictures: Pictures, inside: Inside, rule: RuleName
    ) -> None:
        self.answers, self.network, self.pictures = answers, network, pictures
        self.inside, self.rule = inside, rule

    def cut(self, places: Sequence[tuple[int, int]]) -> Iterator[Patch]:
        """Yield a patch for each of `places`, in order, a batch of pictures at a time."""
        for start in range(0, len(places), BATCH):
            part = places[start : start + BATCH]
            pixels = [self._intermediate(int(self.answers.items[place])) for place in part]
            projections = self._project(pixels, part)
            for place, intermediate, projection in zip(part, pixels, projections, strict=True):
                yield self._patch(place, shown(self.network.preprocess, intermediate), projection)

    def _intermediate(self, item: int) -> Tensor:
        return torch.from_numpy(np.array(self.pictures.pool[item : item + 1]))  # (1, h, w, C) uint8

    def _project(self, pixels: Sequence[Tensor], places: Sequence[tuple[int, int]]) -> npt.NDArray[np.float32]:
        """(1, h, w, C) uint8 each -> (N, H, W, C) projections of one activation each."""
        images = self.network.preprocess.finish(torch.cat(list(pixels)))  # (N, C, H, W)
        layer = self.answers.layer
        seed = torch.zeros(len(places), *layer.output_shape)
        for number, place in enumerate(places):
            at = self._position(place) if len(layer.output_shape) == 3 else ()
            seed[(number, place[0], *at)] = float(self.answers.values[place])
        projected = backward(self.inside, images, layer.name, seed.to(self.inside.device), self.rule)
        return projected.detach().float().cpu().permute(0, 2, 3, 1).numpy()

    def _position(self, place: tuple[int, int]) -> tuple[int, int]:
        return int(self.answers.rows[place]), int(self.answers.columns[place])

    def _patch(self, place: tuple[int, int], pixels: Pixels, projection: npt.NDArray[np.float32]) -> Patch:
        item, position = int(self.answers.items[place]), self._position(place)
        height, width = pixels.shape[:2]
        field = field_of(self.answers.layer, position)
        whole = field[2] - field[0] > height or field[3] - field[1] > width
        box = (0, 0, height, width) if whole else field
        mean = np.array(self.network.preprocess.mean[: pixels.shape[2]]) * 255
        index = self.pictures.index
        return Patch(
            item=item,
            where=index.where(item),
            label=index.classes[self.pictures.labels[item]],
            value=float(self.answers.values[place]),
            position=position,
            field=field,
            box=box,
            outline=support_of(projection) if whole else None,
            pixels=cut(pixels, box, mean.round().astype(np.uint8)),
            projection=cut(projection, box, np.zeros(projection.shape[2], np.float32)),
        )


def _check_channels(channels: Sequence[int] | str, layer: Layer) -> None:
    count = layer.output_shape[0]
    if isinstance(channels, str):
        if channels != "strongest":
            raise InputError(f"channels is {channels!r}; expected numbers of channels, or 'strongest'")
        return
    for channel in channels:
        if not 0 <= channel < count:
            raise InputError(f"layer {short(layer.name)!r} has no channel {channel}; it has {count}, numbered from 0")
    if not len(channels):
        raise InputError("channels is empty; give numbers of channels, or 'strongest'")
