"""Who learns, who chooses, who judges: train, validation and test, drawn by a seed and written down.

The draw is stratified: every class is divided by the same fractions. With groups (one patient, product or video) a
whole group goes to one side.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.problems import printable
from glassnet.errors import DataError, InputError
from glassnet.files import write_text

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLITS = ("train", "validation", "test")
_FILLING = (TRAIN, TEST, VALIDATION)  # what a class of one or two items is kept for first


def check_fractions(fractions: Sequence[float]) -> tuple[float, float, float]:
    """Return `fractions` (train, validation, test) as a tuple; raise `InputError` unless they share out the whole."""
    values = tuple(float(fraction) for fraction in fractions)
    finite = all(math.isfinite(value) and value >= 0 for value in values)
    if len(values) != 3 or not finite or values[0] <= 0 or abs(sum(values) - 1) > 1e-6:
        raise InputError(
            f"split is {tuple(fractions)}, expected the shares of train, validation and test: three numbers from 0 to 1"
            " that add up to 1, the first above 0"
        )
    return values[0], values[1], values[2]


def stratified_split(
    labels: NDArray[np.int64], fractions: Sequence[float], seed: int, groups: NDArray[np.object_] | None = None
) -> NDArray[np.int8]:
    """Draw a split, (N,) int8 of TRAIN, VALIDATION and TEST, that depends on nothing but the arguments.

    labels: (N,) int64 from 0. fractions: the shares of train, validation and test. Each class gets these shares, and
    at least one item in each split of a share above 0 if it has three items. groups: (N,) values of which equal ones
    get the same split; classes then get their shares as nearly as whole groups allow.

    Raises `InputError` where the fractions do not add up to 1.
    """
    shares = check_fractions(fractions)
    if groups is not None and len(labels):
        return _split_groups(labels, shares, seed, groups)
    splits = np.zeros(len(labels), np.int8)
    order = np.argsort(labels, kind="stable")
    for label, items in enumerate(np.split(order, np.cumsum(np.bincount(labels))[:-1]) if len(labels) else []):
        # A generator per class: a picture added to one class leaves the split of all other classes as it was.
        shuffled = np.random.default_rng([seed, label]).permutation(items)
        splits[shuffled] = np.repeat(np.arange(3, dtype=np.int8), share_out(len(items), shares, turn=label))
    return splits


def share_out(count: int, shares: Sequence[float], *, turn: int = 0) -> list[int]:
    """Return how many of `count` items go to each split: the largest remainders are rounded up, none is left empty.

    Of equal remainders the first is rounded up in an even `turn` and the last in an odd one: 40 classes of 10 would
    otherwise give validation twice what test gets.

    >>> share_out(10, (0.7, 0.15, 0.15)), share_out(3, (0.7, 0.15, 0.15))
    ([7, 2, 1], [1, 1, 1])
    """
    wanted = [share > 0 for share in shares]
    if count <= sum(wanted):
        filled = [split for split in _FILLING if wanted[split]][:count]
        return [int(split in filled) for split in range(3)]
    exact = [round(count * share, 9) for share in shares]  # 10 * 0.15 is 1.5, not 1.4999999999999998
    counts = [math.floor(value) for value in exact]
    for split in sorted(range(3), key=lambda split: (counts[split] - exact[split], split * (-1) ** turn))[
        : count - sum(counts)
    ]:
        counts[split] += 1
    for split in range(3):
        if wanted[split] and not counts[split]:
            counts[split] += 1
            counts[counts.index(max(counts))] -= 1
    return counts


def _split_groups(
    labels: NDArray[np.int64], shares: tuple[float, float, float], seed: int, groups: NDArray[np.object_]
) -> NDArray[np.int8]:
    """Give each group to the split that lacks most of what the group holds, large groups first.

    A class with no more groups left than splits without it goes to one of those first.
    """
    _, numbers = np.unique(groups.astype(str), return_inverse=True)
    table = _count_pairs(numbers, labels)  # per group: its classes and how many of each
    class_sizes = np.bincount(labels)
    need = np.array(
        [share_out(int(size), shares, turn=label) for label, size in enumerate(class_sizes)], float
    ).T  # (3, K)
    lacking = need > 0
    left = np.bincount(np.concatenate([classes for classes, _ in table]), minlength=len(class_sizes))
    shuffled = np.random.default_rng(seed).permutation(len(table))
    of_group = np.zeros(len(table), np.int8)
    for group in sorted(shuffled.tolist(), key=lambda group: -int(table[group][1].sum())):
        classes, counts = table[group]
        urgent = lacking[:, classes] & (left[classes] <= lacking[:, classes].sum(axis=0))
        gain = (np.minimum(need[:, classes], counts) / class_sizes[classes]).sum(axis=1)
        gain[[share == 0 for share in shares]] = -np.inf
        split = int(np.argmax(gain + urgent.sum(axis=1)))
        of_group[group] = split
        need[split, classes] -= counts
        lacking[split, classes] = False
        left[classes] -= 1
    splits: NDArray[np.int8] = of_group[numbers]
    return splits


def _count_pairs(
    groups: NDArray[np.int64], labels: NDArray[np.int64]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return for each group the classes in it, ascending, and how many items of each."""
    width = int(labels.max()) + 1
    pairs, counts = np.unique(groups * width + labels, return_counts=True)
    starts = np.flatnonzero(np.diff(pairs // width)) + 1
    return list(zip(np.split(pairs % width, starts), np.split(counts, starts), strict=True))


def complete_split(
    given: NDArray[np.int8] | None,
    labels: NDArray[np.int64],
    fractions: Sequence[float],
    seed: int,
    groups: NDArray[np.object_] | None = None,
) -> tuple[NDArray[np.int8], str]:
    """Return the split of every item, and in a sentence how it came about.

    given: what the source says, (N,) int8, or None. What it has stays; a missing validation or test set is drawn from
    train by its fraction; a source of train alone is divided like one without a split.

    Raises `DataError` where nothing is there to learn from, or where one group is on two given sides.
    """
    shares = check_fractions(fractions)
    present = set() if given is None else set(np.unique(given).tolist())
    if given is None or present <= {TRAIN}:
        how = " / ".join(f"{share:.0%}" for share in shares)
        return stratified_split(labels, shares, seed, groups), f"split drawn with seed {seed}: {how}"
    if TRAIN not in present:
        held = " and ".join(SPLITS[split] for split in sorted(present))
        raise DataError(f"there are only {held} pictures, none to train on; add a train folder, or evaluate with these")
    if groups is not None:
        _refuse_torn_groups(given, groups)
    missing = [split for split in (VALIDATION, TEST) if split not in present and shares[split] > 0]
    if not missing:
        return given, "split as the source gives it"
    taken = [shares[split] if split in missing else 0.0 for split in (VALIDATION, TEST)]
    train = np.flatnonzero(given == TRAIN)
    drawn = stratified_split(labels[train], (1 - sum(taken), *taken), seed, None if groups is None else groups[train])
    splits = given.copy()
    splits[train] = drawn
    what = " and ".join(f"{shares[split]:.0%} for {SPLITS[split]}" for split in missing)
    return splits, f"split as the source gives it, and {what} drawn from train with seed {seed}"


def _refuse_torn_groups(given: NDArray[np.int8], groups: NDArray[np.object_]) -> None:
    names, numbers = np.unique(groups.astype(str), return_inverse=True)
    sides = np.zeros((len(names), 3), bool)
    sides[numbers, given] = True
    torn = names[sides.sum(axis=1) > 1]
    if len(torn):
        raise DataError(
            f"{len(torn):,} groups are on two sides of the split that the source gives (first: {str(torn[0])!r});"
            " correct its split column, or remove it to have the split drawn by groups"
        )


def write_split_csv(path: Path, items: Sequence[str], labels: Sequence[str], splits: NDArray[np.int8]) -> None:
    """Write down which item is in which split, as UTF-8 CSV (path, label, split), atomically.

    items: N places as `Index.where` gives them. Bytes of names that are not UTF-8 are kept as \\xNN escapes.
    Raises `StorageError` where the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "split"])
    names = [SPLITS[split] for split in splits.tolist()]
    writer.writerows(zip(map(printable, items), labels, names, strict=True))
    write_text(path, text.getvalue())


def read_split_csv(path: Path) -> dict[str, str]:
    """Return what `write_split_csv` wrote: {printable path: split}. Raises `DataError` for another content."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the split {str(path)!r}: {error}") from error
    if not rows or not {"path", "split"} <= rows[0].keys() or any(row["split"] not in SPLITS for row in rows):
        raise DataError(f"{str(path)!r} is no split; expected the columns path, label, split with {', '.join(SPLITS)}")
    return {row["path"]: row["split"] for row in rows}
