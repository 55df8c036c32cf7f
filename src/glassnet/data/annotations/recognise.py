"""Which annotations a source has, by what its files are called and begin with; nothing is read through."""

from __future__ import annotations

import os
from pathlib import Path

from glassnet.data import builtin
from glassnet.data.annotations.sheet import Sheet
from glassnet.data.annotations.voc import find_voc, read_voc
from glassnet.errors import UnknownName

FORMATS = ("voc", "coco", "yolo", "csv")


def annotation_format(data: str | Path) -> str | None:
    """Return "voc", "coco", "yolo" or "csv", or None where `data` has no boxes (or is not there at all)."""
    found = annotation_formats(data)
    return found[0] if found else None


def annotation_formats(data: str | Path) -> list[str]:
    """Return all formats that `data` has boxes in, the leading one first."""
    if not isinstance(data, str | os.PathLike) or (isinstance(data, str) and data in builtin.names()):
        return []
    if not (text := os.fspath(data)).strip() or "\0" in text:
        return []
    path = Path(text).expanduser()
    try:
        return [name for name in FORMATS if _FINDERS[name](path)]
    except OSError:
        return []  # reading it says what is wrong


def _is_voc(path: Path) -> bool:
    return path.is_dir() and bool(find_voc(path))


_FINDERS = {"voc": _is_voc}
FORMATS = ("voc",)


def read_sheet(path: Path, format_name: str, group_by: str | None) -> Sheet:
    """Return the sheet of `path` in a format. Raises `DataError` where it has no such annotations."""
    if format_name not in FORMATS:
        raise UnknownName("annotation format", format_name, FORMATS, hint=f"there are {', '.join(FORMATS)}")
    return read_voc(path, find_voc(path))
