"""A network's first filters as pictures: they look at pixels, so they can be looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from glassnet.errors import InputError
from glassnet.explain.choose import short
from glassnet.explain.figures import style
from glassnet.explain.figures.grids import Tile, fitted, montage
from glassnet.explain.inside import Inside

TILE = 56  # pixels
COLUMNS = 16
MOST = 512  # filters in one figure


@dataclass(frozen=True, kw_only=True, eq=False)
class FirstFilters:
    """The filters of the first layer that has any: weight (O, C, k, k) float32, the layer's name, and a note."""

    layer: str
    weight: npt.NDArray[np.float32]
    note: str = ""

    @property
    def title(self) -> str:
        """What they are, in words."""
        count, channels, high, wide = self.weight.shape
        return f"{count} filters of {high} × {wide} on {channels} channel{'s' if channels > 1 else ''}"

    @property
    def edge(self) -> float:
        """The largest number of any: the one scale of all."""
        return float(np.abs(self.weight).max()) or 1.0


def first_filters(inside: Inside) -> FirstFilters:
    """Return the filters of the first convolution; raise `InputError` for a network without one.

    Where it does not see 1 or 3 channels, its filters are shown as their mean over the channels, and the note says so.
    """
    for layer in inside.trace:
        weight = getattr(inside.module(layer.name), "weight", None)
        if weight is None or weight.ndim != 4:
            continue
        numbers = weight.detach().float().cpu().numpy()
        channels = numbers.shape[1]
        if channels in (1, 3):
            return FirstFilters(layer=layer.name, weight=numbers)
        note = f"shown is the mean over its {channels} channels"
        return FirstFilters(layer=layer.name, weight=numbers.mean(1, keepdims=True), note=note)
    raise InputError("this network has no convolution, so it has no filters to draw")


def filter_tiles(found: FirstFilters, size: int = TILE) -> list[Tile]:
    """Return each filter as a picture in colours around grey, all on one scale."""
    images = found.weight.transpose(0, 2, 3, 1)  # (O, k, k, C)
    painted = [(style.around_grey(image, found.edge) * 255).round().astype(np.uint8) for image in images]
    return [fitted(image, size, nearest=True) for image in painted]


def draw_filters(found: FirstFilters, name: str) -> Figure:
    """Return a figure of all first filters of the network called `name`."""
    tiles = filter_tiles(found)[:MOST]
    columns = min(COLUMNS, len(tiles))
    grid = montage(tiles, columns, gap=3)
    width = max(4.6, 0.5 * columns + 0.5)
    tall = 0.5 * columns * grid.shape[0] / grid.shape[1]
    height = 0.75 + tall + 0.55
    with style.style():
        figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(figure)
        figure.text(0.25 / width, 1 - 0.3 / height, f"First filters of {name}", fontsize=12, fontweight="bold",
                    parse_math=False)  # fmt: skip
        told = f"layer {short(found.layer)}: {found.title}" + (f"; {found.note}" if found.note else "")
        figure.text(0.25 / width, 1 - 0.55 / height, told, fontsize=8, color=style.MUTED, parse_math=False)
        ax = figure.add_axes((0.25 / width, 0.55 / height, 0.5 * columns / width, tall / height))
        ax.imshow(grid, interpolation="nearest")
        style.bare(ax)
        bar = figure.add_axes((0.25 / width, 0.36 / height, min(2.6, 0.5 * columns) / width, 0.09 / height))
        ramp = np.linspace(-found.edge, found.edge, 256)[None]
        bar.imshow(
            style.around_grey(ramp[..., None], found.edge), aspect="auto", extent=(-found.edge, found.edge, 0, 1)
        )
        bar.set_yticks([])
        bar.set_xticks([-found.edge, 0, found.edge], [f"−{found.edge:.2g}", "0", f"{found.edge:.2g}"])
        bar.tick_params(length=0, labelsize=7.5, labelcolor=style.MUTED, pad=2)
        for spine in bar.spines.values():
            spine.set_color(style.RULE)
    return figure
