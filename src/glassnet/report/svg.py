"""From a Matplotlib figure to an SVG that belongs to the page: its colours are the page's, its text is text.

Figures are drawn in stand-in colours, one per role; in the SVG each becomes `var(--role)`, so the page's style sheet
decides, and a dark page gets a dark figure. Matplotlib never sees a name from the data: a legend is HTML beside the
figure, and a `$` in a class name stays a `$`.
"""

from __future__ import annotations

import io
import re
from contextlib import AbstractContextManager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROLES = ("ink", "muted", "rule", "line", "accent", "second", "third", "fourth", "fifth")
_STAND_INS = {role: f"#f1f0e{number}" for number, role in enumerate(ROLES)}
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 8.5,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "path.simplify_threshold": 0.3,
}


def colour(role: str) -> str:
    """The stand-in colour to draw `role` in; one of `ROLES`."""
    return _STAND_INS[role]


def new_axes(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of `width` x `height` inches and its `columns` axes: two hairlines, a faint grid, quiet ticks."""
    figure = Figure(figsize=(width, height))
    axes = list(figure.subplots(1, columns, squeeze=False)[0])
    figure.subplots_adjust(left=0.58 / width, right=1 - 0.14 / width, bottom=0.46 / height, top=1 - 0.12 / height)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(colour("line"))
        ax.tick_params(colors=colour("line"), labelcolor=colour("muted"), length=3)
        ax.grid(color=colour("rule"), linewidth=0.6)
        ax.set_axisbelow(True)
        ax.xaxis.label.set_color(colour("muted"))
        ax.yaxis.label.set_color(colour("muted"))
    return figure, axes


def to_svg(figure: Figure, name: str, title: str, hover: dict[str, str] | None = None) -> str:
    """The figure as an inline `<svg>` as wide as its place.

    `name` keeps its ids apart from those of other figures on the page, `title` is read aloud by screen readers, and
    `hover` shows a text over each artist whose gid is a key. Titles may be anything; they are escaped.
    """
    file = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
    svg = _page_svg(file.getvalue(), title)
    for gid, text in (hover or {}).items():
        svg = svg.replace(f'<g id="{gid}">', f'<g id="{gid}"><title>{escape(text)}</title>')
    return re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)


_METADATA = ("Creator", "Date", "Format", "Type")


def style() -> AbstractContextManager[None]:
    """The settings that a figure must be built and written under."""
    return mpl.rc_context(_STYLE)


def _page_svg(document: str, title: str) -> str:
    """Strip what belongs to a file of its own, and hand colours and fonts over to the page."""
    box = re.search(r'viewBox="([^"]+)"', document)
    assert box, "Matplotlib always writes a viewBox"
    body = document[document.index(">", document.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    for role, stand_in in _STAND_INS.items():
        body = body.replace(stand_in, f"var(--{role})")
    body = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", body)  # older Matplotlibs write font: size family
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", body)  # hundredths of a point are plenty
    body = re.sub(r"\n\s*", " ", body).replace("xlink:href", "href")
    return f'<svg role="img" aria-label="{escape(title)}" viewBox="{box[1]}">{body.strip()}'
