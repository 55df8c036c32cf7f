"""Numbers in cells, shaded by what they are: how a window, a kernel or a piece of output is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from glassnet.explain.figures import style

WINDOW, NEXT = "#e8590c", "#12b886"
Numbers = npt.NDArray[Any]
Shade = Callable[[Numbers], npt.NDArray[np.float64]]


def grey(numbers: Numbers) -> npt.NDArray[np.float64]:
    """Return grey levels 0 to 255 as colours, (h, w, 3) in [0, 1]."""
    return np.repeat(np.clip(numbers / 255.0, 0, 1)[..., None], 3, -1)


def signed(largest: float) -> Shade:
    """Return the shading of numbers from -largest to largest: blue below zero, orange above."""

    def shade(numbers: Numbers) -> npt.NDArray[np.float64]:
        painted: npt.NDArray[np.float64] = style.FOR_AND_AGAINST(0.5 + 0.4 * numbers / (largest or 1.0))[..., :3]
        return painted

    return shade


def cells(ax: Axes, numbers: Numbers, shade: Shade, *, size: float = 9.0) -> None:
    """Draw numbers (h, w) as a table of shaded cells; data coordinates count cells from the upper left corner."""
    rows, columns = numbers.shape
    painted = shade(numbers)
    ax.imshow(painted, extent=(0, columns, rows, 0), interpolation="nearest")
    lightness = painted @ np.array([0.299, 0.587, 0.114])
    for row in range(rows):
        for column in range(columns):
            ink = "white" if lightness[row, column] < 0.5 else style.INK
            words = plain(float(numbers[row, column]))
            ax.text(column + 0.5, row + 0.5, words, ha="center", va="center", fontsize=size, color=ink)
    for row in range(1, rows):
        ax.axhline(row, color="white", linewidth=0.8)
    for column in range(1, columns):
        ax.axvline(column, color="white", linewidth=0.8)
    style.bare(ax)


def outline(ax: Axes, left: float, top: float, size: float, colour: str, **choices: Any) -> None:
    """Draw a square frame at (left, top) of the data coordinates."""
    ax.add_patch(
        Rectangle((left, top), size, size, fill=False, edgecolor=colour, clip_on=False, **{"linewidth": 2.2, **choices})
    )


def plain(value: float) -> str:
    """Return a number in as few letters as it needs: 12, -3.5, 0.06."""
    if value == round(value):
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes to a figure at inches from its upper left corner."""
    wide, high = figure.get_size_inches()
    return figure.add_axes((left / wide, 1 - (top + height) / high, width / wide, height / high))


def say(figure: Figure, left: float, top: float, text: str, **choices: Any) -> None:
    """Write `text` at inches from the upper left corner, its first line's top there."""
    wide, high = figure.get_size_inches()
    settings: dict[str, Any] = {"va": "top", "fontsize": 9, "linespacing": 1.35, **choices}
    figure.text(left / wide, 1 - top / high, text, parse_math=False, **settings)
