"""How annotated pictures look in a terminal: boxes by class and split, and what a conversion wrote."""

from __future__ import annotations

import numpy as np

from glassnet.data.annotations.objects import BoxIndex
from glassnet.data.annotations.write import Conversion
from glassnet.data.problems import count_kinds, printable
from glassnet.data.splits import SPLITS
from glassnet.show import dump, print_table
from glassnet.show.data import index_as_data, notes_and_problems


def index(found: BoxIndex, *, json: bool) -> None:
    """Print what a scan found: boxes and pictures by class and split, box sizes, then what is wrong, by name."""
    boxes = found.boxes_of_classes()
    low, middle, high = np.percentile(found.box_sizes(), (5, 50, 95)).round(2).tolist()
    each = np.bincount([len(objects) for objects in found.objects])
    marked = {
        name: sum(int(getattr(objects, name).sum()) for objects in found.objects) for name in ("difficult", "crowd")
    }
    if json:
        by_class = zip(found.classes, boxes.tolist(), strict=True)
        own = {
            "format": found.kind,
            "boxes": {name: dict(zip(SPLITS, row, strict=True)) for name, row in by_class},
            "background": dict(zip(SPLITS, found.background().tolist(), strict=True)),
            "box_size": {"5 %": low, "median": middle, "95 %": high},
            **marked,
        }
        dump(index_as_data(found) | own)
        return
    print(f"{found.kind}: boxes in pictures that show the class")
    print_table(("class", *SPLITS), _rows(found))
    print(f"box size (square root of the area): median {middle:.0f} px, 90 % between {low:.0f} and {high:.0f} px")
    empty = f"; {each[0]:,} pictures without objects" if each[0] else ""
    print(f"boxes a picture: {boxes.sum() / len(found):.1f} on average, at most {len(each) - 1}{empty}")
    if any(marked.values()):
        told = ", ".join(f"{count:,} {name}" for name, count in marked.items() if count)
        print(f"marked: {told} (a detector need not find these)")
    notes_and_problems(found)


def _rows(found: BoxIndex) -> list[tuple[str, ...]]:
    """Return a row for each class and one for all: "boxes in pictures" for each split."""
    boxes, pictures = found.boxes_of_classes(), found.counts()
    sums = [len(found.select(split)) for split in SPLITS]
    names = [*found.classes, "all"]
    columns = zip(names, [*boxes.tolist(), boxes.sum(0).tolist()], [*pictures.tolist(), sums], strict=True)
    return [
        (name, *(f"{count:,} in {of:,}" if count else "0" for count, of in zip(counts, shown, strict=True)))
        for name, counts, shown in columns
    ]


def converted(found: BoxIndex, written: Conversion, *, json: bool) -> None:
    """Print what was written in another format, what was lost on the way, and what was wrong with the source."""
    counts = count_kinds(found.problems)
    if json:
        dump(
            {
                "output": str(written.output),
                "format": written.format,
                "from": found.kind,
                "pictures": written.pictures,
                "boxes": written.boxes,
                "notes": [*found.notes, *written.notes],
                "problem_counts": counts,
            }
        )
        return
    print(
        f"{written.boxes:,} boxes in {written.pictures:,} pictures, {found.kind} -> {written.format}: {written.output}"
    )
    for note in (*found.notes, *written.notes):
        print(printable(note))
    if counts:
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        print(f"problems of the source: {kinds} (glassnet data check lists them)")
