"""A sheet of thousands of small files, kept for the next scan: it holds while their names, lengths and times do.

Parsing XML is most of a scan's time; asking the file system whether anything changed is a fraction of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from glassnet.data.annotations.sheet import Sheet
from glassnet.data.problems import Problem
from glassnet.errors import StorageError
from glassnet.files import cache_folder, make_room, write_text

_VERSION = 1  # of the columns and of how the readers fill them
_ALLOWED = 1 << 29  # bytes of all kept sheets: about 5 million boxes
_TICK = 2_000_000_000  # ns: a file younger than that may be written again within one tick of a file system's clock


def kept_sheet(kind: str, root: Path, files: Iterable[str], names: Iterable[str], make: Callable[[], Sheet]) -> Sheet:
    """Return what `make` returns, from the cache where it was made from the same `files` before.

    files: everything that it reads, relative to `root`; names: of other files whose presence alone matters. A cache
    that cannot be used is no error: the sheet is made, as it would be without one.
    """
    digest = hashlib.sha256("\0".join([str(_VERSION), kind, str(root.resolve()), *names, ""]).encode(*_BYTES))
    youngest = 0
    for path in files:
        try:
            status = (root / path).stat()
        except OSError:
            return make()  # and say what is wrong
        youngest = max(youngest, status.st_mtime_ns)
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode(*_BYTES))
    try:
        file = cache_folder("annotations") / f"{digest.hexdigest()[:32]}.json"
    except StorageError:
        return make()
    with suppress(OSError, ValueError, TypeError, KeyError):  # none yet, or a damaged one: it is made anew
        return _from_json(file.read_text(encoding="utf-8"), root)
    sheet = make()
    if youngest < time.time_ns() - _TICK:
        with suppress(StorageError):
            write_text(file, _to_json(sheet))
            make_room(file.parent, "*.json", _ALLOWED, file)
    return sheet


_BYTES = ("utf-8", "surrogateescape")  # names that are not UTF-8 are still names


def _to_json(sheet: Sheet) -> str:
    """Return the sheet's columns; ASCII, so that names that are not UTF-8 survive as escapes."""
    columns = {field.name: getattr(sheet, field.name) for field in dataclasses.fields(sheet) if field.name != "root"}
    columns["problems"] = [dataclasses.astuple(problem) for problem in sheet.problems]
    return json.dumps(columns)


def _from_json(text: str, root: Path) -> Sheet:
    columns: dict[str, Any] = json.loads(text)
    columns["problems"] = [Problem(*fields) for fields in columns["problems"]]
    columns["sizes"] = [None if size is None else tuple(size) for size in columns["sizes"]]
    columns["boxes"] = [tuple(box) for box in columns["boxes"]]
    columns["classes"] = None if columns["classes"] is None else tuple(columns["classes"])
    return Sheet(root=root, **columns)
