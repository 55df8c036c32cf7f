"""Which annotations a source has, by what its files are called and begin with; nothing is read through."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from glassnet.data import builtin
from glassnet.data.annotations.coco import find_coco, read_coco
from glassnet.data.annotations.sheet import Sheet
from glassnet.data.annotations.sheet_cache import kept_sheet
from glassnet.data.annotations.table import EXPECTED, find_tables, read_tables
from glassnet.data.annotations.voc import files_of_voc, find_voc, read_voc
from glassnet.data.annotations.yolo import find_yolo, read_yolo
from glassnet.data.arrays import refuse_grouping
from glassnet.errors import DataError, UnknownName

_FINDERS: dict[str, Callable[[Path], bool]] = {
    "voc": lambda path: path.is_dir() and bool(find_voc(path)),
    "coco": lambda path: bool(find_coco(path)[1]),
    "yolo": lambda path: find_yolo(path) is not None,
    "csv": lambda path: bool(find_tables(path)[1]),
}
FORMATS = tuple(_FINDERS)
"""The formats that are read and written, in the order in which they lead where a source has several."""

_LAYOUT = {
    "voc": "Annotations/*.xml beside JPEGImages/",
    "coco": "a .json with the lists images, annotations and categories",
    "yolo": "images/ and labels/ with data.yaml or classes.txt",
    "csv": f"a .csv ({EXPECTED})",
}
LAYOUTS = "; ".join(f"{name}: {layout}" for name, layout in _LAYOUT.items())


def check_format(name: str) -> None:
    """Raise `UnknownName` for a format that is none of `FORMATS`."""
    if name not in FORMATS:
        raise UnknownName("annotation format", name, FORMATS, hint=f"there are {', '.join(FORMATS)}")


def annotation_format(data: str | Path) -> str | None:
    """Return "voc", "coco", "yolo" or "csv", or None where `data` has no boxes (or is not there at all)."""
    return next(iter(annotation_formats(data)), None)


def annotation_formats(data: str | Path) -> list[str]:
    """Return all formats that `data` has boxes in, the leading one first. Nothing is raised: reading says what is
    wrong with a file that only looks like one of them."""
    if not isinstance(data, str | os.PathLike) or (isinstance(data, str) and data in builtin.names()):
        return []
    text = os.fspath(data)
    if not text.strip() or "\0" in text:
        return []
    path = Path(text).expanduser()
    return [name for name, has in _FINDERS.items() if _seems(has, path)]


def _seems(has: Callable[[Path], bool], path: Path) -> bool:
    try:
        return path.exists() and has(path)
    except DataError:
        return True
    except OSError:
        return False


def read_sheet(path: Path, name: str, group_by: str | None, *, cache: bool = True) -> Sheet:
    """Return the sheet of `path` in a format; cache: keep what thousands of XML files say for the next time.

    Raises `DataError` where it has no such annotations or they cannot be used as a whole, `InputError` for a
    `group_by` where there are no columns, and `OSError`.
    """
    check_format(name)
    if name != "csv":
        refuse_grouping(group_by, str(path))
    sheet = None
    if name == "voc" and path.is_dir() and (places := find_voc(path)):
        if cache:
            sheet = kept_sheet("voc", path, *files_of_voc(path, places), lambda: read_voc(path, places))
        else:
            sheet = read_voc(path, places)
    elif name == "coco" and (found := find_coco(path))[1]:
        sheet = read_coco(*found)
    elif name == "yolo" and (layout := find_yolo(path)) is not None:
        sheet = read_yolo(layout)
    elif name == "csv" and (tables := find_tables(path))[1]:
        sheet = read_tables(*tables, group_by)
    if sheet is None:
        raise DataError(f"{str(path)!r} has no {name} annotations; expected {_LAYOUT[name]}")
    return sheet
