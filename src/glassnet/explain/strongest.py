"""The pictures of a data set that make each channel of a layer answer most: one pass, in constant memory.

Of all channels at once the few strongest answers are kept, with the picture's number and the place in its map: what is
kept depends on the channels and on nothing else. A picture counts once, at the position of its maximum (Zeiler & Fergus
2013, arXiv:1311.2901, figure 2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glassnet.data.batches import evaluation_batches
from glassnet.data.pictures import Pictures
from glassnet.errors import InputError
from glassnet.evaluation.judge import suitable_batch_size
from glassnet.explain.case import Progress, no_progress
from glassnet.explain.choose import AUTO, chosen_map
from glassnet.explain.features import is_rectified
from glassnet.explain.inside import Inside
from glassnet.models.network import Network
from glassnet.nn.trace import Layer

TOP = 9
"""How many pictures of a channel are kept: three by three make a figure."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Strongest:
    """The strongest answers of every channel of one layer, the strongest first.

    values: (C, top) float32, the answers. items: (C, top) int64, the pictures' numbers in the index. rows, columns:
    (C, top) int64, where in the map. `top` is smaller where there are fewer pictures. pictures: how many were looked
    at. rectified: whether a channel without an answer above zero is dead. note: which layer was chosen, where it was.
    """

    layer: Layer
    values: npt.NDArray[np.float32]
    items: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    pictures: int
    rectified: bool
    note: str = ""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dead(self) -> npt.NDArray[np.bool_]:
        """(C,) whether the channel is never above zero in any of the pictures; all False where nothing rectifies."""
        never: npt.NDArray[np.bool_] = (self.values[:, 0] <= 0) & self.rectified
        return never

    def liveliest(self, count: int) -> list[int]:
        """Return the numbers of the `count` channels whose kept answers are the strongest on average, without dead."""
        means = np.where(self.dead, -np.inf, self.values.mean(1))
        order = np.argsort(-means, kind="stable")[:count]
        return [int(channel) for channel in order if np.isfinite(means[channel])]


def strongest(
    network: Network,
    pictures: Pictures,
    layer: str = AUTO,
    *,
    items: npt.NDArray[np.int64] | None = None,
    top: int = TOP,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
    progress: Progress = no_progress,
) -> Strongest:
    """Go once through `pictures` and keep, for every channel of `layer`, the `top` pictures it answers most.

    The network is played with its batch norms folded and stops behind the layer. A layer without positions has one.
    Between equal answers the picture that comes first wins, and in a picture the first position, row by row.

    Args:
        items: numbers in the index; None takes all pictures.
        batch_size: pictures at a time; None takes what suits the input's size.

    Raises:
        UnknownName: there is no such layer.
        InputError: no pictures, `top` or `batch_size` below 1, pictures decoded for another input, or a network whose
            numbers are not finite.
    """
    chosen = np.arange(len(pictures)) if items is None else np.asarray(items, np.int64)
    _check(network, pictures, chosen, top)
    size = suitable_batch_size(network.preprocess) if batch_size is None else batch_size
    inside = Inside.of(network, device=device)
    found, note = _find(inside, layer)
    inside.fold(exempt=[found.name])
    running = RunningTop(found.output_shape[0], min(top, len(chosen)))
    pictures = replace(pictures, preprocess=network.preprocess)  # its mean and deviation, whoever loaded the pixels
    done = 0
    with torch.inference_mode():
        for batch in evaluation_batches(pictures, chosen, size):
            kept = inside.play(batch.images, keep=[found.name], until=found.name).kept[found.name]
            running.update(as_maps(kept.float()), batch.items)
            done += len(batch)
            progress(done, len(chosen))
    width = found.output_shape[2] if len(found.output_shape) == 3 else 1
    return Strongest(
        layer=found,
        values=running.values.numpy(),
        items=running.items.numpy(),
        rows=(running.places // width).numpy(),
        columns=(running.places % width).numpy(),
        pictures=len(chosen),
        rectified=is_rectified(inside, found),
        note=note,
    )


class RunningTop:
    """The `top` largest answers of each of `channels` so far; what it holds is channels x top numbers, three times.

    values: (C, top) float32, -inf while there were fewer pictures. items: (C, top) int64, -1 so long. places: (C, top)
    int64, row by row.
    """

    def __init__(self, channels: int, top: int) -> None:
        self.values = torch.full((channels, top), -torch.inf)
        self.items = torch.full((channels, top), -1, dtype=torch.int64)
        self.places = torch.zeros((channels, top), dtype=torch.int64)

    def update(self, maps: Tensor, items: Tensor) -> None:
        """Take in the maps (N, C, h, w) of the pictures numbered `items` (N,), which come after all earlier ones."""
        peaks = maps.amax((2, 3)).cpu()  # (N, C)
        if not peaks.isfinite().all():
            raise InputError("the network gives numbers that are not finite; its training may have diverged")
        enter = peaks > self.values[:, -1]  # (N, C)
        counts = enter.sum(0)  # (C,)
        channels = counts.nonzero()[:, 0]  # those that change: soon only a few
        if not len(channels):
            return
        top, known = self.values.shape[1], self.values[channels]
        # The largest are all that enter, whatever the ties among the rest; in the order in which the pictures came.
        numbers = peaks[:, channels].topk(int(counts.max()), dim=0, sorted=False).indices.sort(dim=0).values.T
        merged = torch.cat([known, peaks[numbers, channels[:, None]]], 1)  # (c, top + most)
        values, order = merged.sort(dim=1, descending=True, stable=True)
        values, order = values[:, :top], order[:, :top]
        new = order >= top  # (c, top)
        number = numbers.gather(1, (order - top).clamp(min=0))  # in this batch
        old = order.clamp(max=top - 1)
        places = torch.gather(self.places[channels], 1, old)
        places[new] = _first_place(maps, number[new], channels[:, None].expand_as(order)[new], values[new])
        self.values[channels] = values
        self.items[channels] = torch.where(new, items[number], torch.gather(self.items[channels], 1, old))
        self.places[channels] = places


def as_maps(output: Tensor) -> Tensor:
    """Return a layer's output (N, C, h, w) or (N, D) as maps (N, C, h, w), those of a vector with one position."""
    return output if output.ndim == 4 else output[:, :, None, None]


def _first_place(maps: Tensor, numbers: Tensor, channels: Tensor, peaks: Tensor) -> Tensor:
    """Return the first position of each `peaks` (m,) in its map, row by row; maps (N, C, h, w), the others (m,)."""
    device = maps.device
    rows = maps[numbers.to(device), channels.to(device)].flatten(1)  # (m, h * w)
    count = rows.shape[1]
    places = torch.where(rows == peaks.to(device)[:, None], torch.arange(count, device=device), count)
    return places.amin(1).cpu()


def _find(inside: Inside, name: str) -> tuple[Layer, str]:
    """Return the layer, and the sentence that says why where it was chosen."""
    found, note = chosen_map(inside, name) if name == AUTO else (inside.layer(name), "")
    if len(found.output_shape) not in (1, 3):
        shape = "x".join(map(str, found.output_shape))
        raise InputError(f"layer {name!r} gives {shape} numbers; expected channels of maps, or one vector")
    return found, note


def _check(network: Network, pictures: Pictures, items: npt.NDArray[np.int64], top: int) -> None:
    if not isinstance(top, int) or isinstance(top, bool) or top < 1:
        raise InputError(f"top is {top!r}; expected a whole number of at least 1: the pictures kept of each channel")
    if len(items) == 0:
        raise InputError(f"{pictures.index.name}: there is no picture to look at; choose another split or other data")
    if pictures.preprocess.key() != network.preprocess.key():
        raise InputError(f"the pictures were decoded for another input; load them with {network.preprocess}")
