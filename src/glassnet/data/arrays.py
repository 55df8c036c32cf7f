"""Arrays as sources: `.npz` files, idx files, and the built-in data sets, all as pictures in memory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data import builtin
from glassnet.data.formats import as_labels, as_pictures, read_idx, read_npz
from glassnet.data.listing import Listing, class_name, number_classes
from glassnet.data.splits import TEST, TRAIN, VALIDATION
from glassnet.download import Progress
from glassnet.errors import DataError, InputError

Part = tuple[int, NDArray[np.uint8], NDArray[Any]]  # split, pictures (n, H, W, C), labels (n,) int64 or str
_IDX_IMAGES = re.compile(r"(?P<set>.*)images[-.]idx3[-.]ubyte(\.gz)?", re.IGNORECASE)


def list_npz(path: Path) -> Listing:
    """Return the listing of an `.npz` file: x_train y_train [x_val y_val] [x_test y_test], or images and labels.

    Class names are the file's `classes`, else the labels themselves. Raises `DataError` for another content.
    """
    arrays = read_npz(path)
    pairs = {"images": ("labels", TRAIN)}
    if "x_train" in arrays:
        pairs = {
            "x_train": ("y_train", TRAIN),
            "x_validation": ("y_validation", VALIDATION),
            "x_test": ("y_test", TEST),
        }
    parts = [(split, arrays[x], arrays[y]) for x, (y, split) in pairs.items() if x in arrays]
    return _join(path, parts, arrays.get("classes"))


def is_idx_images(path: Path) -> bool:
    """Whether a file is named like the pictures of an idx data set: train-images-idx3-ubyte, with or without .gz."""
    return _IDX_IMAGES.fullmatch(path.name) is not None


def list_idx(folder: Path, images: list[Path]) -> Listing:
    """Return the listing of idx files; each file of pictures has its labels beside it.

    A name with "train" is the training set, one with "t10k" or "test" the test set. Raises `DataError` where labels
    are missing or do not fit.
    """
    parts = []
    for path in sorted(images, key=lambda path: "train" not in path.name.lower()):
        split = TEST if re.search("t10k|test", path.name, re.IGNORECASE) else TRAIN
        labels = _idx_labels(path)
        parts.append((split, as_pictures(read_idx(path), str(path)), as_labels(read_idx(labels), str(labels))))
    return _join(folder, parts, None)


def _idx_labels(images: Path) -> Path:
    """Return the file of labels that belongs to a file of pictures."""
    name = re.sub("images", "labels", images.name, flags=re.IGNORECASE)
    name = re.sub("idx3", "idx1", name, flags=re.IGNORECASE)
    stem = re.sub(r"\.gz$", "", name, flags=re.IGNORECASE)
    candidates = [images.with_name(stem), images.with_name(f"{stem}.gz")]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise DataError(
        f"{str(images)!r} has no labels beside it; expected {candidates[0].name!r} or {candidates[1].name!r}"
    )


def list_builtin(name: str, progress: Progress | None) -> Listing:
    """Return the listing of the built-in data set `name`, downloaded where it is not here yet."""
    data = builtin.load(name, progress=progress)
    splits = np.where(data.is_test, TEST, TRAIN).astype(np.int8)
    listing = Listing(name, "builtin", None, data.classes, data.labels, splits=splits, official=True)
    if isinstance(data, builtin.FolderData):
        listing.root, listing.paths = data.root, data.paths
    else:
        listing.images, listing.content = data.images, data.fingerprint
    return listing


def _join(path: Path, parts: list[Part], names: NDArray[Any] | None) -> Listing:
    """Put the parts of one source together; a single part comes without a split."""
    shapes = {pictures.shape[1:] for _, pictures, _ in parts}
    if len(shapes) > 1:
        raise DataError(f"{str(path)!r} holds pictures of different shapes: {', '.join(map(str, sorted(shapes)))}")
    for _, pictures, labels in parts:
        if len(pictures) != len(labels):
            raise DataError(
                f"{str(path)!r} holds {len(pictures):,} pictures but {len(labels):,} labels; they must be as many"
            )
    values = np.concatenate([labels.astype(str) if names is None else labels for _, _, labels in parts])
    if names is None:
        distinct, numbers = np.unique(
            values, return_inverse=True
        )  # at most as many names to clean as there are classes
        classes, order = number_classes([class_name(str(value)) for value in distinct])
        labels = order[numbers]
    else:
        classes, labels = _named(path, names, values)
    images = parts[0][1] if len(parts) == 1 else np.concatenate([pictures for _, pictures, _ in parts])
    splits = np.repeat(np.array([part[0] for part in parts], np.int8), [len(part[2]) for part in parts])
    given = splits if len(parts) > 1 else None
    name = path.stem if path.is_file() else path.resolve().name
    return Listing(name, "arrays", path.parent, classes, labels, images=images, splits=given)


def _named(path: Path, names: NDArray[Any], values: NDArray[Any]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the classes that the source names in order, and its labels, checked to be positions in them."""
    classes = tuple(class_name(str(name)) for name in names)
    if len(set(classes)) < len(classes):
        raise DataError(f"{str(path)!r} names a class twice in `classes`")
    if values.dtype.kind != "i" or values.min(initial=0) < 0 or values.max(initial=0) >= len(classes):
        raise DataError(
            f"{str(path)!r} names {len(classes)} classes, but its labels are not whole numbers from 0 to"
            f" {len(classes) - 1}"
        )
    return classes, values.astype(np.int64)


def refuse_grouping(group_by: str | None, source: str) -> None:
    """Raise `InputError` where groups are asked of a source without columns."""
    if group_by is not None:
        raise InputError(
            f"group_by is {group_by!r}, but {source!r} has no columns; list the pictures in a labels.csv with the"
            f" columns path, label and {group_by}"
        )
