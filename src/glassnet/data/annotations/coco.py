"""COCO: one JSON file for all pictures of a split, with lists of images, annotations and categories.

Lin et al. 2014, arXiv:1405.0312, and the "Data format" page of cocodataset.org: bbox is left, top, width, height in
pixels from 0, edges and not centres; iscrowd marks a box around many; category ids are any whole numbers.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glassnet.data.annotations.locate import Locator, split_word, tell_unlisted
from glassnet.data.annotations.sheet import Sheet, four_numbers
from glassnet.data.folders import list_entries, split_folders
from glassnet.data.listing import class_name
from glassnet.data.problems import Problem
from glassnet.data.splits import SPLITS
from glassnet.errors import DataError

_HEAD = 1 << 16  # bytes that tell a COCO file from other JSON
_WORDS = (b'"images"', b'"annotations"', b'"categories"', b'"file_name"', b'"bbox"', b'"category_id"')
_OTHERS = ("captions_", "person_keypoints_", "image_info_", "stuff_", "panoptic_")  # of COCO's own, without boxes
_LISTS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class CocoFile:
    """A JSON file, relative to the root, and the split that its name or its folder's speaks of."""

    path: str
    split: int | None


def find_coco(data: Path) -> tuple[Path, list[CocoFile]]:
    """Return the root and the COCO files of `data`, a folder or one such file; no files where there are none.

    Where names tell splits, a file beside them that tells none (all.json) is left alone: it would repeat them.
    Raises `OSError`.
    """
    if data.is_file():
        root = data.parent.parent if data.parent.name.lower() == "annotations" else data.parent
        return root, [CocoFile(data.relative_to(root).as_posix(), None)] if data.suffix.lower() == ".json" else []
    top = list_entries(data, "")
    files = _json_files(data, "", None)
    for folder in top.folders:
        if folder.lower() == "annotations":
            files += _json_files(data, folder, None)
    for folder, split in split_folders(top.folders).items():
        files += _json_files(data, folder, split)
    if any(file.path.rpartition("/")[2].startswith("instances_") for file in files):
        files = [file for file in files if file.path.rpartition("/")[2].startswith("instances_")]
    told = [file for file in files if file.split is not None]
    return data, told or files


def _json_files(root: Path, folder: str, split: int | None) -> list[CocoFile]:
    found = []
    for name in list_entries(root, folder).files:
        if not name.lower().endswith(".json") or name.startswith(_OTHERS):
            continue
        path = f"{folder}/{name}" if folder else name
        with (root / path).open("rb") as file:
            head = file.read(_HEAD)
        if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and sum(word in head for word in _WORDS) > 1:
            found.append(CocoFile(path, split_word(name) if split is None else split))
    return found


def read_coco(root: Path, files: list[CocoFile]) -> Sheet:
    """Return the sheet of COCO `files`. Raises `DataError` for a file that as a whole cannot be used."""
    sheet = Sheet(root.resolve().name or str(root), "coco", root, classes=(), way="xywh")
    if len(files) == 1 and files[0].split is not None:
        files = [CocoFile(files[0].path, None)]  # one file is all there is, whatever it is called
    for file in files:
        content = _load(root, file.path)
        names = _categories(content["categories"], file.path)
        sheet.classes = tuple(dict.fromkeys([*(sheet.classes or ()), *names.values()]))
        numbers = _images(sheet, content["images"], file)
        _annotations(sheet, content["annotations"], file.path, numbers, names)
    tell_unlisted(sheet, "no entry of images names it; a picture without objects needs one, without annotations")
    return sheet


def _load(root: Path, path: str) -> dict[str, list[Any]]:
    try:
        content = json.loads((root / path).read_bytes())
    except ValueError as error:  # also bytes that are not UTF-8
        raise DataError(f"{path!r} is no readable JSON: {error}; was it cut off while it was copied?") from error
    except RecursionError as error:
        raise DataError(f"{path!r} is no COCO file: its JSON is nested without end") from error
    if not isinstance(content, dict):
        raise DataError(f"{path!r} holds a JSON {type(content).__name__}, expected COCO's object of lists")
    for name in _LISTS:
        if not isinstance(content.get(name), list):
            what = "no list" if name not in content else f"a {type(content[name]).__name__} as"
            raise DataError(f"{path!r} has {what} {name!r}, expected COCO's lists {', '.join(_LISTS)}")
    return content


def _categories(entries: list[Any], path: str) -> dict[Any, str]:
    """Return {id: class name}, ids ascending."""
    names: dict[Any, str] = {}
    for entry in entries:
        if (
            not isinstance(entry, dict)
            or not isinstance(entry.get("id"), int)
            or not str(entry.get("name", "")).strip()
        ):
            raise DataError(f"{path!r} has the category {_short(entry)}, expected an id (a whole number) and a name")
        if entry["id"] in names:
            raise DataError(f"{path!r} gives the category id {entry['id']} twice; give each category its own")
        names[entry["id"]] = class_name(str(entry["name"]))
    for name, count in Counter(names.values()).items():
        if count > 1:
            ids = " and ".join(str(number) for number, other in sorted(names.items()) if other == name)
            raise DataError(
                f"{path!r} names the class {name!r} {'twice' if count == 2 else f'{count} times'} (category ids {ids});"
                " give each its own name, or the boxes of both one id"
            )
    return dict(sorted(names.items()))


def _images(sheet: Sheet, entries: list[Any], file: CocoFile) -> dict[Any, int]:
    """Append the pictures; return {image id: number of the picture}."""
    folder, _, name = file.path.rpartition("/")
    stem = name.rpartition(".")[0].removeprefix("instances_")
    locator = Locator(sheet.root, folder, (stem, *_folders_of_split(sheet.root, file.split)))
    numbers: dict[Any, int] = {}
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), int | str) or not _file_name(entry):
            reason = f"image {position + 1} of the list is {_short(entry)}; expected an id and a file_name"
            sheet.problems.append(Problem(file.path, "malformed", reason, _split_name(file)))
            continue
        if entry["id"] in numbers:
            raise DataError(f"{file.path!r} gives the image id {entry['id']!r} twice; give each image its own")
        numbers[entry["id"]] = sheet.picture(locator.find(_file_name(entry)), file.split, _claimed_size(entry))
    return numbers


def _folders_of_split(root: Path, split: int | None) -> list[str]:
    if split is None:
        return []
    return [name for name in list_entries(root, "").folders if split_word(name) == split]


def _file_name(entry: dict[str, Any]) -> str:
    name = entry.get("file_name")
    return name if isinstance(name, str) else ""


def _claimed_size(entry: dict[str, Any]) -> tuple[int, int] | None:
    height, width = entry.get("height"), entry.get("width")
    if height is None and width is None:
        return None
    return (height, width) if isinstance(height, int) and isinstance(width, int) else (0, 0)


def _annotations(sheet: Sheet, entries: list[Any], path: str, numbers: dict[Any, int], names: dict[Any, str]) -> None:
    """Append the boxes."""
    lost: Counter[str] = Counter()
    for entry in entries:
        image = entry.get("image_id") if isinstance(entry, dict) else None
        item = numbers.get(image) if isinstance(image, int | str) else None
        if item is None:
            lost[_short(image) if isinstance(entry, dict) else _short(entry)] += 1
            continue
        bbox, category = entry.get("bbox"), entry.get("category_id")
        four = four_numbers(bbox) if isinstance(bbox, list) else None
        name = names.get(category) if isinstance(category, int) else None
        if four is None:
            reason = f"annotation {_short(entry.get('id'))} is left out: its bbox is {_short(bbox)}, expected 4 numbers"
            sheet.doubt(item, "bad_box", reason)
            continue
        crowd, difficult = bool(entry.get("iscrowd")), bool(entry.get("difficult"))
        sheet.box(item, name or f"category id {_short(category)}", four, difficult=difficult, crowd=crowd)
    for image, count in lost.items():
        reason = f"{count} annotations are of the image {image}, which the file does not list; they are left out"
        sheet.problems.append(Problem(path, "bad_box", reason))


def _split_name(file: CocoFile) -> str | None:
    return None if file.split is None else SPLITS[file.split]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
