"""Built-in data sets by name: one that comes with the package, the others from this machine or by download.

A data set's files are looked for in `$GLASSNET_DATA_FOLDER/NAME`, in glassnet's cache, and in Debian's folder
(`/usr/share/datasets/NAME`), and else downloaded into the cache. What is found is checked against the published
counts and sizes; what is downloaded, against its checksum as well.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from glassnet.data.catalogue import CATALOGUE, BuiltIn
from glassnet.data.formats import (
    as_labels,
    as_pictures,
    read_cifar_binary,
    read_idx,
    read_npz,
    read_sheet,
    reading,
)
from glassnet.download import Progress, download
from glassnet.errors import DataError, UnknownName
from glassnet.files import FolderLock, cache_folder, cache_path, storage_errors

DEBIAN = Path("/usr/share/datasets")
EMBEDDED = Path(__file__).parent / "embedded"


@dataclass(frozen=True, kw_only=True)
class ArrayData:
    """A data set in memory.

    images: `(N, H, W, C) uint8`, training pictures first. labels: `(N,) int64`, numbers into `classes`.
    is_test: `(N,) bool`. fingerprint: SHA-256 of all of these; the same pictures have the same one.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    is_test: NDArray[np.bool_]
    classes: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class FolderData:
    """A data set of picture files.

    paths: relative to `root`, training pictures first. labels: `(N,) int64`, numbers into `classes`.
    is_test: `(N,) bool`. fingerprint: SHA-256 of paths, labels and splits.
    """

    name: str
    root: Path
    paths: list[str]
    labels: NDArray[np.int64]
    is_test: NDArray[np.bool_]
    classes: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """What `glassnet data list` shows of one data set; sizes in bytes.

    height, width: None where the pictures differ. where: the path it was found at, `embedded`, or `download, 31 MB`.
    ready: whether it loads without a download.
    """

    name: str
    title: str
    classes: int
    train: int
    test: int
    height: int | None
    width: int | None
    channels: int
    licence: str
    homepage: str
    download_size: int
    where: str
    ready: bool


def names() -> tuple[str, ...]:
    """Return the names of the built-in data sets."""
    return tuple(CATALOGUE)


def describe(name: str) -> Description:
    """Return what is known of the data set `name`, without reading or downloading it; `UnknownName` for another."""
    entry = _entry(name)
    found = _find(entry)
    return Description(
        name=entry.name,
        title=entry.title,
        classes=len(entry.classes),
        train=entry.train,
        test=entry.test,
        height=entry.height,
        width=entry.width,
        channels=entry.channels,
        licence=entry.licence,
        homepage=entry.homepage,
        download_size=entry.download_size,
        where="embedded" if found == EMBEDDED else str(found or f"download, {entry.download_size / 1e6:.0f} MB"),
        ready=found is not None,
    )


def load(name: str, *, download: bool = True, progress: Progress | None = None) -> ArrayData | FolderData:
    """Return the built-in data set `name`; `oxford-pets` is a `FolderData`, every other an `ArrayData`.

    download: whether files that are not on this machine may be fetched. progress: called with the bytes downloaded so
    far and the bytes of all files together.

    Raises `UnknownName`; `DataError` where the data set is not here and may not be fetched, or its files are not what
    was published; `DownloadError` where no mirror gives a file; `StorageError` where the cache cannot be written.
    """
    entry = _entry(name)
    place = _find(entry)
    if place is None:
        place = _fetch(entry, allowed=download, progress=progress)
    if entry.layout == "pets":
        return _read_pets(entry, place)
    if place.suffix == ".npz":
        return _read_npz(entry, place)
    return {"sheets": _read_sheets, "idx": _read_idx, "cifar": _read_cifar}[entry.layout](entry, place)


def _entry(name: str) -> BuiltIn:
    if name not in CATALOGUE:
        raise UnknownName("built-in data set", name, CATALOGUE, hint="see `glassnet data list`")
    return CATALOGUE[name]


# --- where the files are -------------------------------------------------------------------------------------------


def _find(entry: BuiltIn) -> Path | None:
    """Return the folder, or the `.npz` file, on this machine that holds the data set; None where it is nowhere."""
    if entry.layout == "sheets":
        return EMBEDDED
    chosen = os.environ.get("GLASSNET_DATA_FOLDER")
    roots = [Path(chosen).expanduser()] if chosen else []
    for root in [*roots, cache_path("data"), DEBIAN]:
        if _is_complete(entry, root / entry.name):
            return root / entry.name
        if entry.layout != "pets" and (root / f"{entry.name}.npz").is_file():
            return root / f"{entry.name}.npz"
    return None


def _is_complete(entry: BuiltIn, folder: Path) -> bool:
    if entry.layout == "pets":
        return (folder / "images").is_dir() and (folder / "annotations").is_dir()
    return all(_plain_or_zipped(folder, remote.name) is not None for remote in entry.remotes)


def _plain_or_zipped(folder: Path, name: str) -> Path | None:
    """Return `folder/name`, or that without its `.gz`, whichever exists."""
    candidates = (folder / name, folder / name.removesuffix(".gz"))
    return next((path for path in candidates if path.is_file()), None)


def _fetch(entry: BuiltIn, *, allowed: bool, progress: Progress | None) -> Path:
    """Download what is missing of the data set into the cache and return its folder there."""
    target = cache_path("data", entry.name)
    if not allowed and not all((target / remote.name).is_file() for remote in entry.remotes):
        places = ", ".join(f"{root / entry.name}" for root in (cache_path("data"), DEBIAN))
        raise DataError(
            f"{entry.name!r} is not on this machine (looked in {places}) and downloading was not allowed; "
            f"allow the download of {entry.download_size / 1e6:.0f} MB, or set GLASSNET_DATA_FOLDER to the folder that "
            f"holds {entry.name}/"
        )
    target = cache_folder("data", entry.name)
    done = 0
    for remote in entry.remotes:
        report = _of_all(progress, done, entry.download_size)
        urls = remote.urls if allowed else ()  # a file put there by hand is still checked
        download(remote.name, urls, remote.checksum, target / remote.name, report, size=remote.size)
        done += remote.size
    if entry.layout == "pets":
        with FolderLock(target, wait=3600):
            _unpack(target / "annotations.tar.gz", "annotations", ".txt")
            _unpack(target / "images.tar.gz", "images", ".jpg")
    return target


def _of_all(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Return a `progress` for one file of several: `before` bytes came with the files before it."""
    return None if progress is None else lambda done, _: progress(before + done, total)


def _unpack(archive: Path, folder: str, suffix: str) -> None:
    """Unpack the files `folder/*suffix` of `archive` beside it, all or none; no path in the archive leads elsewhere."""
    target = archive.parent / folder
    if target.is_dir():
        return
    temporary = archive.parent / f".{folder}-unpacking"
    with storage_errors(temporary, archive.parent, target):
        shutil.rmtree(temporary, ignore_errors=True)  # what a killed process left; the folder's lock is ours
        temporary.mkdir()
        with reading(archive, "a tar archive"), tarfile.open(archive) as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if member.isfile() and path.parent == PurePosixPath(folder) and path.suffix == suffix:
                    with storage_errors(temporary / path.name):
                        (temporary / path.name).write_bytes(_member(tar, member))
        temporary.rename(target)


# --- the archives and files ----------------------------------------------------------------------------------------


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    if file is None:
        raise DataError(f"{str(tar.name)!r} holds a link or folder {member.name!r} where a file was expected")
    return file.read()


def _read_sheets(entry: BuiltIn, folder: Path) -> ArrayData:
    """Read the sheets that scripts/make_fashion_mini.py wrote: equally many of each class, class after class."""

    def sheet(split: str, count: int) -> NDArray[np.uint8]:
        path = folder / f"{entry.name}-{split}.png"
        return read_sheet(path, height=entry.height or 0, width=entry.width or 0, count=count)

    with ThreadPoolExecutor(2) as threads:  # Pillow lets go of the interpreter lock while it decodes
        train, test = threads.map(sheet, ("train", "test"), (entry.train, entry.test))
    numbers = np.arange(len(entry.classes))
    labels = [np.repeat(numbers, count // len(entry.classes)) for count in (entry.train, entry.test)]
    return _array_data(entry, folder, (train, labels[0]), (test, labels[1]))


def _read_idx(entry: BuiltIn, folder: Path) -> ArrayData:
    """Read the four files of MNIST's layout, zipped or not."""

    def split(stem: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        paths = [_plain_or_zipped(folder, f"{stem}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1")]
        images, labels = (read_idx(path) for path in paths if path)
        return as_pictures(images, str(paths[0])), as_labels(labels, str(paths[1]))

    return _array_data(entry, folder, split("train"), split("t10k"))


def _read_cifar(entry: BuiltIn, folder: Path) -> ArrayData:
    """Read the archive of CIFAR's binary version; the pickled version is never read."""
    archive = _plain_or_zipped(folder, entry.remotes[0].name) or folder
    label_bytes = 2 if len(entry.classes) == 100 else 1  # CIFAR-100 has a coarse label before the fine one
    files: dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]] = {}
    with reading(archive, "a tar archive"), tarfile.open(archive) as tar:
        for member in tar:
            name = PurePosixPath(member.name).name
            if member.isfile() and name.endswith(".bin"):
                what = f"{name} in {str(archive)!r}"
                files[name] = read_cifar_binary(_member(tar, member), label_bytes=label_bytes, what=what)
    splits = []
    for split in ("train", "test"):
        chosen = [files[name] for name in sorted(files) if name.startswith("test") == (split == "test")]
        if not chosen:
            raise DataError(f"{str(archive)!r} holds no .bin file for {split}; remove it to have it fetched again")
        splits.append(
            (np.concatenate([images for images, _ in chosen]), np.concatenate([labels for _, labels in chosen]))
        )
    return _array_data(entry, folder, splits[0], splits[1])


def _read_npz(entry: BuiltIn, path: Path) -> ArrayData:
    """Read `NAME.npz` with x_train, y_train, x_test, y_test, as Keras distributes MNIST."""
    arrays = read_npz(path)
    if missing := {"x_train", "x_test"} - arrays.keys():
        raise DataError(f"{str(path)!r} has no {', '.join(sorted(missing))}; {entry.name!r} comes with train and test")
    return _array_data(entry, path, (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"]))


def _array_data(
    entry: BuiltIn,
    place: Path,
    train: tuple[NDArray[np.uint8], NDArray[np.int64]],
    test: tuple[NDArray[np.uint8], NDArray[np.int64]],
) -> ArrayData:
    """Put train and test together after checking them against what was published."""
    for split, (images, labels), count in (("train", train, entry.train), ("test", test, entry.test)):
        expected = (count, entry.height, entry.width, entry.channels)
        if images.shape != expected or labels.shape != (count,):
            came = f"pictures {images.shape} and labels {labels.shape}"
            raise DataError(f"{str(place)!r} has {came} in {split}, expected {expected} and ({count},)")
        if labels.min() < 0 or labels.max() >= len(entry.classes):
            found = f"labels {labels.min()} to {labels.max()}"
            raise DataError(f"{str(place)!r} has {found} in {split}, expected 0 to {len(entry.classes) - 1}")
    images = np.concatenate([train[0], test[0]])
    labels = np.concatenate([train[1], test[1]])
    is_test = np.arange(len(images)) >= entry.train
    return ArrayData(
        name=entry.name,
        images=images,
        labels=labels,
        is_test=is_test,
        classes=entry.classes,
        fingerprint=_fingerprint([images.data, labels.data, is_test.data]),
    )


def _read_pets(entry: BuiltIn, folder: Path) -> FolderData:
    """Read the official lists `trainval.txt` and `test.txt`; a line is: name, class from 1, species, breed."""
    paths, labels, is_test = [], [], []
    for split, count in (("trainval", entry.train), ("test", entry.test)):
        path = folder / "annotations" / f"{split}.txt"
        if not path.is_file():
            raise DataError(f"{str(path)!r} is missing; remove {str(folder)!r} to have the data set fetched again")
        with reading(path, "a list of pictures"):
            lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if len(lines) != count or not all(len(line) == 4 and line[1].isdigit() for line in lines):
            raise DataError(f"{str(path)!r} has {len(lines)} lines, expected {count} of: name, class, species, breed")
        paths += [f"images/{line[0]}.jpg" for line in lines]
        labels += [int(line[1]) - 1 for line in lines]
        is_test += [split == "test"] * count
    if min(labels) < 0 or max(labels) >= len(entry.classes):
        raise DataError(f"{str(folder)!r} lists classes outside 1 to {len(entry.classes)}")
    return FolderData(
        name=entry.name,
        root=folder,
        paths=paths,
        labels=np.array(labels, np.int64),
        is_test=np.array(is_test),
        classes=entry.classes,
        fingerprint=_fingerprint([repr((paths, labels, is_test)).encode()]),
    )


def _fingerprint(parts: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
