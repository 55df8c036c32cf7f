"""The confusion matrix as HTML: a table while its numbers can be read, a drawing of its cells beyond that.

Shading is the share of the true class, by its square root so that a few per cent are visible: right answers in the
accent colour, mistakes in the second. Class names are escaped here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from html import escape

TABLE_CLASSES = 24
LABELLED_CLASSES = 70
_LEVELS = 24


def confusion_html(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """The matrix, counts by [true][predicted], as one safe piece of HTML."""
    return _table(confusion, classes) if len(classes) <= TABLE_CLASSES else _drawing(confusion, classes)


def _shade(count: int, total: int) -> float:
    """Opacity in [0, 1] of a cell that holds `count` of its row's `total`."""
    return (count / total) ** 0.5 if total else 0.0


def _table(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    names = [escape(name) for name in classes]
    head = "".join(f'<th scope="col"><span>{name}</span></th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(_cells(number, row, names))}</tr>'
        for number, (name, row) in enumerate(zip(names, confusion, strict=True))
    )
    size = "small" if len(classes) <= 4 else "large" if len(classes) > 12 else "medium"
    return (
        f'<table class="confusion {size}"><thead><tr><td class="corner">true ↓ &ensp; called →</td>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _cells(number: int, row: Sequence[int], names: Sequence[str]) -> list[str]:
    total = sum(row)
    cells = []
    for column, count in enumerate(row):
        if not count:
            cells.append('<td class="none">·</td>')
            continue
        shade = _shade(count, total)
        kind = ("right" if column == number else "wrong") + (" deep" if shade > 0.66 else "")
        title = f"{count:,} of {total:,} “{names[number]}” called “{names[column]}”: {100 * count / total:.1f}%"
        cells.append(f'<td class="{kind}" style="--a:{shade:.2f}" title="{title}">{count}</td>')
    return cells


def _drawing(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """One path for each shade: a hundred classes are ten thousand cells, and as elements they would be megabytes."""
    size = len(classes)
    squares: dict[tuple[str, int], list[str]] = defaultdict(list)
    for number, row in enumerate(confusion):
        total = sum(row)
        for column, count in enumerate(row):
            if count:
                level = max(1, round(_shade(count, total) * _LEVELS))
                squares["right" if column == number else "wrong", level].append(f"M{column} {number}h1v1h-1z")
    cells = "".join(
        f'<path class="{kind}" style="--a:{level / _LEVELS:.2f}" d="{"".join(parts)}"/>'
        for (kind, level), parts in sorted(squares.items())
    )
    labelled = size <= LABELLED_CLASSES
    labels = _labels(classes) if labelled else ""
    margin = 9.0 if labelled else 0.0
    box = f"{-margin} {-margin} {size + margin} {size + margin}"
    return (
        f'<svg class="confusion{" labelled" if labelled else ""}" role="img" viewBox="{box}" '
        f'aria-label="Confusion matrix of {size} classes"><rect class="field" width="{size}" height="{size}"/>'
        f"{cells}{labels}</svg>"
    )


def _labels(classes: Sequence[str]) -> str:
    left = "".join(
        f'<text x="-.5" y="{n + 0.72}" text-anchor="end">{escape(_short(name))}</text>'
        for n, name in enumerate(classes)
    )
    above = "".join(
        f'<text transform="translate({n + 0.72} -.5) rotate(-90)">{escape(_short(name))}</text>'
        for n, name in enumerate(classes)
    )
    return left + above


def _short(name: str, length: int = 22) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
