"""Sources: from what a user names (a folder, a table, arrays, a built-in's name) to a listing of its items."""

from __future__ import annotations

import os
from pathlib import Path

from glassnet.data import builtin
from glassnet.data.arrays import is_idx_images, list_builtin, list_idx, list_npz, refuse_grouping
from glassnet.data.folders import explain_folder, list_entries, list_folder, looks_like_picture
from glassnet.data.listing import Listing
from glassnet.data.tables import TABLE_SUFFIXES, list_table
from glassnet.download import Progress
from glassnet.errors import DataError, InputError, UnknownName, nearest

LAYOUTS = (
    "a folder per class (photos/cat/1.jpg); train/, validation/ and test/ folders of those; a labels.csv or"
    " labels.parquet with the columns path,label[,split]; an .npz with x_train, y_train, x_test, y_test; idx files; or"
    f" a built-in: {', '.join(builtin.names())}"
)
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def recognise(data: str | Path, *, group_by: str | None = None, progress: Progress | None = None) -> Listing:
    """Return the listing of `data`: a path in one of `LAYOUTS`, or the name of a built-in data set.

    A word that is a built-in's name means the built-in; write ./mnist for a folder of that name.
    group_by: a table's column whose equal values stay on one side of a split. progress: of a download, in bytes.

    Raises `UnknownName` (nearest names offered) or `InputError` where nothing is found under this name, `DataError`
    where what is found has no layout that is known, and what `builtin.load` raises.
    """
    if isinstance(data, str) and data in builtin.names():
        refuse_grouping(group_by, data)
        listing = list_builtin(data, progress)
        if Path(data).exists():
            listing.notes.append(f"{data!r} is the built-in data set; write ./{data} for the folder of that name")
        return listing
    path = existing(data)
    try:
        listing = _list_folder(path, group_by) if path.is_dir() else _list_file(path, group_by)
    except PermissionError as error:
        raise DataError(f"no permission to read {str(path)!r}; change its permissions") from error
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    return listing


def existing(data: str | Path) -> Path:
    """Return `data` as the path of something that exists, or say what is near to it."""
    if not isinstance(data, str | os.PathLike):
        raise InputError(f"data is a {type(data).__name__}, expected a path or a built-in's name")
    text = os.fspath(data)
    if not text.strip() or "\0" in text:
        raise InputError(f"data is {text!r}, expected {LAYOUTS}")
    path = Path(text).expanduser()
    try:
        path.stat()
    except FileNotFoundError:
        raise _not_found(text, path) from None
    except OSError as error:
        raise DataError(
            f"cannot read {text!r}: {error.strerror or error}; check the path and its permissions"
        ) from error
    return path


def _not_found(text: str, path: Path) -> InputError:
    try:
        beside = [entry.name for entry in os.scandir(path.parent)]
    except OSError:  # the parent does not exist either, so nothing near can be offered
        beside = []
    if path.name == text:
        hint = f"there is no file or folder of this name here, and the built-ins are {', '.join(builtin.names())}"
        return UnknownName("data set", text, [*builtin.names(), *beside], hint=hint)
    near = ", ".join(str(path.parent / name) for name in nearest(path.name, beside))
    return InputError(f"{text!r} does not exist" + (f"; nearest: {near}" if near else f"; expected {LAYOUTS}"))


def _list_file(path: Path, group_by: str | None) -> Listing:
    suffix = path.suffix.lower()
    if suffix in TABLE_SUFFIXES:
        return list_table(path, group_by)
    refuse_grouping(group_by, str(path))
    if suffix == ".npz":
        return list_npz(path)
    if is_idx_images(path):
        return list_idx(path.parent, [path])
    if suffix in _ARCHIVES:
        raise DataError(f"{str(path)!r} is an archive; unpack it and give the folder")
    if looks_like_picture(path.name):
        raise DataError(f"{str(path)!r} is a single picture; give the folder that holds a folder per class")
    raise DataError(f"{str(path)!r} is a file of no known layout; expected {LAYOUTS}")


def _list_folder(path: Path, group_by: str | None) -> Listing:
    """Recognise the layout of a folder: a table in it leads, then idx files, then folders."""
    top = list_entries(path, "")
    for suffix in TABLE_SUFFIXES:
        if f"labels{suffix}" in top.files:
            listing = list_table(path / f"labels{suffix}", group_by)
            listing.name = path.resolve().name or str(path)
            return listing
    refuse_grouping(group_by, str(path))
    if idx := [path / name for name in top.files if is_idx_images(Path(name))]:
        return list_idx(path, idx)
    listing = list_folder(path, top)
    if len(listing):
        return listing
    inside = [name for name in top.files if name.lower().endswith((*TABLE_SUFFIXES, ".npz"))]
    advice = f"; give {str(path / inside[0])!r} itself if that lists the data" if inside else ""
    raise DataError(f"{explain_folder(path, top, listing.problems)}{advice}; expected {LAYOUTS}")
