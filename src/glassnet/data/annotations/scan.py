"""The scan of annotated pictures: a sheet's boxes and its pictures' headers become an index."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glassnet.data.annotations.evident import check_way
from glassnet.data.annotations.merging import merge_repeated
from glassnet.data.annotations.objects import BoxIndex, Objects
from glassnet.data.annotations.recognise import LAYOUTS, annotation_formats, check_format, read_sheet
from glassnet.data.annotations.sheet import Sheet
from glassnet.data.annotations.sound import Boxes, class_names, collect, make_sound
from glassnet.data.index import SMALL_CLASS, check_positive, judge_items, probe
from glassnet.data.listing import Listing
from glassnet.data.probe import Probes
from glassnet.data.problems import LEFT_OUT_BOXES, Problem
from glassnet.data.sources import existing
from glassnet.data.splits import SPLITS, TEST, TRAIN, check_fractions, complete_split
from glassnet.download import Progress
from glassnet.errors import DataError
from glassnet.preprocess import PIXEL_LIMIT

_SHOWN = 3  # problems named in a message


def scan_boxes(
    data: str | Path,
    *,
    split: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    group_by: str | None = None,
    strict: bool = False,
    workers: int | None = None,
    limit_pixels: int = PIXEL_LIMIT,
    progress: Progress | None = None,
    cache: bool = True,
    evaluate_only: bool = False,
    format: str | None = None,
) -> BoxIndex:
    """Find the annotated pictures of `data`, their boxes and what is wrong with either; no pixels are decoded.

    data: a folder or file in one of `FORMATS`; format: which, where it is not to be found out. The other arguments are
    those of `index.scan`; strict also refuses boxes that would be left out. group_by: a column of a CSV table.

    Raises `InputError` for a wrong argument, `DataError` where the data as a whole cannot be used.
    """
    fractions = check_fractions(split)
    check_positive(seed=seed + 1, workers=1 if workers is None else workers, limit_pixels=limit_pixels)
    sheet = merge_repeated(_read(data, format, group_by, cache))
    if evaluate_only:
        sheet = _to_judge(sheet)
    classes = class_names(sheet)
    boxes = collect(sheet, classes)
    listing = _listing(sheet, boxes, classes)
    probes, note = probe(listing, workers, limit_pixels, progress, cache)
    found = judge_items(listing, probes)
    usable = np.ones(len(listing), bool)
    usable[[item for item, problem in found.items() if problem.quarantined]] = False
    check_way(sheet, boxes, probes.sizes, usable)
    boxes = make_sound(sheet, boxes, probes.sizes, usable)
    index = _assemble(sheet, classes, boxes, probes, found, usable)
    index.notes += [note] if note else []
    _check_usable(index, sheet, strict=strict)
    return _split(index, sheet, fractions, seed, evaluate_only)


def _read(data: str | Path, format_name: str | None, group_by: str | None, cache: bool) -> Sheet:
    """Return the sheet of `data`, whose other formats, if it has any, are noted."""
    path = existing(data)
    if format_name is not None:
        check_format(format_name)
    known = annotation_formats(data)
    if format_name is None and not known:
        raise DataError(f"{str(path)!r} has no boxes in a format that is known; expected one of these: {LAYOUTS}")
    name = format_name or known[0]
    try:
        sheet = read_sheet(path, name, group_by, cache=cache)
    except OSError as error:
        raise DataError(f"cannot read {str(error.filename or path)!r}: {error.strerror or error}") from error
    if format_name is None and len(known) > 1:
        others = ", ".join(known[1:])
        sheet.notes.append(f"read as {name}; boxes as {others} are there too, and --format chooses them")
    return sheet


def _to_judge(sheet: Sheet) -> Sheet:
    """Return the pictures to evaluate on: the test set of a sheet that has one, else all."""
    splits = np.array([-1 if split is None else split for split in sheet.splits], np.int8)
    if not (splits == TEST).any() or (splits == TEST).all():
        return replace(sheet, splits=[None] * len(sheet.paths))
    kept = sheet.only((splits == TEST).tolist())
    note = f"evaluated on the source's own test set: {len(kept.paths):,} of {len(sheet.paths):,} pictures"
    return replace(kept, splits=[None] * len(kept.paths), notes=[*sheet.notes, note])


def _listing(sheet: Sheet, boxes: Boxes, classes: tuple[str, ...]) -> Listing:
    """Return the pictures as a listing whose "class" is what is in them, so that copies that disagree are found."""
    counts: list[Counter[int]] = [Counter() for _ in sheet.paths]
    for item, label in zip(boxes.items.tolist(), boxes.labels.tolist(), strict=True):
        counts[item][label] += 1
    contents = [_content(count, classes) for count in counts]
    distinct = {content: number for number, content in enumerate(dict.fromkeys(contents))}
    labels = np.array([distinct[content] for content in contents], np.int64)
    given = [split for split in sheet.splits if split is not None]
    splits = np.array([TRAIN if split is None else split for split in sheet.splits], np.int8) if given else None
    return Listing(sheet.name, sheet.kind, sheet.root, tuple(distinct), labels, list(sheet.paths), None, splits)


def _content(counts: Counter[int], classes: tuple[str, ...]) -> str:
    """Return what is in a picture, as in "2 cat, 1 dog"."""
    named = [f"{counts[label]} {classes[label] if label >= 0 else 'unknown'}" for label in sorted(counts)]
    return ", ".join(named) or "nothing"


def _assemble(
    sheet: Sheet,
    classes: tuple[str, ...],
    boxes: Boxes,
    probes: Probes,
    found: dict[int, Problem],
    usable: NDArray[np.bool_],
) -> BoxIndex:
    """Return the index of the usable pictures, before classes without boxes go and splits are drawn."""
    kept = np.flatnonzero(usable).tolist()
    every = boxes.objects(len(sheet.paths))
    objects = [every[item] for item in kept]
    paths = [sheet.paths[item] for item in kept]
    channels = probes.channels[usable]
    given = [sheet.splits[item] for item in kept]
    groups = np.array([sheet.groups[item] for item in kept], object) if sheet.groups else None
    return BoxIndex(
        name=sheet.name,
        kind=sheet.kind,
        root=sheet.root,
        classes=classes,
        paths=paths,
        images=None,
        labels=rarest_classes(objects, len(classes)),
        splits=np.array([TRAIN if split is None else split for split in given], np.int8),
        sizes=probes.sizes[usable],
        channels=int(channels.max()) if len(channels) else 0,
        groups=groups,
        problems=sheet.problems + [found[item] for item in sorted(found)],
        notes=list(sheet.notes),
        fingerprint=_fingerprint(classes, paths, probes.lengths[usable], probes.mtimes[usable], objects),
        objects=objects,
    )


def rarest_classes(objects: Sequence[Objects], classes: int) -> NDArray[np.int64]:
    """Return the rarest class that each picture shows, by pictures that show it, (N,); `classes` for background."""
    shown = [np.unique(each.labels) for each in objects]
    pictures = np.bincount(np.concatenate([np.zeros(0, np.int64), *shown]), minlength=classes)
    return np.array([each[np.argmin(pictures[each])] if len(each) else classes for each in shown], np.int64)


def _fingerprint(
    classes: Sequence[str],
    paths: Sequence[str],
    lengths: NDArray[np.int64],
    mtimes: NDArray[np.int64],
    objects: Sequence[Objects],
) -> str:
    """Return the hex SHA-256 of names, lengths and times of the pictures, and of all their boxes."""
    digest = hashlib.sha256("\0".join(["boxes-1", *classes]).encode())
    digest.update("\0".join(paths).encode("utf-8", "surrogateescape"))
    digest.update(lengths.tobytes() + mtimes.tobytes())
    for each in objects:
        digest.update(len(each).to_bytes(8, "little") + each.boxes.tobytes() + each.labels.tobytes())
        digest.update(each.difficult.tobytes() + each.crowd.tobytes())
    return digest.hexdigest()


def _check_usable(index: BoxIndex, sheet: Sheet, *, strict: bool) -> None:
    """Raise `DataError` where no picture or no box is left, or for anything left out under `strict`."""
    bad = [problem for problem in index.problems if problem.quarantined or problem.kind in LEFT_OUT_BOXES]
    first = "; ".join(map(str, bad[:_SHOWN])) + ("; ..." if len(bad) > _SHOWN else "")
    if strict and bad:
        raise DataError(
            f"{index.name!r} has {len(bad):,} pictures or boxes that cannot be used, and strict allows none: {first}"
            " (glassnet data check lists all of them)"
        )
    if not len(index):
        raise DataError(
            f"{index.name!r} has no usable picture among its {len(sheet.paths):,} annotated ones:"
            f" {first or 'its annotations name none'}"
        )
    if not any(map(len, index.objects)):
        raise DataError(
            f"{index.name!r} has {len(index):,} usable pictures but not a single box"
            f"{': ' + first if first else ''}; a detector learns from boxes: draw some, or check that the annotations"
            " lie where the pictures are"
        )


def _split(
    index: BoxIndex, sheet: Sheet, fractions: tuple[float, float, float], seed: int, evaluate_only: bool
) -> BoxIndex:
    """Return the index with every picture in a split, and without classes of which no box is left."""
    index = _drop_empty_classes(index)
    if evaluate_only:
        index.splits[:] = TEST
        return index
    given = index.splits if any(split is not None for split in sheet.splits) else None
    index.splits, how = complete_split(given, index.labels, fractions, seed, index.groups)
    index.notes.append(how)
    index.problems += _similar_classes(index) + _small_classes(index)
    return index


def _drop_empty_classes(index: BoxIndex) -> BoxIndex:
    """Return the index without the classes of which no box is left, each told as a problem."""
    boxes = index.boxes_of_classes().sum(1)
    if boxes.all():
        return index
    gone = [name for name, count in zip(index.classes, boxes.tolist(), strict=True) if not count]
    reason = "no usable box of this class is there, so the network will not know it"
    position = np.cumsum(boxes > 0) - 1
    objects = [replace(each, labels=position[each.labels]) for each in index.objects]
    classes = tuple(name for name, count in zip(index.classes, boxes.tolist(), strict=True) if count)
    return replace(
        index,
        classes=classes,
        objects=objects,
        labels=rarest_classes(objects, len(classes)),
        problems=[*index.problems, *(Problem(name, "small_class", reason) for name in gone)],
    )


def _similar_classes(index: BoxIndex) -> list[Problem]:
    """Return a warning for each class whose name differs from another one's only in case or in spaces."""
    alike: dict[str, list[str]] = {}
    for name in index.classes:
        alike.setdefault("".join(name.casefold().replace("_", " ").replace("-", " ").split()), []).append(name)
    return [
        Problem(name, "similar_class", f"its name differs from {names[0]!r} only in case or spaces; one class or two?")
        for names in alike.values()
        for name in names[1:]
    ]


def _small_classes(index: BoxIndex) -> list[Problem]:
    """Return a warning for each class with hardly a box to learn from, or none to be judged by."""
    problems = []
    for name, counts in zip(index.classes, index.boxes_of_classes().tolist(), strict=True):
        lacking = [split for split, count in zip(SPLITS, counts, strict=True) if not count and index.has(split)]
        if lacking:
            reason = f"only {sum(counts)} boxes: none of them in {' and '.join(lacking)}"
        elif counts[TRAIN] < SMALL_CLASS:
            reason = f"only {counts[TRAIN]} training boxes; expect little of this class below {SMALL_CLASS}"
        else:
            continue
        problems.append(Problem(name, "small_class", reason))
    return problems
