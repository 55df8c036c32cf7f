"""Pictures that a source lists more than once: one picture, all its boxes, in the most held-out of its splits."""

from __future__ import annotations

from dataclasses import replace

from glassnet.data.annotations.sheet import Sheet
from glassnet.data.splits import SPLITS


def merge_repeated(sheet: Sheet) -> Sheet:
    """Return the sheet with every path once; each that was there more often is told as a problem.

    A box that both listings have is one box: two files of one data set (all.json, val.json) repeat each other.
    """
    if len(set(sheet.paths)) == len(sheet.paths):
        return sheet
    first: dict[str, int] = {}
    splits = list(sheet.splits)
    repeated: dict[int, set[str]] = {}
    for item, path in enumerate(sheet.paths):
        stays = first.setdefault(path, item)
        if stays != item:
            named = {SPLITS[split] for split in (sheet.splits[stays], sheet.splits[item]) if split is not None}
            repeated.setdefault(stays, set()).update(named)
            splits[stays] = max((split for split in (splits[stays], splits[item]) if split is not None), default=None)
    items = [first[sheet.paths[item]] for item in sheet.items]
    seen: set[object] = set()
    rows = []
    for row, item in enumerate(items):
        same = (item, sheet.names[row], sheet.boxes[row])
        if item not in repeated or same not in seen:
            rows.append(row)
        seen.add(same)
    whole = replace(
        sheet,
        splits=splits,
        items=[items[row] for row in rows],
        names=[sheet.names[row] for row in rows],
        boxes=[sheet.boxes[row] for row in rows],
        difficult=[sheet.difficult[row] for row in rows],
        crowd=[sheet.crowd[row] for row in rows],
    )
    for item, names in repeated.items():
        where = f" (in {' and '.join(name for name in SPLITS if name in names)})" if len(names) > 1 else ""
        whole.doubt(item, "listed_twice", f"its source lists it more than once{where}; it is used once, all its boxes")
    return whole.only([first[path] == item for item, path in enumerate(sheet.paths)])
