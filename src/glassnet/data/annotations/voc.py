"""Pascal VOC: an XML file for each picture, and lists of the pictures of each split in ImageSets/Main.

Everingham et al. 2010, "The Pascal Visual Object Classes challenge"; the development kit's documentation, section 4:
coordinates count pixels from 1 and the box includes both its corners, so the edges of xmin 1, xmax 640 are 0 and 640.
Tools that write a 0 count from 0 and write edges; one 0 tells it of the whole data set.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from glassnet.data.annotations.sheet import Sheet, four_numbers
from glassnet.data.annotations.xml import BadXml, read_xml
from glassnet.data.folders import list_entries, looks_like_picture, os_problem, split_folders
from glassnet.data.problems import Problem
from glassnet.data.splits import SPLITS, TEST, TRAIN, VALIDATION

ANNOTATIONS = ("annotations", "annotation", "xml", "xmls", "labels")
PICTURES = ("jpegimages", "images", "image", "img", "imgs", "pictures", "photos")
CORNERS = ("xmin", "ymin", "xmax", "ymax")
_FLAG = re.compile(r"\s+(-1|0|1)$")  # whether a class is there: the lists of single classes have it
_SETS = {"train.txt": TRAIN, "val.txt": VALIDATION, "test.txt": TEST}


@dataclass(frozen=True)
class Place:
    """A folder of XML files, one of pictures (both relative to the root, "" the root itself), and whose split it is."""

    annotations: str
    pictures: str
    split: int | None = None


def find_voc(root: Path) -> list[Place]:
    """Return where `root` keeps Pascal VOC annotations, [] where it has none. Raises `OSError`."""
    top = list_entries(root, "")
    places = _places(root, "", None)
    for name, split in split_folders(top.folders).items():
        places += _places(root, name, split)
    return places


def _places(root: Path, folder: str, split: int | None) -> list[Place]:
    entries = list_entries(root, folder)
    inside = f"{folder}/" if folder else ""
    by_name = {name.lower(): inside + name for name in entries.folders}
    pictures = next((by_name[name] for name in PICTURES if name in by_name), folder)
    candidates = [folder, *(by_name[name] for name in ANNOTATIONS if name in by_name)]
    return [Place(place, pictures, split) for place in candidates if _has_xml(root, place)]


def _has_xml(root: Path, folder: str) -> bool:
    return any(name.lower().endswith(".xml") for name in list_entries(root, folder).files)


def read_voc(root: Path, places: list[Place]) -> Sheet:
    """Return the sheet of the XML files in `places`. A file that cannot be used is a problem, never an error."""
    sheet = Sheet(root.resolve().name or str(root), "voc", root)
    stems = {_stem(name) for place in places for name in list_entries(root, place.annotations).files}
    listed = _read_sets(root, sheet, stems)
    for place in places:
        _read_place(sheet, place, listed)
    if listed:
        _tell_unlisted(sheet, listed)
    _decide_origin(sheet)
    return sheet


def files_of_voc(root: Path, places: list[Place]) -> tuple[list[str], list[str]]:
    """Return what a sheet is made from: the files that are read, and the names of pictures."""
    folders = dict.fromkeys(place.annotations for place in places)
    files = [f"{folder}/{name}" for folder in folders for name in list_entries(root, folder).files]
    sets = root / "ImageSets" / "Main"
    lists = [f"ImageSets/Main/{name}" for name in (*_SETS, "trainval.txt") if (sets / name).is_file()]
    pictures = dict.fromkeys(place.pictures for place in places)
    names = [f"{folder}/{name}" for folder in pictures for name in list_entries(root, folder).files]
    return [path.removeprefix("/") for path in files if path.lower().endswith(".xml")] + lists, names


def _read_sets(root: Path, sheet: Sheet, stems: set[str]) -> dict[str, int]:
    """Return {name without suffix: split} of ImageSets/Main, {} where there is none; stems: names that are there.

    A name in two lists stays in the more held-out one. trainval.txt only counts where train.txt and val.txt are not.
    """
    folder = root / "ImageSets" / "Main"
    files = {name: folder / name for name in (*_SETS, "trainval.txt") if (folder / name).is_file()}
    if "train.txt" in files or "val.txt" in files:
        files.pop("trainval.txt", None)
    listed: dict[str, int] = {}
    for name, file in files.items():
        split = _SETS.get(name, TRAIN)
        for line in file.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            listed_name = line.strip() if line.strip() in stems else _FLAG.sub("", line.strip())
            if not listed_name:
                continue
            stem = _stem(listed_name) if looks_like_picture(listed_name) else listed_name
            if listed.get(stem, split) != split:
                one, other = SPLITS[listed[stem]], SPLITS[split]  # files come in this order: train, val, test
                reason = f"ImageSets/Main lists it for {one} and for {other}; it is only used for {other}"
                sheet.problems.append(Problem(stem, "listed_twice", reason, other))
            listed[stem] = max(listed.get(stem, split), split)
    return listed


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _read_place(sheet: Sheet, place: Place, listed: dict[str, int]) -> None:
    """Read the XML files of one folder, and tell of pictures beside them that have none."""
    pictures = [name for name in list_entries(sheet.root, place.pictures).files if looks_like_picture(name)]
    by_stem: dict[str, str] = {}
    for name in pictures:
        by_stem.setdefault(_stem(name), name)
    known = set(pictures)
    inside = f"{place.pictures}/" if place.pictures else ""
    taken = set()
    for file in list_entries(sheet.root, place.annotations).files:
        stem = _stem(file)
        if not file.lower().endswith(".xml") or (listed and stem not in listed):
            continue
        split = listed[stem] if listed else place.split
        shown = f"{place.annotations}/{file}" if place.annotations else file
        try:
            annotation = read_xml(sheet.root / shown)
            if annotation.tag != "annotation":
                raise BadXml(f"its root is <{annotation.tag}>, expected Pascal VOC's <annotation>")
        except BadXml as error:
            taken.add(by_stem.get(stem, ""))
            sheet.problems.append(Problem(shown, "malformed", str(error), None if split is None else SPLITS[split]))
            continue
        except OSError as error:
            taken.add(by_stem.get(stem, ""))
            sheet.problems.append(os_problem(shown, error))
            continue
        picture = _picture_of(annotation, stem, by_stem, known)
        taken.add(picture)
        _read_annotation(sheet, inside + picture, annotation, split)
    _tell_unannotated(sheet, [name for name in pictures if name not in taken], inside, listed, place.split)


def _picture_of(annotation: Element, stem: str, by_stem: dict[str, str], known: set[str]) -> str:
    """Return the name of an annotation's picture: that of the XML's own name, as VOC numbers them, else the named one.

    Tools and people rename files and forget <filename>, so the XML's own name leads.
    """
    named = _text(annotation, "filename").replace("\\", "/").rpartition("/")[2]
    if stem in by_stem:
        return by_stem[stem]
    if named in known:
        return named
    return by_stem.get(named) or by_stem.get(_stem(named)) or named or f"{stem}.jpg"


def _text(element: Element, name: str) -> str:
    return (element.findtext(name) or "").strip()


def _read_annotation(sheet: Sheet, path: str, annotation: Element, split: int | None) -> None:
    item = sheet.picture(path, split, _claimed_size(annotation))
    for number, thing in enumerate(annotation.iterfind("object"), 1):
        name, bounds = _text(thing, "name"), thing.find("bndbox")
        texts = ["" if bounds is None else _text(bounds, corner) for corner in CORNERS]
        if (four := four_numbers(texts)) is None:
            given = ", ".join(f"{corner} {text!r}" for corner, text in zip(CORNERS, texts, strict=True))
            sheet.doubt(item, "bad_box", f"object {number} ({name}) is left out: {given}; expected four numbers")
            continue
        crowd = _mark(thing, "iscrowd")
        sheet.box(item, name, four, difficult=_mark(thing, "difficult") and not crowd, crowd=crowd)


def _mark(thing: Element, name: str) -> bool:
    return _text(thing, name).lower() in ("1", "true", "yes")


def _claimed_size(annotation: Element) -> tuple[int, int] | None:
    """Return the (height, width) in the XML; (0, 0) for what is no number, None where it has no size."""
    size = annotation.find("size")
    if size is None:
        return None
    try:
        return int(float(_text(size, "height"))), int(float(_text(size, "width")))
    except (ValueError, OverflowError):
        return 0, 0


def _tell_unannotated(sheet: Sheet, names: list[str], inside: str, listed: dict[str, int], split: int | None) -> None:
    for name in names:
        if listed and _stem(name) not in listed:
            continue  # VOC's own folders hold pictures of other challenges
        number = listed.get(_stem(name), split)
        reason = "it has no XML file; a picture without objects needs one without <object>"
        where = None if number is None else SPLITS[number]
        sheet.problems.append(Problem(inside + name, "no_annotation", reason, where))


def _tell_unlisted(sheet: Sheet, listed: dict[str, int]) -> None:
    """Tell of listed names of which neither an XML file nor a picture is there."""
    seen = {_stem(path.rpartition("/")[2]) for path in (*sheet.paths, *(problem.path for problem in sheet.problems))}
    for stem, split in listed.items():
        if stem not in seen:
            reason = "ImageSets/Main lists it, but neither an XML file nor a picture of this name is there"
            sheet.problems.append(Problem(stem, "missing", reason, SPLITS[split]))


def _decide_origin(sheet: Sheet) -> None:
    """Count from 1, as Pascal VOC does; one 0 tells that the tool counts from 0, and then the numbers are edges."""
    first = next((item for item, box in zip(sheet.items, sheet.boxes, strict=True) if 0 in box[:2]), None)
    sheet.counted_from = 1 if first is None else 0
    if first is not None:
        sheet.notes.append(
            f"coordinates count from 0, not from 1 as Pascal VOC's do ({sheet.paths[first]} has a 0): taken as edges"
        )
