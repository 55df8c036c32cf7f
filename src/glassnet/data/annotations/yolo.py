"""YOLO: a .txt beside or parallel to each picture, a line a box: class number, centre x, centre y, width, height.

The four numbers are shares of the picture. Names of the classes are in data.yaml (Ultralytics' layout, docs.ultralytics
.com/datasets/detect) or in classes.txt. No .txt or an empty one: a picture without objects.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from glassnet.data.annotations.sheet import Sheet, four_numbers
from glassnet.data.annotations.small_yaml import Value, parse_small_yaml
from glassnet.data.folders import SPLIT_FOLDERS, list_entries, looks_like_picture, os_problem, split_folders, walk
from glassnet.data.listing import class_name
from glassnet.data.problems import Problem, printable
from glassnet.data.splits import SPLITS, TEST, TRAIN, VALIDATION
from glassnet.errors import DataError

_NAMES = ("classes.txt", "obj.names", "class_names.txt", "names.txt", "labels.txt", "_darknet.labels")
_SPLIT_KEYS = {"train": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION, "test": TEST}
_LOOKED_AT = 20  # label files that are opened to see whether they are some


@dataclass
class Layout:
    """Where a YOLO source keeps what: folders (or lists) of pictures with their splits, and the class names.

    names: {number: name}, empty where there is no list of them; named_in: the file they are in.
    """

    root: Path
    folders: list[tuple[str, int | None]]
    names: dict[int, str] = field(default_factory=dict)
    named_in: str = ""


def find_yolo(data: Path) -> Layout | None:
    """Return the layout of `data`, a folder or its .yaml; None where it has no YOLO labels.

    Raises `OSError`, and `DataError` for a data.yaml that cannot be understood.
    """
    if data.is_file():
        return _from_yaml(data) if data.suffix.lower() in (".yaml", ".yml") else None
    top = list_entries(data, "")
    for name in sorted(top.files, key=lambda name: (name != "data.yaml", name)):
        if name.lower().endswith((".yaml", ".yml")) and _mentions_names(data / name):
            return _from_yaml(data / name)
    folders = _picture_folders(data, "", None) or _split_picture_folders(data, top.folders)
    if not any(_has_labels(data, folder) for folder, _ in folders):
        return None
    layout = Layout(data, folders)
    for place in ("", "labels", *(labels_folder(folder) for folder, _ in folders)):
        for name in _NAMES:
            if not layout.names and (data / place / name).is_file():
                layout.named_in = f"{place}/{name}" if place else name
                lines = (data / layout.named_in).read_text(encoding="utf-8-sig", errors="replace").splitlines()
                layout.names = dict(enumerate(_without_blank_end(lines)))
    return layout


def _without_blank_end(lines: list[str]) -> list[str]:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def _mentions_names(path: Path) -> bool:
    """Whether a .yaml has what a data.yaml has; one for another program is nobody's problem here."""
    keys = {line.partition(":")[0].strip("\"' ") for line in path.read_text(errors="replace").splitlines()}
    return "names" in keys and bool(keys & {"train", "val", "test"})


def _from_yaml(path: Path) -> Layout:
    """Return the layout that a data.yaml describes."""
    content = parse_small_yaml(path.read_text(encoding="utf-8", errors="replace"), str(path))
    if "names" not in content:
        raise DataError(f"{str(path)!r} has the keys {', '.join(content) or 'none'}; expected names and train")
    wanted = [(key, value) for key, value in content.items() if key in _SPLIT_KEYS and value]
    root = path.parent
    base = content.get("path")
    bases = [root / str(base), root] if isinstance(base, str) and base else [root]
    folders = []
    for key, value in wanted:
        for name in [value] if isinstance(value, str) else list(value):
            folders.append((_existing_folder(bases, root, name, str(path), key), _SPLIT_KEYS[key]))
    if not folders:
        raise DataError(f"{str(path)!r} names no folder of pictures; expected train: images/train and val: images/val")
    only = {split for _, split in folders} == {TRAIN}
    placed: list[tuple[str, int | None]] = [(folder, None if only else split) for folder, split in folders]
    return Layout(root, placed, _numbered(content["names"], str(path)), path.name)


def _existing_folder(bases: list[Path], root: Path, name: str, where: str, key: str) -> str:
    """Return a folder (or .txt list) of a data.yaml relative to `root`; ../train/images also counts from the root."""
    for base in bases:
        for candidate in dict.fromkeys((name, name.removeprefix("../"))):
            if (base / candidate).exists():
                return os.path.relpath(base / candidate, root).replace(os.sep, "/")
    raise DataError(
        f"{where!r} says {key}: {name}, but neither {' nor '.join(str(base / name) for base in bases)} is there;"
        " correct it, or remove the line"
    )


def _numbered(names: Value, where: str) -> dict[int, str]:
    if isinstance(names, str):
        raise DataError(f"{where!r} has names: {names!r}, expected a list of class names")
    if isinstance(names, list):
        return dict(enumerate(names))
    try:
        return {int(number): name for number, name in names.items()}
    except ValueError as error:
        raise DataError(f"{where!r} numbers its names {', '.join(names)!r}, expected 0, 1, 2 ...") from error


def _split_picture_folders(root: Path, folders: list[str]) -> list[tuple[str, int | None]]:
    return [place for name, split in split_folders(folders).items() for place in _picture_folders(root, name, split)]


def _picture_folders(root: Path, folder: str, split: int | None) -> list[tuple[str, int | None]]:
    """Return the folders of pictures in `folder`: images/ or its split folders, or the folder itself."""
    entries = list_entries(root, folder)
    if "images" in entries.folders:
        images = f"{folder}/images" if folder else "images"
        inside = {name: SPLIT_FOLDERS[name.lower()] for name in list_entries(root, images).folders
                  if name.lower() in SPLIT_FOLDERS}  # fmt: skip
        return [(f"{images}/{name}", number) for name, number in inside.items()] or [(images, split)]
    return [(folder, split)] if any(map(looks_like_picture, entries.files)) else []


def labels_folder(folder: str) -> str:
    """Return the folder of the label files of a folder of pictures: labels for the last images in its path.

    >>> labels_folder("images/train"), labels_folder("train/images"), labels_folder("photos")
    ('labels/train', 'train/labels', 'photos')
    """
    parts = folder.split("/")
    for position in range(len(parts) - 1, -1, -1):
        if parts[position] == "images":
            return "/".join([*parts[:position], "labels", *parts[position + 1 :]])
    return folder


def _has_labels(root: Path, folder: str) -> bool:
    """Whether a folder's label files, of those looked at, hold a line of YOLO's."""
    labels = labels_folder(folder)
    if not (root / labels).is_dir():
        return False
    names = [name for name in list_entries(root, labels).files if name.endswith(".txt") and name not in _NAMES]
    return any(_is_label_file(root / labels / name) for name in names[:_LOOKED_AT])


def _is_label_file(path: Path) -> bool:
    """Whether a text begins as a label file does; a licence or a list of pictures does not."""
    with path.open(errors="replace") as file:
        words = file.readline(1 << 12).split()
    return len(words) >= 5 and words[0].replace(".", "").isdigit() and four_numbers(words[1:5]) is not None


def read_yolo(layout: Layout) -> Sheet:
    """Return the sheet of a layout. Raises `DataError` for class names that cannot be used."""
    root = layout.root
    sheet = Sheet(root.resolve().name or str(root), "yolo", root, way="cxcywh", relative=True)
    names = {number: class_name(name) for number, name in layout.names.items()}
    _check_names(names, layout.named_in)
    without: list[str] = []
    seen: set[str] = set()
    numbers: set[int] = set()
    for folder, split in layout.folders:
        for path in _pictures(sheet, folder):
            label = _label_file(root, path)
            seen.add(label)
            try:
                text = (root / label).read_text(encoding="utf-8-sig", errors="replace")
            except FileNotFoundError:
                text = ""
                without.append(path)
            except OSError as error:
                where = None if split is None else SPLITS[split]
                reason = f"its {label} cannot be read: {os_problem(label, error).reason}"
                sheet.problems.append(Problem(path, "malformed", reason, where))
                continue
            numbers |= _read_lines(sheet, sheet.picture(path, split), label, text, names)
    sheet.classes = _classes(sheet, names, numbers)
    if without and sheet.boxes:
        sheet.notes.append(
            f"{len(without):,} pictures have no .txt and count as pictures without objects (first: {without[0]})"
        )
    _tell_orphans(sheet, layout, seen)
    return sheet


def _check_names(names: dict[int, str], where: str) -> None:
    for name, count in Counter(names.values()).items():
        if not name:
            raise DataError(f"{where!r} has a class without a name; write one name for each number")
        if count > 1:
            numbers = " and ".join(str(number) for number, other in names.items() if other == name)
            raise DataError(f"{where!r} names the class {name!r} twice (numbers {numbers}); give each its own name")


def _classes(sheet: Sheet, names: dict[int, str], numbers: set[int]) -> tuple[str, ...]:
    if names:
        return tuple(names[number] for number in sorted(names))
    if numbers:
        sheet.notes.append("neither data.yaml nor classes.txt names the classes; they are called by their numbers")
    return tuple(str(number) for number in sorted(numbers))


def _pictures(sheet: Sheet, folder: str) -> list[str]:
    """Return the pictures in and below a folder, or those that a .txt lists, relative to the root."""
    root = sheet.root
    if (root / folder).is_file():
        base = folder.rpartition("/")[0]
        lines = (root / folder).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        found = [line.strip().replace("\\", "/").removeprefix("./") for line in lines if line.strip()]
        return [f"{base}/{name}" if base and not (root / name).exists() else name for name in found]
    if folder in ("", "."):
        return [name for name in list_entries(root, "").files if looks_like_picture(name)]
    return [path for path in walk(root, folder, sheet.problems) if looks_like_picture(path)]


def _label_file(root: Path, picture: str) -> str:
    """Return the label file of a picture; it may be missing. The parallel folder leads, then the picture's own."""
    folder, _, name = picture.rpartition("/")
    stem = name.rpartition(".")[0]
    parallel = f"{labels_folder(folder)}/{stem}.txt" if folder else f"{stem}.txt"
    beside = f"{folder}/{stem}.txt" if folder else f"{stem}.txt"
    return beside if parallel != beside and not (root / parallel).exists() and (root / beside).exists() else parallel


def _read_lines(sheet: Sheet, item: int, label: str, text: str, names: dict[int, str]) -> set[int]:
    """Append the boxes of one label file; return the class numbers in it."""
    numbers = set()
    for row, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        four = four_numbers(words[1:]) or _around_polygon(words[1:])
        number = _whole(words[0])
        if four is None or number is None:
            shown = printable(line[:60])
            expected = "expected a class number and centre x, centre y, width, height"
            sheet.doubt(item, "bad_box", f"{label}, line {row} is left out: {shown!r}; {expected}")
            continue
        numbers.add(number)
        name = str(number) if not names else names.get(number, f"number {number}")
        sheet.box(item, name, four)
    return numbers


def _whole(word: str) -> int | None:
    try:
        value = float(word)
        return int(value) if value == int(value) and value >= 0 else None
    except (ValueError, OverflowError):
        return None


def _around_polygon(words: list[str]) -> tuple[float, float, float, float] | None:
    """Return centre and size of the box around a polygon x1 y1 x2 y2 ..., as YOLO writes segments; else None."""
    if len(words) < 6 or len(words) % 2:
        return None
    pairs = [four_numbers([*words[start : start + 2], 0, 0]) for start in range(0, len(words), 2)]
    points = [pair[:2] for pair in pairs if pair is not None]
    if len(points) < len(pairs):
        return None
    across, down = zip(*points, strict=True)
    width, height = max(across) - min(across), max(down) - min(down)
    return min(across) + width / 2, min(down) + height / 2, width, height


def _tell_orphans(sheet: Sheet, layout: Layout, seen: set[str]) -> None:
    """Tell of label files whose picture is not there."""
    for folder, split in layout.folders:
        labels = labels_folder(folder)
        if not (layout.root / labels).is_dir() or (layout.root / folder).is_file():
            continue
        ignored: list[Problem] = []  # hidden files and loops among labels are nobody's problem
        inside = walk(layout.root, labels, ignored) if labels not in ("", ".") else list_entries(layout.root, "").files
        for path in inside:
            name = path.rpartition("/")[2]
            if name.endswith(".txt") and path not in seen and _is_label_file(layout.root / path):
                where = None if split is None else SPLITS[split]
                sheet.problems.append(Problem(path, "missing", "its labels are here, its picture is not", where))
