"""A stream of what was found, written as it comes: JSON lines, CSV, COCO, Pascal VOC, YOLO, or pictures with boxes.

One picture is in memory at a time. A single file (json, csv, coco) appears when it is whole; of a folder (voc, yolo,
pictures) each file does. A picture that could not be read is never left out in silence: JSON lines and CSV have its
error in place, COCO lists it under "errors", and a folder gets an `errors.csv`.
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any, Protocol, TextIO

from glassnet.data.problems import printable
from glassnet.detection import one_picture
from glassnet.detection.detections import Detections
from glassnet.detection.drawing import draw
from glassnet.errors import InputError, PictureError, UnknownName
from glassnet.files import atomic_path, new_folder, storage_errors, write_text

LINES = ("json", "csv")
FOLDERS = ("voc", "yolo", "pictures")
FORMATS = ("json", "csv", "coco", "voc", "yolo", "pictures")
COLUMNS = ("path", "label", "score", "left", "top", "right", "bottom", "error")
KEPT_ENDINGS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
"""What drawn pictures are written as, by the ending of the original; any other becomes a PNG."""
MOST_IN_MEMORY = 1 << 20  # bytes of COCO's list of pictures, before it moves to a temporary file


@dataclass(kw_only=True)
class Written:
    """What was written: pictures, boxes on them, pictures that failed, and files that got another name.

    renamed: another picture had that name already, so "-2" was put behind it.
    """

    pictures: int = 0
    boxes: int = 0
    failed: int = 0
    renamed: int = 0


class Writer(Protocol):
    """Takes one picture's detections after the other."""

    def add(self, found: Detections) -> None:
        """Write what was found in one picture, or its error."""


def write(
    stream: Iterable[Detections], output: Path | TextIO, format: str, *, root: Path | None = None
) -> Written:  # fmt: skip
    """Write all of `stream` to `output` as `format`; return what was written.

    Args:
        output: a file for json, csv and coco; a folder that is new or empty for voc, yolo and pictures. json and csv
            also go to an open text stream.
        format: "json" (an object {path, boxes: [{label, score, xyxy}], error} a line), "csv" (a line a box, and one
            without a box for a picture where nothing was found), "coco" (one JSON file whose annotations have scores),
            "voc" (an XML a picture), "yolo" (a txt a picture, and classes.txt), "pictures" (with the boxes drawn).
        root: the folder that the pictures lie in: its sub-folders come again in the output, and COCO's file names begin
            below it. Without it, and for a picture elsewhere, files are called by the picture's own name.

    Raises `UnknownName` for another format, `InputError` for an output that does not suit it, `StorageError` where it
    cannot be written. What was written of a folder until then stays.
    """
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS, hint=f"there are: {', '.join(FORMATS)}")
    counts = Written()
    with ExitStack() as stack:
        writer = stack.enter_context(_open(format, output, root, counts))
        for found in stream:
            counts.pictures += 1
            counts.boxes += len(found)
            counts.failed += found.error is not None
            writer.add(found)
    return counts


@contextmanager
def _open(format: str, output: Path | TextIO, root: Path | None, counts: Written) -> Iterator[Writer]:
    names = _Names(root)
    if format in FOLDERS:
        with _folder(format, _as_path(output, format), names, counts) as folder:
            yield folder
    elif format in LINES and not isinstance(output, str | os.PathLike):
        yield _line_writer(format, output)
    else:
        path = _as_path(output, format)
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(path))
            file = stack.enter_context(temporary.open("w", encoding="utf-8", newline=""))
            stack.enter_context(storage_errors(path, temporary))
            writer = stack.enter_context(_coco(file, names)) if format == "coco" else _line_writer(format, file)
            yield writer
            if isinstance(writer, _Coco):
                writer.finish()
            file.flush()  # a full disk is said here, not when the file is closed


def _as_path(output: Any, format: str) -> Path:
    if not isinstance(output, str | os.PathLike):
        raise InputError(f"{format} needs a {'folder' if format in FOLDERS else 'file'} to write to; name one")
    return Path(output)


def _line_writer(format: str, file: TextIO) -> Writer:
    return _JsonLines(file) if format == "json" else _Csv(file)


class _JsonLines:
    def __init__(self, file: TextIO) -> None:
        self.file = file

    def add(self, found: Detections) -> None:
        self.file.write(json.dumps(found.to_dict()) + "\n")  # a name that is not UTF-8 is written with escapes


class _Csv:
    def __init__(self, file: TextIO) -> None:
        self.rows = csv.writer(file, lineterminator="\n")
        self.rows.writerow(COLUMNS)

    def add(self, found: Detections) -> None:
        path = printable(found.path or "")
        if found.error is not None or not len(found):
            self.rows.writerow([path, *[""] * 6, printable(found.error or "")])
        for box in found.to_dict()["boxes"]:
            self.rows.writerow([path, printable(box["label"]), f"{box['score']:.5f}", *map(_two, box["xyxy"]), ""])


class _Coco:
    """Annotations go straight into the file; pictures wait in a temporary one, because JSON has one list at a time."""

    def __init__(self, file: TextIO, names: _Names) -> None:
        self.file, self.names = file, names
        self.pictures, self.boxes = 0, 0
        self.classes: tuple[str, ...] = ()
        self.images = _List()
        self.errors = _List()
        file.write('{"annotations": [')

    def add(self, found: Detections) -> None:
        self.classes = found.classes
        name = self._name(found)
        if found.error is not None:
            self.errors.append({"file_name": name, "error": found.error})
            return
        self.pictures += 1
        self.images.append(one_picture.coco_image(found, self.pictures, name))
        for annotation in one_picture.coco_annotations(found, self.pictures, self.boxes + 1):
            self.file.write((",\n" if self.boxes else "\n") + json.dumps(annotation))
            self.boxes += 1

    def _name(self, found: Detections) -> str:
        if self.names.root is None and found.path is not None:
            return found.path  # two pictures of one name in different folders stay two
        return self.names.of(found.path, self.pictures + len(self.errors) + 1).as_posix()

    def finish(self) -> None:
        self.file.write('\n], "images": [')
        self.images.move_to(self.file)
        self.file.write(f'\n], "categories": {json.dumps(one_picture.coco_categories(self.classes))}')
        if len(self.errors):
            self.file.write(', "errors": [')
            self.errors.move_to(self.file)
            self.file.write("\n]")
        self.file.write("}\n")


@contextmanager
def _coco(file: TextIO, names: _Names) -> Iterator[_Coco]:
    writer = _Coco(file, names)
    try:
        yield writer
    finally:
        writer.images.waiting.close()
        writer.errors.waiting.close()


class _List:
    """A JSON list that waits to be written, in memory while it is small."""

    def __init__(self) -> None:
        self.count = 0
        self.waiting: IO[str] = tempfile.SpooledTemporaryFile(MOST_IN_MEMORY, "w+", encoding="utf-8")  # noqa: SIM115

    def __len__(self) -> int:
        return self.count

    def append(self, item: dict[str, Any]) -> None:
        self.waiting.write((",\n" if self.count else "\n") + json.dumps(item))
        self.count += 1

    def move_to(self, file: TextIO) -> None:
        self.waiting.seek(0)
        while part := self.waiting.read(1 << 13):
            file.write(part)


@contextmanager
def _folder(format: str, output: Path, names: _Names, counts: Written) -> Iterator[_Folder]:
    if output.exists() and not output.is_dir():
        raise InputError(f"{str(output)!r} is a file, and {format} fills a folder; name a new or an empty one")
    new_folder(output)
    with storage_errors(output):
        if any(not name.startswith(".") for name in os.listdir(output)):  # noqa: PTH208 - names are enough
            raise InputError(
                f"the folder {str(output)!r} is not empty; name a new or an empty one, so that nothing in it is lost"
            )
    folder = _Folder(output, names, {"voc": _voc, "yolo": _yolo, "pictures": _drawn}[format], counts)
    yield folder
    folder.finish(format)


class _Folder:
    """A file for each picture, below the output as the picture lies below the root."""

    def __init__(self, output: Path, names: _Names, one: _One, counts: Written) -> None:
        self.output, self.names, self.one, self.counts = output, names, one, counts
        self.classes: tuple[str, ...] = ()
        self.number = 0

    def add(self, found: Detections) -> None:
        self.number += 1
        self.classes = found.classes
        name = self.names.of(found.path, self.number)
        error = found.error
        if error is None:
            try:
                self.one(found, name, self._free)
            except PictureError as reason:  # it could be read a moment ago
                error = str(reason)
                self.counts.failed += 1
        if error is not None:
            self._note(found.path or str(name), error)

    def finish(self, format: str) -> None:
        if format == "yolo":
            write_text(self.output / "classes.txt", "".join(f"{printable(name)}\n" for name in self.classes))

    def _free(self, name: PurePath) -> Path:
        """Return where to write a file called `name`: with "-2" and so on behind it where another picture has it."""
        path = self.output / name
        if path.parent != self.output:
            new_folder(path.parent)
        number = 1
        while os.path.lexists(path):
            number += 1
            path = self.output / name.with_name(f"{name.stem}-{number}{name.suffix}")
        self.counts.renamed += number > 1
        return path

    def _note(self, path: str, error: str) -> None:
        file = self.output / "errors.csv"
        new = not file.exists()
        with storage_errors(file), file.open("a", encoding="utf-8", newline="") as stream:
            rows = csv.writer(stream, lineterminator="\n")
            rows.writerows([("path", "error")] if new else [])
            rows.writerow((printable(path), printable(error)))


_One = Callable[[Detections, PurePath, Callable[[PurePath], Path]], None]
"""Writes one picture's file: what was found, the picture's name below the root, and what gives a free path for one."""


def _voc(found: Detections, name: PurePath, free: Callable[[PurePath], Path]) -> None:
    write_text(free(name.with_suffix(".xml")), one_picture.voc_xml(found, name.as_posix()))


def _yolo(found: Detections, name: PurePath, free: Callable[[PurePath], Path]) -> None:
    write_text(free(name.with_suffix(".txt")), one_picture.yolo_txt(found))


def _drawn(found: Detections, name: PurePath, free: Callable[[PurePath], Path]) -> None:
    if found.path is None:
        raise InputError("a picture came as pixels, without a path to draw it from; use detection.drawing.draw on it")
    drawn = draw(found.path, found)
    kind = KEPT_ENDINGS.get(name.suffix.lower(), "PNG")
    target = free(name if name.suffix.lower() in KEPT_ENDINGS else name.with_suffix(".png"))
    with atomic_path(target) as temporary, storage_errors(target, temporary):
        drawn.save(temporary, kind, **({} if kind == "PNG" else {"quality": 92}))


class _Names:
    """What pictures are called in the output."""

    def __init__(self, root: Path | None) -> None:
        self.root = None if root is None else os.path.abspath(root)  # noqa: PTH100 - links stay as they are

    def of(self, path: str | None, number: int) -> PurePath:
        """Return a picture's path below the root; its own name where it lies elsewhere, a number where it has none."""
        if path is None:
            return PurePath(f"picture-{number:06d}.png")
        whole = PurePath(os.path.abspath(path))  # noqa: PTH100
        if self.root is not None and whole.is_relative_to(self.root):
            below = whole.relative_to(self.root)
            if below.name:
                return below
        return PurePath(whole.name)


def _two(side: float) -> str:
    return f"{side:.2f}"
