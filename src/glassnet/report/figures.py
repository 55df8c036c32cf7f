"""The report's charts. The only file, with `svg.py`, that imports Matplotlib, and never pyplot: both cost time.

A figure function takes plain numbers and returns an inline SVG. Lines are identified in HTML, beside the figure.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from glassnet.evaluation.judgement import CalibrationResult, ClassCurve
from glassnet.report.svg import colour, new_axes, style, to_svg

Series = Sequence[tuple[float, float]]
HIGHLIGHTS = ("accent", "second", "third")
"""Colours of the three classes with the lowest average precision; the other curves are grey."""


def learning_curve(name: str, label: str, lines: Sequence[tuple[str, Series]], *, share: bool = False) -> str:
    """Values against epochs. `lines` are (colour role, [(epoch, value), ...]); `share` means values in [0, 1]."""
    with style():
        figure, (ax,) = new_axes(4.6, 2.9)
        for role, points in lines:
            marker = "o" if len(points) <= 12 else None
            ax.plot(*zip(*points, strict=True), color=colour(role), linewidth=1.6, marker=marker, markersize=3.2)
        ax.set_xlabel("epoch")
        whole = all(x == round(x) for _, points in lines for x, _ in points)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=whole))
        if share:
            values = [y for _, points in lines for _, y in points]
            ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0 if max(values) - min(values) > 0.05 else 1))
        return to_svg(figure, name, label)


def class_curves(name: str, label: str, curves: Sequence[ClassCurve], highlighted: Sequence[str], *, roc: bool) -> str:
    """Precision-recall or ROC curves, one per class; the `highlighted` names in colour, in `HIGHLIGHTS`' order."""
    with style():
        figure, (ax,) = new_axes(4.6, 3.6)
        if roc:
            ax.plot([0, 1], [0, 1], color=colour("line"), linewidth=0.8, dashes=(4, 3))
        for number, curve in enumerate(curves):
            chosen = curve.name in highlighted
            role = HIGHLIGHTS[highlighted.index(curve.name)] if chosen else "line"
            (line,) = ax.plot(curve.x, curve.y, color=colour(role), linewidth=1.7 if chosen else 1.0)
            line.set(zorder=3 if chosen else 2, gid=f"curve{number}")
        _unit_square(ax)
        ax.set_xlabel("false positive rate" if roc else "recall")
        ax.set_ylabel("true positive rate" if roc else "precision")
        hover = {f"curve{n}": curve.name for n, curve in enumerate(curves)}
        return to_svg(figure, name, label, hover)


def reliability_diagram(name: str, label: str, result: CalibrationResult, role: str) -> str:
    """Share right against confidence, a bar for each bin; the more pictures it holds, the stronger."""
    bins = len(result.counts)
    centres = [(number + 0.5) / bins for number in range(bins)]
    largest = max(result.counts)
    with style():
        figure, (ax,) = new_axes(4.6, 3.6)
        ax.plot([0, 1], [0, 1], color=colour("muted"), linewidth=0.8, dashes=(4, 3), zorder=3)
        for centre, count, right in zip(centres, result.counts, result.accuracy, strict=True):
            if count:
                weight = 0.10 + 0.45 * (count / largest) ** 0.5
                ax.bar(centre, right, width=0.88 / bins, color=colour(role), alpha=weight)
                ax.plot([centre - 0.44 / bins, centre + 0.44 / bins], [right, right], color=colour(role), linewidth=1.8)
        _unit_square(ax)
        ax.set_xlabel("confidence claimed")
        ax.set_ylabel("share right")
        return to_svg(figure, name, label)


def _unit_square(ax: Axes) -> None:
    """Both axes from 0 to 1, with a little air, in per cent."""
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
