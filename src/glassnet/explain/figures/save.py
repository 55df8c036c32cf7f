"""Explanations as files: a figure, or the numbers themselves; and as HTML for a notebook."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from glassnet.data.problems import printable
from glassnet.errors import InputError
from glassnet.explain.explanation import Explanation
from glassnet.explain.figures import panels, style
from glassnet.explain.figures.rows import Explained, figure
from glassnet.files import atomic_path, check_writable, storage_errors

FIGURES = (".png", ".svg", ".pdf")
NUMBERS = ".npz"


def save(explanations: Sequence[Explanation], path: Path) -> Path:
    """Write explanations of one picture to `path`, atomically: a figure side by side, or all numbers as `.npz`.

    Raises `InputError` for another ending, `StorageError` where it cannot be written.
    """
    return save_rows([Explained(explanations[0].path, explanations)], path)


def save_rows(rows: Sequence[Explained], path: Path) -> Path:
    """Write the explanations of several pictures, a row for each; otherwise as `save`."""
    check_ending(path)
    if path.suffix.lower() == NUMBERS:
        arrays = numbers([explanation for row in rows for explanation in row.explanations])
        with atomic_path(path) as temporary, storage_errors(path, temporary):
            np.savez_compressed(temporary, **arrays)
        return path
    return save_figure(figure(rows), path)


def save_figure(drawn: Figure, path: Path) -> Path:
    """Write a figure to `path` (.png, .svg or .pdf), atomically; raise `InputError`, `StorageError`."""
    check_ending(path, FIGURES)
    with style.style(), atomic_path(path) as temporary:
        drawn.savefig(temporary, dpi=style.DPI)
    return path


def check_ending(path: Path, endings: Sequence[str] = (*FIGURES, NUMBERS)) -> None:
    """Raise `InputError` for a name that ends otherwise: at once, before the work whose result goes there."""
    if path.suffix.lower() not in endings:
        raise InputError(
            f"cannot save to {str(path)!r}; let the name end in {', '.join(endings[:-1])} or {endings[-1]}"
        )


def check_output(path: Path, endings: Sequence[str] = (*FIGURES, NUMBERS)) -> None:
    """Raise `InputError` for a wrong ending and `StorageError` for a place that cannot be written."""
    check_ending(path, endings)
    check_writable(path)


def numbers(explanations: Sequence[Explanation]) -> dict[str, Any]:
    """Return arrays to write: array, extent (left, right, top, bottom), picture, and the facts as JSON text.

    Of several explanations each name has the number of its explanation behind it: array_0, array_1, ...
    """
    found: dict[str, Any] = {}
    for place, explanation in enumerate(explanations):
        behind = f"_{place}" if len(explanations) > 1 else ""
        found[f"array{behind}"] = explanation.array
        found[f"extent{behind}"] = np.array(explanation.extent)
        found[f"picture{behind}"] = explanation.picture
        found[f"facts{behind}"] = np.array(json.dumps(explanation.to_dict(), default=str))
    return found


def html(explanation: Explanation) -> str:
    """Return the figure as HTML that needs no other file, with what it shows said for those who cannot see it."""
    drawn = figure([Explained(explanation.path, [explanation])])
    said = ", ".join(filter(None, (explanation.title, panels.class_line(explanation), panels.layer_line(explanation))))
    return f'<img src="{png_uri(drawn)}" alt="{escape(printable(said))}" style="max-width: 100%">'


def png_uri(drawn: Figure) -> str:
    """Return a figure as a `data:` URI."""
    file = io.BytesIO()
    with style.style():
        drawn.savefig(file, format="png", dpi=style.DPI)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
