"""What can be wrong with an item of a data source, told by name: never replaced, never silently dropped.

A `Problem` whose kind is in `QUARANTINED` takes its item out of the index; the others only warn. Names come from
strangers' file systems, so whatever is shown or written goes through `printable` first.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from glassnet.files import write_text

QUARANTINING_KINDS = {
    "unreadable": "it cannot be read: no permission, not a regular file, or a broken header",
    "missing": "it was listed but is not there",
    "truncated": "its pixels end too early",
    "empty": "it has zero bytes or zero pixels",
    "not_a_picture": "its content is no picture format that is read here",
    "bomb": "it would decode to more pixels than the limit",
    "wrong_shape": "its number of channels is not that of the other pictures",
    "no_label": "no class is given for it, or it lies outside the class folders",
    "duplicate": "an exact copy of an earlier item",
    "leak": "a training item that is an exact copy of a validation or test item",
    "conflicting_label": "exact copies carry different classes, so at least one is wrong",
    "symlink_loop": "a link leads back to a folder that is already listed",
    "malformed": "its annotation file cannot be read, so nobody knows what is in it",
    "no_annotation": "no annotation names it, and its format has another way to say that nothing is in it",
}
WARNING_KINDS = {
    "wrong_extension": "its name promises another format than it has",
    "repeated": "an exact copy inside a published validation or test set, which stays as published",
    "near_duplicate": "it looks almost the same as an item of another split",
    "small_class": "a class with very few pictures",
    "bad_name": "its name is not UTF-8 or holds control characters",
    "hidden": "its name starts with a dot, so it is left alone",
}
# Of boxes: the picture stays, what is said of the box happens to the box.
LEFT_OUT_BOXES = {
    "box_outside": "a box lies wholly outside its picture; the box is left out",
    "box_empty": "a box has no area; the box is left out",
    "bad_box": "a box is no four numbers, or its line cannot be read; the box is left out",
    "unknown_class": "a box is of a class that the source does not name; the box is left out",
}
WARNING_KINDS |= LEFT_OUT_BOXES | {
    "box_clipped": "a box reaches out of its picture; it is cut off at the edge",
    "tiny_box": "a box of at most one pixel: a click without a drag, perhaps",
    "repeated_box": "one class is at one place twice in one picture",
    "listed_twice": "its source lists it more than once; it is used once, with all its boxes",
    "wrong_size": "its annotation gives another size than the picture has; the picture's counts",
    "similar_class": "two classes whose names differ only in case or spaces",
}
KINDS = QUARANTINING_KINDS | WARNING_KINDS
QUARANTINED = frozenset(QUARANTINING_KINDS)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one item (or folder, or class).

    path: as the user knows it, relative to the source; kind: a key of `KINDS`; reason: one sentence with the values;
    split: "train", "validation", "test", or None where no split was decided yet.
    """

    path: str
    kind: str
    reason: str
    split: str | None = None

    def __post_init__(self) -> None:
        assert self.kind in KINDS, f"unknown problem kind {self.kind!r}"

    @property
    def quarantined(self) -> bool:
        """Whether the item is left out because of it (else it is only a warning)."""
        return self.kind in QUARANTINED

    def __str__(self) -> str:
        return f"{printable(self.path)}: {self.kind}: {printable(self.reason)}"


def printable(name: str) -> str:
    r"""Return `name` with every character that a terminal or a file could trip over written as an escape.

    >>> printable("caf\udce9\n.jpg")
    'caf\\xe9\\n.jpg'
    """
    return name if name.isprintable() else "".join(map(_escape, name))


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # a byte that was not UTF-8, as `os.fsdecode` keeps it
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def count_kinds(problems: Iterable[Problem]) -> dict[str, int]:
    """Return how many problems there are of each kind: those that quarantine first, then the most frequent first."""
    counts = Counter(problem.kind for problem in problems)
    return dict(sorted(counts.items(), key=lambda item: (item[0] not in QUARANTINED, -item[1], item[0])))


def write_problems_csv(path: Path, problems: Iterable[Problem]) -> None:
    """Write `problems` as UTF-8 CSV (path, split, kind, quarantined, reason), atomically.

    Names are made printable, and a path that a spreadsheet would run as a formula starts with "./" instead.
    Raises `StorageError` where the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "split", "kind", "quarantined", "reason"])
    for problem in problems:
        quarantined = "yes" if problem.quarantined else "no"
        reason = printable(problem.reason)
        writer.writerow([harmless(problem.path), problem.split or "", problem.kind, quarantined, reason])
    write_text(path, text.getvalue())


def harmless(path: str) -> str:
    """Return a relative path, printable, that no spreadsheet takes for a formula (it is still the same path)."""
    shown = printable(path)
    return f"./{shown}" if shown.startswith(("=", "+", "-", "@")) else shown
