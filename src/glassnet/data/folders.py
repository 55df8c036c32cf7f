"""Folders as sources: a folder per class, or train/ validation/ test/ folders of those.

The walk follows links but never in circles, enters nothing hidden, and tells of whatever it could not list.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from glassnet.data.listing import Listing, class_name, number_classes
from glassnet.data.problems import Problem, printable
from glassnet.data.splits import TEST, TRAIN, VALIDATION

SPLIT_FOLDERS = {"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST}
SPLIT_FOLDERS |= dict.fromkeys(("validation", "valid", "val"), VALIDATION)
# What a file's name promises; the names are Pillow's for the formats.
FORMAT_OF_SUFFIX = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".gif": "GIF", ".bmp": "BMP", ".webp": "WEBP",
    ".tif": "TIFF", ".tiff": "TIFF", ".jp2": "JPEG2000", ".avif": "AVIF", ".npy": "NPY",
    ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM",
}  # fmt: skip


def looks_like_picture(name: str) -> bool:
    """Whether a file's name ends like a picture's."""
    return os.path.splitext(name)[1].lower() in FORMAT_OF_SUFFIX  # noqa: PTH122 - names with surrogates, 200,000 of them


@dataclass
class Entries:
    """What lies directly in a folder: names of folders and of files, sorted, and what was left alone and why."""

    folders: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def list_entries(root: Path, folder: str) -> Entries:
    """List `root`/`folder` ("" is the root itself); paths in problems are relative to `root`. Raises `OSError`."""
    entries = Entries()
    with os.scandir(root / folder if folder else root) as scanned:
        for entry in sorted(scanned, key=lambda entry: entry.name):
            _sort_entry(entry, f"{folder}/{entry.name}" if folder else entry.name, entries)
    return entries


def _sort_entry(entry: os.DirEntry[str], path: str, entries: Entries) -> None:
    """Put one entry where it belongs: folders, files, or problems."""
    problem = None
    try:
        if entry.name.startswith("."):
            problem = Problem(path, "hidden", "its name starts with a dot; rename it if it belongs to the data")
        elif entry.is_dir():
            entries.folders.append(entry.name)
        elif entry.is_file():
            entries.files.append(entry.name)
        elif entry.is_symlink():
            problem = Problem(path, "missing", "it is a link to something that does not exist")
        else:
            problem = Problem(path, "unreadable", "it is a device, pipe or socket, not a file")
    except OSError as error:
        problem = os_problem(path, error)
    if problem is not None:
        entries.problems.append(problem)
    elif not entry.name.isprintable():
        entries.problems.append(Problem(path, "bad_name", _bad_name(entry.name)))


def _bad_name(name: str) -> str:
    what = "is not UTF-8" if any("\udc80" <= c <= "\udcff" for c in name) else "holds control characters"
    return f"its name {what} (shown as {printable(name)!r}); it is used, but rename it for other programs' sake"


def os_problem(path: str, error: OSError) -> Problem:
    """Return the problem that an operating system's error about `path` amounts to."""
    if error.errno == errno.ELOOP:
        return Problem(path, "symlink_loop", "its links lead in a circle; remove the link")
    if isinstance(error, FileNotFoundError):
        return Problem(path, "missing", "it was listed but is not there: moved, deleted, or a broken link")
    if isinstance(error, PermissionError):
        return Problem(path, "unreadable", "no permission to read it; change its permissions")
    return Problem(path, "unreadable", f"the system says: {error.strerror or error}")


def identity(path: Path) -> tuple[int, int]:
    """Return what makes a folder itself under whatever name: device and inode. Raises `OSError`."""
    status = path.stat()
    return status.st_dev, status.st_ino


def walk(root: Path, top: str, problems: list[Problem]) -> Iterator[str]:
    """Yield the files in and under `root`/`top` as paths relative to `root`, each real folder at most once.

    A link back to a folder above, or to one listed before, is a `symlink_loop` in `problems`; without this rule a
    link to "/" would list the whole disk, and a few links between neighbours would take for ever.
    """
    home = root.resolve()
    seen = {identity(folder) for folder in (home, *home.parents)}
    waiting = [top]
    while waiting:  # a list, not recursion: folders may be nested deeper than Python's stack
        folder = waiting.pop()
        try:
            itself = identity(root / folder)
            if itself in seen:
                reason = "its link leads to a folder that is already listed; remove the link"
                problems.append(Problem(f"{folder}/", "symlink_loop", reason))
                continue
            entries = list_entries(root, folder)
        except OSError as error:
            problems.append(os_problem(f"{folder}/", error))
            continue
        seen.add(itself)
        problems += entries.problems
        yield from (f"{folder}/{name}" for name in entries.files)
        waiting += [f"{folder}/{name}" for name in reversed(entries.folders)]


def split_folders(folders: list[str]) -> dict[str, int]:
    """Return which of a source's folders are splits: {} where they are classes.

    A folder called train beside bus and car is a class. It is a split where all its neighbours are splits too, or
    where a test or validation folder stands beside it.
    """
    found = {name: SPLIT_FOLDERS[name.lower()] for name in folders if name.lower() in SPLIT_FOLDERS}
    both = TRAIN in found.values() and len(set(found.values())) > 1
    return found if both or len(found) == len(folders) else {}


def list_folder(root: Path, top: Entries) -> Listing:
    """Return the listing of a folder per class, or of split folders of those; `top` is what lies in `root`."""
    problems, notes = list(top.problems), []
    splits = _splits_with_classes(root, top.folders, problems)
    tops = splits or dict.fromkeys(top.folders)
    paths: list[str] = []
    names: list[str] = []
    numbers: list[int] = []
    for folder, split in tops.items():
        classes = [folder]
        if split is not None:
            inside = list_entries(root, folder)
            problems += inside.problems + _outside_classes(inside.files, f"{folder}/")
            classes = [f"{folder}/{name}" for name in inside.folders]
        for path in classes:
            found = list(walk(root, path, problems))
            if not found:
                problems.append(Problem(f"{path}/", "small_class", "the folder of this class holds no file"))
            paths += found
            names += [class_name(path.rpartition("/")[2])] * len(found)
            numbers += [TRAIN if split is None else split] * len(found)
    if splits and len(splits) < len(top.folders):
        others = ", ".join(printable(name) for name in top.folders if name not in splits)
        notes.append(f"split folders {', '.join(splits)} found; left alone beside them: {others}")
    problems += _outside_classes(top.files, "")
    classes_found, labels = number_classes(names)
    given = np.array(numbers, np.int8) if splits else None
    name = root.resolve().name or str(root)
    return Listing(name, "folder", root, classes_found, labels, paths, None, given, None, problems, notes)


def _splits_with_classes(root: Path, folders: list[str], problems: list[Problem]) -> dict[str, int]:
    """Return the split folders that can be listed and that hold class folders; {} where `folders` are classes."""
    splits = {}
    for name, split in split_folders(folders).items():
        try:
            if list_entries(root, name).folders:
                splits[name] = split
        except OSError as error:
            problems.append(os_problem(f"{name}/", error))
    return splits


def _outside_classes(files: list[str], folder: str) -> list[Problem]:
    """Return a problem for each picture that lies beside the class folders; a README there is nobody's problem."""
    reason = "it lies outside the class folders; move it into one"
    return [Problem(folder + name, "no_label", reason) for name in files if looks_like_picture(name)]


def explain_folder(root: Path, top: Entries, problems: list[Problem]) -> str:
    """Say what was seen in a folder in which no item was found."""
    pictures = sum(looks_like_picture(name) for name in top.files)
    if pictures:
        seen = f"holds {pictures:,} pictures but no class folders"
    elif top.files or top.folders:
        seen = f"holds {len(top.files):,} files and {len(top.folders):,} folders, but no picture in a class folder"
    else:
        seen = "holds only hidden or broken entries" if top.problems else "is an empty folder"
    first = next((problem for problem in problems if problem.quarantined), None)
    return f"{str(root)!r} {seen}" + (f" (first problem: {first})" if first and not pictures else "")
