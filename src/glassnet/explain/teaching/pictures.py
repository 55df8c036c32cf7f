"""A photo beside what fixed filters make of it: the kernel's numbers, the setting and the sizes in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from glassnet.errors import InputError
from glassnet.explain.figures import style
from glassnet.explain.figures.panels import caption
from glassnet.explain.teaching.filtering import Filtered
from glassnet.explain.teaching.numbers import cells, place, plain, signed

PANEL, GAP, EDGE, HEAD = 3.0, 0.35, 0.25, 0.62  # inches
ACROSS = 4  # panels in a row
CELL = 0.3  # inches; a kernel's number
LETTERS = 43  # that fit over a panel
MOST = 24  # kernels in one figure


def draw_filtered(found: Sequence[Filtered], name: str) -> Figure:
    """Return a figure of the photo called `name` and its answers to each kernel; raise `InputError` for too many."""
    if len(found) > MOST:
        raise InputError(f"{len(found)} kernels are given; one figure shows at most {MOST}")
    tall = PANEL * found[0].picture.shape[0] / found[0].picture.shape[1]
    foot = 0.62 + CELL * max(filtered.kernel.side for filtered in found)
    columns = min(ACROSS, 1 + len(found))
    rows = math.ceil((1 + len(found)) / columns)
    with style.style():
        figure = Figure(
            figsize=(2 * EDGE + columns * PANEL + (columns - 1) * GAP, rows * (HEAD + tall + foot) + EDGE),
            facecolor="white",
        )
        FigureCanvasAgg(figure)
        places = [
            (EDGE + column * (PANEL + GAP), row * (HEAD + tall + foot) + HEAD)
            for row in range(rows)
            for column in range(columns)
        ]
        _photo(place(figure, *places[0], PANEL, tall), found[0], name)
        for filtered, (left, top) in zip(found, places[1:], strict=False):
            ax = place(figure, left, top, PANEL, tall)
            _answers(figure, ax, filtered)
            wide = CELL * filtered.kernel.side
            kernel = place(figure, left + (PANEL - wide) / 2, top + tall + 0.5, wide, wide)
            largest = float(filtered.kernel.weight.abs().max())
            cells(kernel, filtered.kernel.weight.numpy(), signed(largest), size=7)
    return figure


def _photo(ax: Axes, filtered: Filtered, name: str) -> None:
    ax.imshow(filtered.picture[:, :, 0], cmap="gray", vmin=0, vmax=255, interpolation=style.smooth(filtered.picture))
    style.bare(ax)
    height, width = filtered.picture.shape[:2]
    caption(ax, "Picture, in grey", name, f"{height} × {width} numbers, 0 black to 255 white", letters=LETTERS)


def _answers(figure: Figure, ax: Axes, filtered: Filtered) -> None:
    answers = filtered.answers
    low, high = ends(filtered)
    differences = filtered.kernel.finds_differences
    colours: Any = style.FOR_AND_AGAINST if differences else "gray"
    unit = "sum of the products" + (", 0 where nothing changes" if differences else "")
    shown = ax.imshow(answers, cmap=colours, vmin=low, vmax=high, interpolation=style.smooth(answers), aspect="auto")
    style.bare(ax)
    before, after = filtered.picture.shape, answers.shape
    sizes = f"{before[0]} × {before[1]} becomes {after[0]} × {after[1]}"
    caption(ax, title(filtered), filtered.setting, sizes, letters=LETTERS)
    inset = ax.inset_axes((0, -0.075, 1, 0.035))
    bar = figure.colorbar(shown, cax=inset, orientation="horizontal", ticks=MaxNLocator(5))
    bar.outline.set_edgecolor(style.RULE)
    bar.ax.xaxis.set_major_formatter(lambda value, _: plain(value))
    bar.ax.tick_params(length=2, width=0.6, color=style.MUTED, labelcolor=style.MUTED, labelsize=7.5, pad=2)
    bar.ax.set_xlabel(unit, fontsize=7.5, color=style.MUTED, labelpad=2)


def ends(filtered: Filtered) -> tuple[float, float]:
    """Return the answers that get the first and the last colour.

    Of a kernel that finds differences: the same to both sides of zero, 1 answer in 200 beyond. Of another: what black
    and white pictures would answer.
    """
    if filtered.kernel.finds_differences:
        size = np.abs(filtered.answers)
        edge = float(np.quantile(size, 0.995)) or float(size.max()) or 1.0
        return -edge, edge
    white = 255.0 * float(filtered.kernel.weight.sum())
    return min(0.0, white), max(0.0, white)


def title(filtered: Filtered) -> str:
    """Return the kernel's name, or what it is where people wrote its numbers."""
    return "your kernel" if " / " in filtered.kernel.name else filtered.kernel.name
