"""CSV: a row for each box, in the columns path, label, xmin, ymin, xmax, ymax and, if wanted, split and others.

No standard says so, hence the spellings of many tools are known. Boxes may be corners, corner and size, or centre and
size, by the names of the columns; shares of the picture where no number is above 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glassnet.data.annotations.locate import Locator, split_word, tell_unlisted
from glassnet.data.annotations.sheet import Sheet, four_numbers
from glassnet.data.folders import list_entries, split_folders
from glassnet.data.problems import Problem
from glassnet.data.tables import named_splits, read_csv
from glassnet.errors import DataError, UnknownName

_PATH = ("path", "filename", "file", "filepath", "image", "imagepath", "imagename", "imagefile", "imagefilename",
         "imageid", "img", "imgpath", "imgname", "picture", "photo")  # fmt: skip
_LABEL = ("label", "class", "classname", "category", "labelname", "categoryname", "objectclass", "name")
_SPLIT = ("split", "set", "subset")
_CORNERS = (
    ("xmin", "x1", "left", "bboxxmin", "minx", "bboxx1", "bboxleft"),
    ("ymin", "y1", "top", "bboxymin", "miny", "bboxy1", "bboxtop"),
    ("xmax", "x2", "right", "bboxxmax", "maxx", "bboxx2", "bboxright"),
    ("ymax", "y2", "bottom", "bboxymax", "maxy", "bboxy2", "bboxbottom"),
)
_SIZE = (("w", "width", "bboxw", "bboxwidth", "boxwidth"), ("h", "height", "bboxh", "bboxheight", "boxheight"))
_CORNER = (("x", "bboxx", *_CORNERS[0]), ("y", "bboxy", *_CORNERS[1]))
_CENTRE = (("cx", "xcenter", "xcentre", "centerx", "centrex"), ("cy", "ycenter", "ycentre", "centery", "centrey"))
_WAYS = {"xyxy": _CORNERS, "cxcywh": (*_CENTRE, *_SIZE), "xywh": (*_CORNER, *_SIZE)}
_PICTURE_SIZE = (("imageheight", "imgheight", "imgh", "imageh"), ("imagewidth", "imgwidth", "imgw", "imagew"))
_MARKS = {"difficult": ("difficult", "isdifficult"), "crowd": ("crowd", "iscrowd", "isgroupof")}
_EMPTY = ("", "nan", "none", "null")  # how an empty cell looks, also after pandas
EXPECTED = "expected the columns path,label,xmin,ymin,xmax,ymax and optionally split"


@dataclass(frozen=True)
class Columns:
    """Which of a table's columns are what; way: how its boxes are given. Absent columns are ""."""

    path: str
    label: str
    four: tuple[str, str, str, str]
    way: str
    split: str
    size: tuple[str, str]
    difficult: str
    crowd: str


def find_columns(header: list[str]) -> Columns | None:
    """Return what the columns of a header mean; None where they are not those of a table of boxes.

    >>> find_columns("filename,width,height,class,xmin,ymin,xmax,ymax".split(",")).four
    ('xmin', 'ymin', 'xmax', 'ymax')
    """
    plain = {"".join(letter for letter in name.lower() if letter.isalnum()): name for name in reversed(header)}

    def first(names: tuple[str, ...]) -> str:
        return next((plain[name] for name in names if name in plain), "")

    ways = {way: [first(names) for names in wanted] for way, wanted in _WAYS.items()}
    way = next((way for way, four in ways.items() if all(four) and len(set(four)) == 4), "")
    path, label = first(_PATH), first(_LABEL)
    if not way or not path or not label:
        return None
    left, top, third, fourth = ways[way]
    sides = ["height", "width"] if way == "xyxy" else ["", ""]  # beside corners they are the picture's
    height, width = (first((*names, side)) for names, side in zip(_PICTURE_SIZE, sides, strict=True))
    return Columns(
        path=path,
        label=label,
        four=(left, top, third, fourth),
        way=way,
        split=first(_SPLIT),
        size=(height, width),
        difficult=first(_MARKS["difficult"]),
        crowd=first(_MARKS["crowd"]),
    )


def find_tables(data: Path) -> tuple[Path, list[tuple[str, int | None]]]:
    """Return the root and the tables of boxes of `data` (a folder or one table) with the splits their names tell.

    Of several, labels.csv or annotations.csv leads; else those whose names tell splits. Raises `OSError`.
    """
    if data.is_file():
        return data.parent, [(data.name, None)] if data.suffix.lower() == ".csv" and _has_boxes(data) else []
    top = list_entries(data, "")
    files = _tables(data, "", top.files, None)
    for name in ("labels.csv", "annotations.csv"):
        if (name, None) in files:
            return data, [(name, None)]
    for folder in top.folders:
        if folder.lower() in ("annotations", "data", "labels"):
            files += _tables(data, folder, list_entries(data, folder).files, None)
    for folder, split in split_folders(top.folders).items():
        files += _tables(data, folder, list_entries(data, folder).files, split)
    told = [file for file in files if file[1] is not None]
    return data, told or files[:1]


def _tables(root: Path, folder: str, names: list[str], split: int | None) -> list[tuple[str, int | None]]:
    paths = [(f"{folder}/{name}" if folder else name, name) for name in names if name.lower().endswith(".csv")]
    return [(path, split_word(name) if split is None else split) for path, name in paths if _has_boxes(root / path)]


def _has_boxes(path: Path) -> bool:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        header = file.readline(1 << 16)
    delimiter = max(",;\t", key=header.count)
    return find_columns([name.strip().strip("\"'") for name in header.split(delimiter)]) is not None


def read_tables(root: Path, files: list[tuple[str, int | None]], group_by: str | None) -> Sheet:
    """Return the sheet of tables of boxes. Raises `DataError` for a table that as a whole cannot be used."""
    sheet = Sheet(root.resolve().name or str(root), "csv", root)
    ways = set()
    for path, split in files:
        columns = read_csv(root / path)
        if (meaning := find_columns(list(columns))) is None:
            raise DataError(f"{path!r} has the columns {', '.join(columns) or 'none'}; {EXPECTED}")
        if group_by is not None and group_by not in columns:
            raise UnknownName("column", group_by, columns, hint=f"{path!r} has the columns {', '.join(columns)}")
        ways.add(meaning.way)
        _read_rows(sheet, path, columns, meaning, split if len(files) > 1 else None, group_by)
    if len(ways) > 1:
        raise DataError(f"{', '.join(path for path, _ in files)} give boxes in different columns; use one way in all")
    sheet.way = ways.pop()
    _note_way(sheet)
    tell_unlisted(sheet, "no row of the table names it; a picture without objects needs one, with nothing else in it")
    return sheet


def _read_rows(
    sheet: Sheet, path: str, columns: dict[str, list[str]], meaning: Columns, split: int | None, group_by: str | None
) -> None:
    """Append the pictures and boxes of one table."""
    folder = path.rpartition("/")[0]
    locator = Locator(sheet.root, folder, [folder] if folder else _split_folders(sheet.root, split))
    splits = named_splits(sheet.root / path, columns[meaning.split]) if meaning.split else None
    numbers: dict[tuple[str, int | None], int] = {}
    for row, name in enumerate(columns[meaning.path]):
        if not name.strip():
            where = f"{path}, row {row + 2}"
            sheet.problems.append(Problem(where, "no_label", "its path is empty; it is left out"))
            continue
        of_row = split if splits is None else int(splits[row])
        if (item := numbers.get((name, of_row))) is None:
            item = sheet.picture(locator.find(name), of_row, _claimed_size(columns, meaning, row))
            numbers[name, of_row] = item
            if group_by is not None:
                sheet.groups.append(columns[group_by][row] or f"(row {row + 2} alone)")
        _read_box(sheet, item, columns, meaning, row)


def _split_folders(root: Path, split: int | None) -> list[str]:
    names = split_folders(list_entries(root, "").folders)
    return [name for name, number in names.items() if split is None or number == split]


def _claimed_size(columns: dict[str, list[str]], meaning: Columns, row: int) -> tuple[int, int] | None:
    if not all(meaning.size):
        return None
    try:
        height, width = (int(float(columns[name][row])) for name in meaning.size)
    except (ValueError, OverflowError):
        return None
    return height, width


def _read_box(sheet: Sheet, item: int, columns: dict[str, list[str]], meaning: Columns, row: int) -> None:
    """Append the box of one row; a row with neither a label nor numbers only says that the picture is there."""
    texts = [columns[name][row].strip() for name in meaning.four]
    label = columns[meaning.label][row].strip()
    empty = [text.lower() in _EMPTY for text in texts]
    if all(empty) and label.lower() in (*_EMPTY, "background"):
        return
    if (four := four_numbers(texts)) is None:
        given = ", ".join(f"{name} {text!r}" for name, text in zip(meaning.four, texts, strict=True))
        sheet.doubt(item, "bad_box", f"the box of row {row + 2} ({label}) is left out: {given}; expected four numbers")
        return
    marks = {
        name: bool(column) and columns[column][row].strip().lower() in ("1", "1.0", "true", "yes")
        for name, column in (("difficult", meaning.difficult), ("crowd", meaning.crowd))
    }
    sheet.box(item, label, four, difficult=marks["difficult"], crowd=marks["crowd"])


def _note_way(sheet: Sheet) -> None:
    """Say how the boxes are understood where it is not the usual way."""
    numbers = np.array(sheet.boxes, np.float64).reshape(-1, 4)
    sheet.relative = bool(len(numbers)) and bool((numbers >= 0).all()) and bool((numbers <= 1).all())
    ways = {"xyxy": "corners", "xywh": "left, top, width and height", "cxcywh": "centre, width and height"}
    if sheet.relative:
        sheet.notes.append(f"boxes are {ways[sheet.way]} as shares of the picture: no number is above 1")
    elif sheet.way != "xyxy":
        sheet.notes.append(f"boxes are {ways[sheet.way]}, as the columns say")
