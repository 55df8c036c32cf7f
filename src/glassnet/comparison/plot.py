"""The figure: accuracy against what it costs, an error bar for each option, its name beside it.

Names are placed so that they cover neither a point, an error bar nor one another: each tries a ring of places around
its point, then wider rings, and takes the first that is free; from afar a hairline leads back.
"""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from glassnet.comparison.findings import behind, best_of, thousands
from glassnet.comparison.results import Row
from glassnet.data.problems import printable
from glassnet.errors import InputError
from glassnet.files import atomic_path

COLOURS = {"best": "#0b6e4f", "near": "#2f7fc1", "behind": "#7d8590"}
MEANINGS = {"best": "highest", "near": "not separated from it", "behind": "behind it"}
COSTS = (("multiply_adds", "multiply-adds"), ("parameters", "parameters"), ("pictures_per_second", "pictures/s"))
SAME = 1.02  # costs within this factor are not worth a panel
LOG_FROM = 3.0  # times from the least to the most cost: a logarithmic axis from there on
STEP = 0.03  # of a panel's width between options of the same cost
INK, RULE = "#24292f", "#d8dee4"
LONGEST, LINE = 48, 18  # letters of a name, and of a line of it
RINGS = (7, 14, 24, 36, 50, 68, 90, 115)  # points between a mark and its name
DIRECTIONS = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1), (1, 2), (1, -2), (-1, 2), (-1, -2))
_STYLE: Any = {"font.size": 9, "font.family": "sans-serif", "axes.linewidth": 0.8, "text.color": INK}


def plot(rows: Sequence[Row], path: Path, *, line: bool = False) -> None:
    """Draw the rows into `path` (.png, .svg, .pdf). line: join them in their order. Raises `StorageError`."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font lacks
        figure = draw(rows, line=line)
        try:
            with atomic_path(path) as temporary:
                figure.savefig(temporary, dpi=150)
        except ValueError as error:
            raise InputError(f"cannot plot to {str(path)!r}: {error}") from error


def draw(rows: Sequence[Row], *, line: bool = False) -> Figure:
    """Return the figure: a panel for each of the first two costs in which the options differ."""
    costs = [cost for cost in COSTS if _differs(rows, cost[0])][:2] or [COSTS[2]]
    figure = Figure(figsize=(5.6 * len(costs) + 0.2, 4.6), layout="constrained")
    FigureCanvasAgg(figure)  # which can measure letters
    panels = list(figure.subplots(1, len(costs), sharey=True, squeeze=False)[0])
    roles = _roles(rows)
    labels = []
    for ax, (key, title) in zip(panels, costs, strict=True):
        costs_of = [float(getattr(row, key)) for row in rows]
        _axes(ax, costs_of, title)
        xs = _side_by_side(ax, costs_of)
        if line:
            ax.plot(xs, [row.accuracy.mean for row in rows], color=RULE, linewidth=1.4, zorder=1)
        for x, row in zip(xs, rows, strict=True):
            _mark(ax, x, row, COLOURS[roles[row.name]])
        labels.append([_label(ax, x, row, COLOURS[roles[row.name]]) for x, row in zip(xs, rows, strict=True)])
    many = len(rows[0].seeds)
    spread = f"mean and 95 % interval of {many} seeds" if many > 1 else "1 seed, no interval"
    panels[0].set_ylabel(f"validation accuracy ({spread})")
    panels[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    _legend(figure, [role for role in COLOURS if role in roles.values()])
    figure.draw_without_rendering()  # the layout is settled, so that names can be measured
    figure.set_layout_engine("none")
    for ax, texts in zip(panels, labels, strict=True):
        _place(ax, texts)
    return figure


def _differs(rows: Sequence[Row], key: str) -> bool:
    values = [getattr(row, key) for row in rows]
    return bool(max(values) > SAME * min(values))


def _roles(rows: Sequence[Row]) -> dict[str, str]:
    """Return for each option whether it is best, near it or behind it."""
    roles = {name: "behind" if gap.excludes_zero else "near" for name, gap in behind(rows).items()}
    return {best_of(rows).name: "best", **roles}


def _axes(ax: Axes, xs: Sequence[float], title: str) -> None:
    """Set up a panel whose costs are `xs`."""
    low, high = min(xs), max(xs)
    if high > LOG_FROM * low:
        ax.set_xscale("log")
        room = (high / low) ** 0.16
        ax.set_xlim(low / room, high * room)
        ticks = [t for t in LogLocator(subs=(1.0, 2.0, 5.0)).tick_values(low, high) if low / room <= t <= high * room]
        ax.xaxis.set_major_locator(FixedLocator(ticks[:: math.ceil(len(ticks) / 7)]))
        ax.xaxis.set_minor_locator(NullLocator())
    else:
        room = 0.2 * (high - low) or 0.2 * high
        ax.set_xlim(low - room, high + room)
        ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: thousands(value)))
    ax.set_xlabel(title)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#8c959f")
    ax.tick_params(color="#8c959f", labelcolor=INK)
    ax.grid(color=RULE, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.margins(y=0.12)


def _side_by_side(ax: Axes, xs: Sequence[float]) -> list[float]:
    """Move options of the same cost a little apart, so that one error bar does not hide another."""
    scale = ax.xaxis.get_transform()
    low, high = scale.transform(ax.get_xlim())
    places = list(scale.transform(xs))
    moved = []
    for number, place in enumerate(places):
        same = [k for k, other in enumerate(places) if abs(other - place) < 0.5 * STEP * (high - low)]
        moved.append(place + (same.index(number) - (len(same) - 1) / 2) * STEP * (high - low))
    return [float(value) for value in scale.inverted().transform(moved)]


def _mark(ax: Axes, x: float, row: Row, colour: str) -> None:
    """Draw an option: its mean, its interval, and faintly each seed."""
    value = row.accuracy
    ax.plot([x] * len(row.validation), row.validation, ".", color=colour, alpha=0.35, markersize=5, zorder=2)
    ax.errorbar(
        x, value.mean, yerr=value.half, fmt="o", color=colour, markersize=7, capsize=4, elinewidth=1.5, zorder=3
    )


def _label(ax: Axes, x: float, row: Row, colour: str) -> Annotation:
    """Write an option's name at its point; `_place` moves it."""
    name = printable(row.name)
    name = name if len(name) <= LONGEST else name[: LONGEST - 3] + "..."
    name = "\n".join(textwrap.wrap(name, LINE)) or name
    lead = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.7, "shrinkA": 1, "shrinkB": 4}
    text: Annotation = ax.annotate(
        name,
        (x, row.accuracy.mean),
        xytext=(0, 0),
        textcoords="offset points",
        color=colour,
        fontsize=9,
        fontweight="bold",
        arrowprops=lead,
        zorder=4,
    )
    text.set_parse_math(False)  # a $ in a name is a $
    text.set_in_layout(False)
    text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])  # above the grid
    return text


def _legend(figure: Figure, roles: Sequence[str]) -> None:
    """Say above the panels what the colours mean."""
    marks = [Line2D([], [], color=COLOURS[role], marker="o", linestyle="", markersize=6) for role in roles]
    words = [MEANINGS[role] for role in roles]
    figure.legend(marks, words, loc="outside upper right", ncols=len(roles), frameon=False, fontsize=9)


def _place(ax: Axes, texts: Sequence[Annotation]) -> None:
    """Move each name to the nearest free place around its point."""
    frame = ax.get_window_extent()
    taken = [box for container in ax.containers for box in _bars(ax, container)]
    for text in texts:
        tries = []
        for ring, distance in enumerate(RINGS):
            for turn, direction in enumerate(DIRECTIONS):
                box = _try(text, distance, direction)
                outside = box.width * box.height - _overlap(box, frame)
                covered = outside + sum(_overlap(box, other) for other in taken)
                tries.append((round(covered, 1), ring, turn))
                if covered == 0:
                    break
            if tries[-1][0] == 0:
                break
        _, ring, turn = min(tries)
        box = _try(text, RINGS[ring], DIRECTIONS[turn])
        taken.append(box.padded(2))
        if ring == 0 and text.arrow_patch is not None:
            text.arrow_patch.set_visible(False)


def _try(text: Annotation, distance: float, direction: tuple[int, int]) -> Bbox:
    """Put a name `distance` points from its mark in `direction`; return the box of its letters, in pixels."""
    right, up = direction
    length = math.hypot(right, up)
    text.set_position((distance * right / length, distance * up / length))
    text.set_horizontalalignment("left" if right > 0 else "right" if right < 0 else "center")
    text.set_verticalalignment("center" if up == 0 else "bottom" if up > 0 else "top")
    return Text.get_window_extent(text)


def _bars(ax: Axes, container: Any) -> list[Bbox]:
    """Return the boxes of a mark and of its error bar, in pixels."""
    (x, y), (_, caps, bars) = container[0].get_xydata()[0], (container[0], container[1], container[2])
    low, high = (bars[0].get_segments()[0][:, 1]) if bars else (y, y)
    (px, py), (_, bottom), (_, top) = (ax.transData.transform((x, value)) for value in (y, low, high))
    pixels = ax.figure.dpi / 72
    mark = Bbox.from_extents(px - 5 * pixels, py - 5 * pixels, px + 5 * pixels, py + 5 * pixels)
    bar = Bbox.from_extents(px - 3 * pixels, bottom - pixels, px + 3 * pixels, top + pixels)
    return [mark, bar] if caps or bars else [mark]


def _overlap(one: Bbox, other: Bbox) -> float:
    """Return the area that two boxes share."""
    shared = Bbox.intersection(one, other)
    return 0.0 if shared is None else float(shared.width * shared.height)
