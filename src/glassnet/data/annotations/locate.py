"""Where the pictures are that an annotation file names: rarely where it says, usually in a folder near it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from glassnet.data.annotations.sheet import Sheet
from glassnet.data.folders import SPLIT_FOLDERS, list_entries, looks_like_picture
from glassnet.data.problems import Problem

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


class Locator:
    """Finds pictures by the names that a file in `folder` of `root` gives them.

    Tried in turn: beside the file, in the root, in an images folder of either, in folders named by `words`; then the
    same with the name alone, because a path of another machine leads nowhere here. `root` and its parent are listed
    once, pictures are only asked for.
    """

    def __init__(self, root: Path, folder: str, words: Iterable[str] = ()) -> None:
        bases = [folder, "", *words]
        pictures = ("images", "JPEGImages", "Images", "imgs")
        bases += [f"{base}/{name}" if base else name for base in list(bases) for name in pictures]
        bases += [f"{name}/{word}" for word in words for name in pictures]
        bases += ["..", *(f"../{name}" for name in pictures)]
        self.root = root
        self.bases = [base for base in dict.fromkeys(bases) if (root / base).is_dir()]

    def find(self, name: str) -> str:
        """Return the path, relative to the root, of the picture called `name`; where it should be, if it is nowhere."""
        name = name.strip().replace("\\", "/").removeprefix("./")
        for candidate in dict.fromkeys((name, name.rpartition("/")[2])):
            for position, base in enumerate(self.bases):
                path = f"{base}/{candidate}" if base and not candidate.startswith("/") else candidate
                if found := self._existing(path):
                    self.bases.insert(0, self.bases.pop(position))  # the next one will be there too
                    return found
        return f"{self.bases[0]}/{name}" if self.bases and self.bases[0] and not name.startswith("/") else name

    def _existing(self, path: str) -> str:
        full = os.path.join(self.root, path)  # noqa: PTH118 - as in `probe`
        if not path or "\0" in path:
            return ""
        if os.path.isfile(full):  # noqa: PTH113
            return path
        if not os.path.splitext(path)[1]:  # noqa: PTH122
            return next((path + end for end in _SUFFIXES if os.path.isfile(full + end)), "")  # noqa: PTH113
        return ""


def tell_unlisted(sheet: Sheet, reason: str) -> None:
    """Tell of pictures that lie beside listed ones and are not listed; where most are not, in one note.

    A file that lists a few of many pictures is a choice, one that lacks a few is a slip.
    """
    listed = set(sheet.paths)
    beside: list[str] = []
    for folder in dict.fromkeys(path.rpartition("/")[0] for path in sheet.paths):
        if (sheet.root / folder).is_dir():
            names = [name for name in list_entries(sheet.root, folder).files if looks_like_picture(name)]
            paths = [f"{folder}/{name}" if folder else name for name in names]
            beside += [path for path in paths if path not in listed]
    if len(beside) > len(listed):
        sheet.notes.append(f"{len(beside):,} pictures beside the {len(listed):,} annotated ones are not listed")
    else:
        sheet.problems += [Problem(path, "no_annotation", reason) for path in beside]


def split_word(name: str) -> int | None:
    """Return the split that a file's or folder's name speaks of, as in instances_val2017.json; None for no word.

    >>> split_word("instances_val2017.json"), split_word("labels.json"), split_word("trainval.json")
    (1, None, None)
    """
    words = "".join(letter if letter.isalpha() else " " for letter in name.lower()).split()
    found = {SPLIT_FOLDERS[word] for word in words if word in SPLIT_FOLDERS}
    return found.pop() if len(found) == 1 else None
