"""Several explanations in one figure: a row for each picture, the picture first, then a panel for each method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from glassnet.explain.explanation import Explanation
from glassnet.explain.figures import panels, style

GAP, EDGE, NOTE = 0.22, 0.18, 0.17  # inches between panels, around the figure, and for a line of notes


@dataclass(frozen=True)
class Explained:
    """A picture's explanations, or the `error` that kept it from having any."""

    path: str | None
    explanations: Sequence[Explanation] = ()
    error: str | None = None


def figure(rows: Sequence[Explained]) -> Figure:
    """Return a figure of all rows; below it what a reader must know about the layers and methods, once each."""
    columns = 1 + max((len(row.explanations) for row in rows), default=1)
    columns = max(columns, 2)
    notes = notes_of(rows, columns)
    width = 2 * EDGE + columns * panels.PANEL + (columns - 1) * GAP
    heights = [panels.HEAD + panels.FOOT + panels.PANEL * ratio(row) if not row.error else 0.75 for row in rows]
    height = sum(heights) + NOTE * len(notes) + 2 * EDGE * 0.5
    with style.style():
        drawn = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(drawn)
        top = height - EDGE * 0.5
        for row, tall in zip(rows, heights, strict=True):
            _row(drawn, row, top, tall, columns)
            top -= tall
        for place, text in enumerate(notes):
            y = (top - NOTE * (place + 0.4)) / height
            drawn.text(EDGE / width, y, text, fontsize=8, color=style.MUTED, va="center", parse_math=False)
    return drawn


def _row(drawn: Figure, row: Explained, top: float, tall: float, columns: int) -> None:
    width, height = drawn.get_size_inches()
    if row.error is not None:
        words = style.line(f"{row.path or 'picture'}: {row.error}", 40 * columns)
        drawn.text(EDGE / width, (top - 0.4) / height, words, fontsize=9, color="#b3261e", parse_math=False)
        return
    places = [EDGE + number * (panels.PANEL + GAP) for number in range(len(row.explanations) + 1)]
    picture = tall - panels.HEAD - panels.FOOT
    axes: list[Axes] = [
        drawn.add_axes((left / width, (top - panels.HEAD - picture) / height, panels.PANEL / width, picture / height))
        for left in places
    ]
    panels.original(axes[0], row.explanations[0])
    for ax, explanation in zip(axes[1:], row.explanations, strict=True):
        panels.draw(explanation, ax)


def ratio(row: Explained) -> float:
    """Return how many times as high as wide the row's picture is."""
    height, width = row.explanations[0].picture.shape[:2]
    return float(height / width)


def notes_of(rows: Sequence[Explained], columns: int) -> list[str]:
    """Return the notes of all explanations as lines for the figure's foot; one that many methods give stands once."""
    whose: dict[str, list[str]] = {}
    for explanation in (explanation for row in rows for explanation in row.explanations):
        titles = whose.setdefault(explanation.note, []) if explanation.note else []
        if explanation.title not in titles:
            titles.append(explanation.title)
    letters = 46 * columns
    texts = [f"{', '.join(titles)}: {note}" for note, titles in whose.items()]
    return [line for text in texts for line in style.wrapped(text, letters).splitlines()]
