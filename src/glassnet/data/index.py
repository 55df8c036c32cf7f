"""The index: what a scan of a data source found. Items, labels, sizes, splits, and problems by name."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glassnet.data.duplicates import copy_problems, exact_copies
from glassnet.data.listing import Listing
from glassnet.data.probe import DIGEST, Probes, probe_files
from glassnet.data.probe_cache import cache_file, recall, remember
from glassnet.data.problems import Problem, printable
from glassnet.data.sources import recognise
from glassnet.data.splits import SPLITS, TEST, TRAIN, VALIDATION, check_fractions, complete_split
from glassnet.download import Progress
from glassnet.errors import DataError, InputError, StorageError, UnknownName
from glassnet.preprocess import PIXEL_LIMIT

__all__ = ["SPLITS", "TEST", "TRAIN", "VALIDATION", "Index", "scan"]

SMALL_CLASS = 10  # training pictures: with fewer a class is hardly learnt, and says so
_SHOWN = 3  # problems named in a message


@dataclass
class Index:
    """The usable items of a data source, numbered 0 to N - 1, and what was wrong with the others.

    name: as shown to people; kind: "folder", "table", "arrays" or "builtin"; root: what `paths` are relative to.
    classes: class names, K of them; a label is a position in it.
    paths: N relative paths, or None where the pictures are `images`, (N, H, W, C) uint8 in memory.
    labels: (N,) int64 in [0, K). splits: (N,) int8, each TRAIN, VALIDATION or TEST.
    sizes: (N, 2) int32, height and width in pixels as displayed (EXIF orientation applied).
    channels: 1 if every picture is grey, 3 for colour, else the number of channels of the `.npy` pictures.
    groups: (N,) object, what must stay on one side of a split, or None.
    problems: everything found, quarantined items included. notes: what the scan decided, in sentences.
    numbers: (N,) int64, where pictures in memory stood in their source before others were quarantined.
    fingerprint: hex SHA-256 of names, sizes, times (or bytes) and labels: the same data, the same fingerprint.
    """

    name: str
    kind: str
    root: Path | None
    classes: tuple[str, ...]
    paths: list[str] | None
    images: NDArray[np.uint8] | None
    labels: NDArray[np.int64]
    splits: NDArray[np.int8]
    sizes: NDArray[np.int32]
    channels: int
    groups: NDArray[np.object_] | None = None
    problems: list[Problem] = field(default_factory=list)
    fingerprint: str = ""
    notes: list[str] = field(default_factory=list)
    numbers: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, split: str) -> NDArray[np.int64]:
        """Return the numbers of the items in "train", "validation" or "test", ascending, (n,)."""
        if split not in SPLITS:
            raise UnknownName("split", split, SPLITS, hint=f"the splits are {', '.join(SPLITS)}")
        return np.flatnonzero(self.splits == SPLITS.index(split)).astype(np.int64)

    def has(self, split: str) -> bool:
        """Whether any item is in "train", "validation" or "test"."""
        return bool(len(self.select(split)))

    def where(self, item: int) -> str:
        """Return the place of an item as the user knows it: its path, or "fashion-mini[17]" for a picture in memory."""
        if self.paths is not None:
            return self.paths[item]
        return f"{self.name}[{item if self.numbers is None else self.numbers[item]}]"

    def places(self) -> list[str]:
        """Return the place of every item, in order, as `where` does."""
        if self.paths is not None:
            return list(self.paths)
        numbers = range(len(self)) if self.numbers is None else self.numbers.tolist()
        return [f"{self.name}[{number}]" for number in numbers]

    def source(self, item: int) -> Path | NDArray[np.uint8]:
        """Return what `Preprocess.intermediate` takes: the item's full path, or its (H, W, C) uint8 pixels."""
        if self.paths is not None:
            return (self.root or Path()) / self.paths[item]
        assert self.images is not None
        pixels: NDArray[np.uint8] = self.images[item]
        return pixels

    def label_names(self) -> list[str]:
        """Return the class name of every item, in order."""
        return [self.classes[label] for label in self.labels.tolist()]

    def counts(self) -> NDArray[np.int64]:
        """Return how many items each class has in each split, (K, 3): a row a class; train, validation, test."""
        cells = self.labels * len(SPLITS) + self.splits
        return np.bincount(cells, minlength=len(self.classes) * len(SPLITS)).reshape(-1, len(SPLITS)).astype(np.int64)

    def without(self, items: Sequence[int] | NDArray[np.int64], problems: Sequence[Problem]) -> Index:
        """Return the index with `items` quarantined and `problems` (why) appended; the items left are renumbered."""
        keep = np.ones(len(self), dtype=bool)
        keep[np.asarray(items, dtype=np.int64)] = False
        if keep.all():
            return replace(self, problems=[*self.problems, *problems])
        removed = hashlib.sha256(self.fingerprint.encode() + np.flatnonzero(~keep).tobytes())
        return replace(
            self,
            paths=None if self.paths is None else [self.paths[i] for i in np.flatnonzero(keep)],
            images=None if self.images is None else self.images[keep],
            labels=self.labels[keep],
            splits=self.splits[keep],
            sizes=self.sizes[keep],
            groups=None if self.groups is None else self.groups[keep],
            problems=[*self.problems, *problems],
            fingerprint=removed.hexdigest(),
        )


def scan(
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
) -> Index:
    """Find the items of `data` and what is wrong with them, without decoding any pixels, and return the index.

    data: whatever `sources.recognise` knows. split, seed, group_by: how train, validation and test are drawn where the
    source does not give them (see `splits.complete_split`). strict: an item that would be quarantined is an error.
    workers: threads that read. limit_pixels: more are a decompression bomb. progress(done, total): bytes of a download,
    then files. cache: keep what was learnt about unchanged files. evaluate_only: every item is in test (of a source
    with a test set, only that), and one class will do.

    Raises `InputError` for a wrong argument, `DataError` where the data as a whole cannot be used.
    """
    fractions = check_fractions(split)
    check_positive(seed=seed + 1, workers=1 if workers is None else workers, limit_pixels=limit_pixels)
    listing = recognise(data, group_by=group_by, progress=progress)
    if evaluate_only:
        listing = _to_judge(listing)
    probes, note = probe(listing, workers, limit_pixels, progress, cache)
    found = judge_items(listing, probes)
    index = _assemble(listing, probes, found)
    index.notes += [note] if note else []
    _check_usable(index, listing, strict=strict, evaluate_only=evaluate_only)
    index = _drop_empty_classes(index)
    if evaluate_only:
        index.splits[:] = TEST
        return index
    index.splits, how = complete_split(
        None if listing.splits is None else index.splits, index.labels, fractions, seed, index.groups
    )
    index.notes.append(how)
    index.problems += _small_classes(index)
    return index


def check_positive(**values: int) -> None:
    """Raise `InputError` for a value below 1 (`seed` comes plus one: 0 is a seed)."""
    for name, value in values.items():
        if value < 1:
            shown, least = (value - 1, 0) if name == "seed" else (value, 1)
            raise InputError(f"{name} is {shown}, expected a whole number of at least {least}")


def _to_judge(listing: Listing) -> Listing:
    """Return the items to evaluate on: the test set of a source that has one, else all."""
    if listing.splits is None or not (listing.splits == TEST).any() or (listing.splits == TEST).all():
        return replace(listing, splits=None)
    kept = listing.only(listing.splits == TEST)
    kept.notes = [*kept.notes, f"evaluated on the source's own test set: {len(kept):,} of {len(listing):,} pictures"]
    return kept


def probe(
    listing: Listing, workers: int | None, limit_pixels: int, progress: Progress | None, cache: bool
) -> tuple[Probes, str]:
    """Return what the items' headers tell, and a note where the cache could not be used."""
    if listing.paths is None:
        return _probe_arrays(listing), ""
    root, note, file = listing.root or Path(), "", None
    if cache:
        try:
            file = cache_file(root, limit_pixels)
        except StorageError as error:
            note = f"scanned without a cache: {error}"
    known = None if file is None else recall(file, listing.paths)
    with warnings.catch_warnings():  # Pillow warns about odd metadata of single files, thousands of times
        warnings.filterwarnings("ignore", module=r"PIL(\..*)?")
        probes = probe_files(
            root, listing.paths, pixel_limit=limit_pixels, workers=workers, known=known, progress=progress
        )
    if file is not None:
        note = remember(file, listing.paths, probes)
    return probes, note


def _probe_arrays(listing: Listing) -> Probes:
    """Return sizes and content hashes of pictures in memory."""
    assert listing.images is not None
    probes = Probes.blank(len(listing))
    probes.sizes[:] = listing.images.shape[1:3]
    probes.channels[:] = listing.images.shape[3]
    pictures = np.ascontiguousarray(listing.images)
    digests = b"".join(hashlib.blake2b(picture.data, digest_size=DIGEST).digest() for picture in pictures)
    probes.digests = np.frombuffer(digests, np.uint8).reshape(-1, DIGEST)
    return probes


def judge_items(listing: Listing, probes: Probes) -> dict[int, Problem]:
    """Return one problem for each item that has any; those that quarantine before those that only warn."""
    found = {
        item: Problem(listing.where(item), kind, reason, listing.split_of(item))
        for item, (kind, reason) in sorted(probes.problems.items())
    }
    sound = np.ones(len(listing), bool)
    sound[[item for item, problem in found.items() if problem.quarantined]] = False
    for item, reason in _wrong_shapes(probes.channels, sound).items():
        found[item] = Problem(listing.where(item), "wrong_shape", reason, listing.split_of(item))
        sound[item] = False
    digests = np.where(sound[:, None], probes.digests, 0).astype(np.uint8)
    return found | copy_problems(exact_copies(digests), listing)


def _wrong_shapes(channels: NDArray[np.int32], sound: NDArray[np.bool_]) -> dict[int, str]:
    """Return why the items cannot be used whose channels are not those of most: {item: reason}.

    Grey and colour go together, since each can be made of the other; other numbers only with their own.
    """
    alike = np.where(channels == 1, 3, channels)
    counts = Counter(alike[sound].tolist())
    if len(counts) < 2:
        return {}
    usual = counts.most_common(1)[0][0]
    return {
        item: f"it has {channels[item]} channels, {counts[usual]:,} other pictures have {usual}"
        for item in np.flatnonzero(sound & (alike != usual)).tolist()
    }


def _assemble(listing: Listing, probes: Probes, found: dict[int, Problem]) -> Index:
    """Return the index of the items that no problem quarantines."""
    keep = np.ones(len(listing), bool)
    keep[[item for item, problem in found.items() if problem.quarantined]] = False
    whole = listing if keep.all() else listing.only(keep)
    channels = probes.channels[keep]
    return Index(
        name=listing.name,
        kind=listing.kind,
        root=listing.root,
        classes=listing.classes,
        paths=whole.paths,
        images=whole.images,
        labels=whole.labels,
        splits=np.zeros(len(whole), np.int8) if whole.splits is None else whole.splits,
        sizes=probes.sizes[keep],
        channels=int(channels.max()) if len(channels) else 0,
        groups=whole.groups,
        problems=listing.problems + [found[item] for item in sorted(found)],
        notes=list(listing.notes),
        numbers=None if listing.images is None else np.flatnonzero(keep).astype(np.int64),
        fingerprint=_fingerprint(whole, probes.lengths[keep], probes.mtimes[keep]),
    )


def _fingerprint(listing: Listing, lengths: NDArray[np.int64], mtimes: NDArray[np.int64]) -> str:
    """Return the hex SHA-256 of what the items are: names, lengths and times of files, or pixels; and labels."""
    digest = hashlib.sha256("\0".join(listing.classes).encode())
    digest.update(listing.labels.tobytes())
    if listing.paths is not None:
        digest.update("\0".join(listing.paths).encode("utf-8", "surrogateescape"))
        digest.update(lengths.tobytes() + mtimes.tobytes())
    elif listing.content:
        digest.update(listing.content.encode())
    else:
        digest.update(np.ascontiguousarray(listing.images).data)
    return digest.hexdigest()


def _check_usable(index: Index, listing: Listing, *, strict: bool, evaluate_only: bool) -> None:
    """Raise `DataError` where nothing is left, where there is one class only, or for any quarantine under `strict`."""
    bad = [problem for problem in index.problems if problem.quarantined]
    first = "; ".join(map(str, bad[:_SHOWN]))
    if strict and bad:
        raise DataError(
            f"{index.name!r} has {len(bad):,} items that cannot be used, and strict allows none: {first}"
            f"{'; ...' if len(bad) > _SHOWN else ''} (glassnet data check lists all of them)"
        )
    if not len(index):
        raise DataError(
            f"{index.name!r} has no usable picture among its {len(listing):,} items: {first or 'it is empty'}"
        )
    present = np.unique(index.labels)
    if len(present) < 2 and not evaluate_only:
        only = index.classes[present[0]]
        raise DataError(
            f"{index.name!r} has pictures of one class only ({only!r}, {len(index):,} pictures); a network learns to"
            f" tell at least two apart{_nested(index)}" + (f"; left out: {first}" if bad else "")
        )


def _nested(index: Index) -> str:
    """Return the advice to go one folder deeper, where the only class holds folders that look like classes."""
    if index.kind != "folder" or index.paths is None or index.root is None:
        return ": put the pictures of each class into a folder of its own"
    parts = [path.split("/") for path in index.paths]
    if len({part[-2] for part in parts if len(part) > 2}) < 2:
        return ": put the pictures of each class into a folder of its own"
    return f"; did you mean {printable(str(index.root / parts[0][0]))!r}, whose folders look like classes?"


def _drop_empty_classes(index: Index) -> Index:
    """Return the index without the classes of which no picture is left, each told as a problem."""
    present = np.bincount(index.labels, minlength=len(index.classes)) > 0
    if present.all():
        return index
    gone = [name for name, has in zip(index.classes, present, strict=True) if not has]
    reason = "no usable picture of this class is left, so the network will not know it"
    return replace(
        index,
        classes=tuple(name for name, has in zip(index.classes, present, strict=True) if has),
        labels=(np.cumsum(present) - 1)[index.labels],
        problems=[*index.problems, *(Problem(f"{name}/", "small_class", reason) for name in gone)],
    )


def _small_classes(index: Index) -> list[Problem]:
    """Return a warning for each class with hardly anything to learn from, or nothing to be judged by."""
    problems = []
    for name, counts in zip(index.classes, index.counts().tolist(), strict=True):
        lacking = [split for split, count in zip(SPLITS, counts, strict=True) if not count and index.has(split)]
        if lacking:
            reason = f"only {sum(counts)} pictures: none of them in {' and '.join(lacking)}"
        elif counts[TRAIN] < SMALL_CLASS:
            reason = f"only {counts[TRAIN]} training pictures; expect little of this class below {SMALL_CLASS}"
        else:
            continue
        problems.append(Problem(f"{name}/", "small_class", reason))
    return problems
