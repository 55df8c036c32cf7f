"""Writing: an index of annotated pictures as a folder of another format, whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from glassnet.data.annotations.objects import BoxIndex
from glassnet.data.annotations.recognise import check_format
from glassnet.data.annotations.texts import (
    SPLIT_WORDS,
    Written,
    coco_text,
    csv_text,
    voc_text,
    yaml_text,
    yolo_text,
)
from glassnet.errors import DataError, InputError
from glassnet.files import new_folder, storage_errors

_ILLEGAL = frozenset('\\/:*?"<>|')  # in a file's name on some system


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What was written where; notes: what the format could not hold, in sentences."""

    output: Path
    format: str
    pictures: int
    boxes: int
    notes: list[str] = field(default_factory=list)


def write_annotations(index: BoxIndex, output: str | Path, format: str, *, copy_pictures: bool = True) -> Conversion:
    """Write an index as "voc", "coco", "yolo" or "csv" into the folder `output`, with its pictures and splits.

    output: missing or an empty folder; nothing is ever overwritten, and on a failure nothing is left. copy_pictures:
    copy them, else make symbolic links to them. Pictures keep their names unless two have the same.

    Raises `UnknownName` for another format, `InputError` for an output that is not empty, `DataError` for a picture
    that cannot be copied, and `StorageError`.
    """
    check_format(format)
    if index.paths is None:
        raise InputError(f"{index.name!r} has pictures in memory, expected files: only those can be copied or linked")
    target = Path(output).expanduser()
    names = plain_names(index.paths)
    pictures = [
        Written(name, (int(height), int(width)), split, objects)
        for name, (height, width), split, objects in zip(
            names, index.sizes.tolist(), index.splits.tolist(), index.objects, strict=True
        )
    ]
    with _whole_folder(target) as folder:
        _WRITERS[format](folder, pictures, index)
        for item, picture in enumerate(pictures):
            _bring(Path(str(index.source(item))).resolve(), folder / _place(format, picture), copy_pictures)
    boxes = sum(len(each.objects) for each in pictures)
    crowds = sum(int(each.objects.crowd.sum()) for each in pictures)
    return Conversion(
        output=target,
        format=format,
        pictures=len(pictures),
        boxes=boxes - crowds if format == "yolo" else boxes,
        notes=_losses(format, crowds, sum(int(each.objects.difficult.sum()) for each in pictures)),
    )


def _losses(format_name: str, crowds: int, difficult: int) -> list[str]:
    """Return what a format cannot say of boxes that are marked."""
    notes = []
    if format_name == "yolo" and crowds:
        notes.append(f"{crowds:,} crowd boxes are left out: YOLO has no mark for them")
    if format_name == "yolo" and difficult:
        notes.append(f"{difficult:,} difficult boxes are written as ordinary ones: YOLO has no mark for them")
    if format_name == "voc" and crowds:
        notes.append(f"{crowds:,} crowd boxes are marked difficult: Pascal VOC has no mark for crowds")
    if format_name == "coco" and difficult:
        notes.append(f'{difficult:,} difficult boxes have the key "difficult", which COCO\'s own judges do not know')
    return notes


def plain_names(paths: Sequence[str]) -> list[str]:
    """Return a file name for each path that every system takes, apart from all others even without its suffix.

    >>> plain_names(["a/1.jpg", "b/1.jpg", "c/2.png"])
    ['a_1.jpg', 'b_1.jpg', '2.png']
    """
    stems = [_stem(path.rpartition("/")[2]).casefold() for path in paths]
    shared = {stem for stem, count in Counter(stems).items() if count > 1}
    taken: set[str] = set()
    names = []
    for path, stem in zip(paths, stems, strict=True):
        name = _legal("_".join(part for part in path.split("/") if part not in ("", ".", "..")))
        name = name if stem in shared else _legal(path.rpartition("/")[2])
        start, suffix, count = _stem(name), name[len(_stem(name)) :], 2
        while _stem(name).casefold() in taken:
            name, count = f"{start}_{count}{suffix}", count + 1
        taken.add(_stem(name).casefold())
        names.append(name)
    return names


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _legal(name: str) -> str:
    legal = "".join("_" if letter in _ILLEGAL or not letter.isprintable() else letter for letter in name).strip()
    return f"_{legal}" if legal.startswith((".", "-")) or not legal else legal


@contextmanager
def _whole_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder beside `target` that becomes it at the end, and is removed on a failure."""
    with storage_errors(target):
        if target.is_dir() and any(target.iterdir()):
            raise InputError(f"the folder {str(target)!r} is not empty; choose one that is new or empty")
        if target.exists() and not target.is_dir():
            raise InputError(f"{str(target)!r} is a file; choose a folder that is new or empty")
    parent = new_folder(target.absolute().parent)
    temporary = parent / f".{target.absolute().name[:40]}-{secrets.token_hex(6)}.partial"
    try:
        with storage_errors(target, temporary, parent):
            temporary.mkdir()
            yield temporary
            if target.is_dir():
                target.rmdir()  # empty, as it was; Windows cannot rename onto it
            temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # not there after a success


def _place(format_name: str, picture: Written) -> str:
    """Return where a picture lies in the output."""
    if format_name == "voc":
        return f"JPEGImages/{picture.name}"
    return f"images/{picture.name}" if format_name == "csv" else f"images/{SPLIT_WORDS[picture.split]}/{picture.name}"


def _bring(source: Path, target: Path, copy: bool) -> None:
    """Copy a picture, or link to it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        target.symlink_to(source)
        return
    try:
        with source.open("rb") as file:
            data = file.read()
    except OSError as error:
        raise DataError(f"the picture {str(source)!r} cannot be copied: {error.strerror or error}") from error
    target.write_bytes(data)


def _save(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))


def _present(pictures: Sequence[Written]) -> list[int]:
    return sorted({picture.split for picture in pictures})


def _write_voc(folder: Path, pictures: Sequence[Written], index: BoxIndex) -> None:
    for picture in pictures:
        _save(folder, f"Annotations/{picture.stem}.xml", voc_text(picture, "JPEGImages", index.classes))
    for split in _present(pictures):
        stems = "".join(f"{picture.stem}\n" for picture in pictures if picture.split == split)
        _save(folder, f"ImageSets/Main/{SPLIT_WORDS[split]}.txt", stems)


def _write_coco(folder: Path, pictures: Sequence[Written], index: BoxIndex) -> None:
    for split in _present(pictures):
        ours = [picture for picture in pictures if picture.split == split]
        text = coco_text(ours, index.classes, f"{index.name}, {SPLIT_WORDS[split]}, converted by glassnet")
        _save(folder, f"annotations/instances_{SPLIT_WORDS[split]}.json", text)


def _write_yolo(folder: Path, pictures: Sequence[Written], index: BoxIndex) -> None:
    for picture in pictures:
        _save(folder, f"labels/{SPLIT_WORDS[picture.split]}/{picture.stem}.txt", yolo_text(picture))
    _save(folder, "data.yaml", yaml_text(index.classes, _present(pictures)))


def _write_csv(folder: Path, pictures: Sequence[Written], index: BoxIndex) -> None:
    _save(folder, "annotations.csv", csv_text(pictures, index.classes, "images"))


_WRITERS = {"voc": _write_voc, "coco": _write_coco, "yolo": _write_yolo, "csv": _write_csv}
