"""The detection report's own charts, in the manner of `report.figures`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from glassnet.report.figures import HIGHLIGHTS
from glassnet.report.svg import colour, new_axes, style, to_svg

BINS = 24


def box_sizes(name: str, label: str, sides: Sequence[tuple[str, Sequence[float]]]) -> str:
    """How many boxes are how large: (colour role, sides in pixels), on a logarithmic axis; dashed at 32 and 96 px."""
    everything = np.concatenate([np.asarray(values, float) for _, values in sides])
    everything = everything[everything > 0]
    low, high = float(everything.min()) / 1.15, float(everything.max()) * 1.15
    edges = np.geomspace(low, high, BINS + 1)
    with style():
        figure, (ax,) = new_axes(4.6, 2.9)
        for limit in (32, 96):
            if low < limit < high:
                ax.axvline(limit, color=colour("muted"), linewidth=0.8, dashes=(4, 3))
        for role, values in sides:
            counts, _ = np.histogram(values, edges)
            ax.stairs(counts, edges, color=colour(role), linewidth=1.6)
        ax.set_xscale("log")
        marks = [mark for mark in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048) if low <= mark <= high]
        ax.xaxis.set_major_locator(FixedLocator(marks))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.set(xlim=(low, high), ylim=(0, None))
        ax.set_xlabel("side of the box in the network's input, px")
        return to_svg(figure, name, label)


ROLES = (*HIGHLIGHTS, "line")
"""Colours of the three largest classes and of all others together."""
