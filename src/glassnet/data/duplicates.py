"""Copies: exact ones by a hash of the content, near ones by a hash of what the picture looks like.

The difference hash of a picture has one bit for each of 8 x 8 neighbouring pairs of a 9 x 8 thumbnail: is it brighter
to the right? Rescaling, recompression and slight changes of brightness move few bits (N. Krawetz, "Kind of Like That",
2013). Two hashes of at most t differing bits agree wholly in at least one of t + 1 bands of bits (pigeonhole), so only
pictures that share a band are compared (M. Norouzi et al., "Fast Search in Hamming Space with Multi-Index Hashing",
2012).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glassnet.data.problems import Problem
from glassnet.data.splits import SPLITS, TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    from glassnet.data.index import Index
    from glassnet.data.listing import Listing

BITS = 64
NEAR = 4  # bits of 64 that may differ between two pictures that are called near-duplicates
_PLAIN = 6  # a hash with fewer bits set (or unset) is of a picture with almost nothing in it, and says nothing
_BLOCK = 1 << 22  # pairs compared at once: 32 MB
_PIXELS = 1 << 18  # pixels reduced to thumbnails at once: what fits into a processor's cache
_STEP = 1.0  # grey levels by which a neighbour must be brighter: in flat areas noise must not set bits
_CORRELATION = 0.95  # of the thumbnails of two copies, at least
_SHIFT = 40  # where the distance stands above the item's number


def exact_copies(digests: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
    """Return the groups of items with one content: each (n,) int64, ascending, n >= 2.

    digests: (N, d) uint8 content hashes; a row of zeros is unknown and equals nothing.
    """
    known = np.flatnonzero(digests.any(axis=1))
    rows = np.ascontiguousarray(digests[known]).view(f"V{digests.shape[1]}").reshape(-1)
    _, numbers, counts = np.unique(rows, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(counts[numbers] > 1)
    order = repeated[np.argsort(numbers[repeated], kind="stable")]
    starts = np.flatnonzero(np.diff(numbers[order])) + 1
    return [known[group] for group in np.split(order, starts) if len(group)]


def copy_problems(copies: list[NDArray[np.int64]], listing: Listing) -> dict[int, Problem]:
    """Return the problem of each item that must give way because it is a copy: {item: problem}.

    Copies of one class: the first of the most held-out split stays (test before validation before train), so that test
    sets stay as they were given; a copy in an earlier split is a `leak`, one in the same split a `duplicate`. Copies of
    different classes are a `conflicting_label`, all of them. Held-out items of published sets are only `repeated`.
    """
    problems = {}
    for group in copies:
        conflict = len(set(listing.labels[group].tolist())) > 1
        ranks = np.zeros(len(group), np.int8) if listing.splits is None else listing.splits[group]
        stays = int(group[np.argmax(ranks)])
        for item, rank in zip(group.tolist(), ranks.tolist(), strict=True):
            if conflict:
                other = int(group[listing.labels[group] != listing.labels[item]][0])
                kind = "conflicting_label"
                reason = (
                    f"it is an exact copy of {listing.where(other)}, but that is labelled {_label(listing, other)!r}"
                )
            elif item != stays:
                kind = "leak" if rank < ranks.max() else "duplicate"
                where = f" in {listing.split_of(stays)}" if kind == "leak" else ""
                reason = f"it is an exact copy of {listing.where(stays)}{where}"
            else:
                continue
            if listing.official and rank != TRAIN:
                kind, reason = "repeated", f"{reason}; kept, because the set is a published one"
            problems[item] = Problem(listing.where(item), kind, reason, listing.split_of(item))
    return problems


def _label(listing: Listing, item: int) -> str:
    return listing.classes[int(listing.labels[item])]


def difference_hash(pool: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the difference hashes, (N,) uint64, of pictures (N, h, w, C) uint8 with h >= 8 and w >= 9.

    Smaller pictures have too few pixels to be told apart by it and give zeros, which are near to nothing.
    """
    count, height, width, _ = pool.shape
    hashes = np.zeros(count, np.uint64)
    if height < 8 or width < 9:
        return hashes
    step = max(1, _PIXELS // (height * width))
    for start in range(0, count, step):
        thumbnails = _thumbnails(pool[start : start + step])  # (n, 8, 9)
        bits = np.diff(thumbnails, axis=2) > _STEP  # (n, 8, 8)
        hashes[start : start + step] = np.packbits(bits.reshape(len(bits), BITS), axis=1).view(">u8").reshape(-1)
    return hashes


def _thumbnails(pool: NDArray[np.uint8], rows: int = 8, columns: int = 9) -> NDArray[np.float64]:
    """Return grey thumbnails, (n, rows, columns), of pictures (n, h, w, C): the mean of each cell of an even grid.

    Means of whole cells, not a few sampled pixels: noise and compression average out. (A product with matrices of 0
    and 1 takes half the time alone, but ten times as long when decoding threads and BLAS threads share the cores.)
    """
    _, height, width, channels = pool.shape
    down, across = (np.linspace(0, size, cells + 1).astype(int) for size, cells in ((height, rows), (width, columns)))
    lines = pool.reshape(len(pool), height, width * channels)
    # Band by band with `sum`, whose inner loop runs along a whole line: 5 times as fast as one `reduceat` over rows.
    bands = [lines[:, top:bottom].sum(axis=1, dtype=np.uint32) for top, bottom in itertools.pairwise(down)]
    sums = np.add.reduceat(np.stack(bands, axis=1), across[:-1] * channels, axis=2)  # (n, rows, columns)
    means: NDArray[np.float64] = sums / (np.outer(np.diff(down), np.diff(across)) * channels)
    return means


def count_bits(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return how many bits are set in each value (H. S. Warren, Hacker's Delight, figure 5-2); NumPy 1 has none."""
    two, four, eight = (np.uint64(mask) for mask in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F))
    pairs = values - ((values >> np.uint64(1)) & two)
    quads = (pairs & four) + ((pairs >> np.uint64(2)) & four)
    octets = (quads + (quads >> np.uint64(4))) & eight
    bits: NDArray[np.uint64] = (octets * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return bits.astype(np.uint8)


def nearest_hashes(
    left: NDArray[np.uint64], right: NDArray[np.uint64], threshold: int = NEAR
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each left[i] the nearest right[j]: j, and how many bits differ, each (len(left),) int64.

    Both are -1 where no hash on the right is within `threshold` bits; of several nearest the first is taken. Exact: no
    hash within the threshold is missed. Memory grows with the number of hashes, not of pairs.
    """
    left_values, left_of = np.unique(left, return_inverse=True)
    right_values, right_first = np.unique(right, return_index=True)
    far = (threshold + 1) << _SHIFT
    best = np.full(len(left_values), far, np.int64)  # distance and j in one number, so that the smaller one is nearer
    for band in range(threshold + 1):
        # Every fifth bit, not five in a row: an empty corner would make a whole band the same in most pictures.
        mask = np.uint64(sum(1 << bit for bit in range(band, BITS, threshold + 1)))
        for rows, columns in _same_band(left_values & mask, right_values & mask):
            distance = count_bits(left_values[rows] ^ right_values[columns]).astype(np.int64)
            np.minimum.at(best, rows, (distance << _SHIFT) + right_first[columns])
    found = (best < far)[left_of]
    return np.where(found, best[left_of] & ((1 << _SHIFT) - 1), -1), np.where(found, best[left_of] >> _SHIFT, -1)


def _same_band(
    left: NDArray[np.uint64], right: NDArray[np.uint64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield, in blocks of bounded size, all pairs (i, j) with left[i] == right[j]."""
    order = np.argsort(right, kind="stable")
    first, last = (np.searchsorted(right[order], left, side) for side in ("left", "right"))
    counts = (last - first).astype(np.int64)
    ends = np.cumsum(counts)
    start = 0
    while start < len(left):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _BLOCK, "right")))
        part = counts[start:stop]
        rows = np.repeat(np.arange(start, stop), part)
        offsets = np.arange(len(rows)) - np.repeat(ends[start:stop] - part - before, part)
        yield rows, order[np.repeat(first[start:stop], part) + offsets]
        start = stop


def alike(pool: NDArray[np.uint8], left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether pool[left[p]] and pool[right[p]] are one picture, for P pairs: (P,) bool.

    They are where thumbnails of up to 32 x 32 correlate by at least 0.95. On clothing photographs a copy compressed to
    JPEG quality 35, shrunk to a third, brightened by 15 % or cropped by 2 pixels keeps 0.969 or more; different clothes
    before the same wall, which the hash alone cannot tell apart, reach 0.927.
    """
    side = min(32, *pool.shape[1:3])
    result = np.zeros(len(left), bool)
    step = max(1, _PIXELS // (pool.shape[1] * pool.shape[2]))
    for start in range(0, len(left), step):
        part = slice(start, start + step)
        one, other = (_thumbnails(pool[items[part]], side, side).reshape(-1, side * side) for items in (left, right))
        one, other = (values - values.mean(axis=1, keepdims=True) for values in (one, other))
        scale = np.sqrt((one * one).sum(axis=1) * (other * other).sum(axis=1))
        result[part] = ((one * other).sum(axis=1) >= _CORRELATION * scale) & (scale > 0)
    return result


def near_duplicate_problems(
    hashes: NDArray[np.uint64], index: Index, pool: NDArray[np.uint8] | None = None, threshold: int = NEAR
) -> list[Problem]:
    """Return a `near_duplicate` problem for each validation or test item that looks like one of an earlier split.

    hashes: (N,) uint64, `difference_hash` of the index's items in order. pool: their pictures, (N, h, w, C) uint8;
    where given, what the hashes suggest is looked at (see `alike`), and pictures that only share a backdrop are left
    out. Each item is named once, with the item nearest to it: a test item beside one of train (else validation), a
    validation item beside one of train. Pictures with almost nothing in them are left out. These only warn.
    """
    set_bits = count_bits(hashes)
    telling = (set_bits >= _PLAIN) & (set_bits <= BITS - _PLAIN)
    problems = []
    for split, earlier in ((VALIDATION, (TRAIN,)), (TEST, (TRAIN, VALIDATION))):
        held_out = np.flatnonzero(telling & (index.splits == split))
        others = np.concatenate([np.flatnonzero(telling & (index.splits == other)) for other in earlier])
        nearest, distances = nearest_hashes(hashes[held_out], hashes[others], threshold)
        items, twins, bits = held_out[nearest >= 0], others[nearest[nearest >= 0]], distances[nearest >= 0]
        if pool is not None:
            same = alike(pool, items, twins)
            items, twins, bits = items[same], twins[same], bits[same]
        for item, twin, differing in zip(items.tolist(), twins.tolist(), bits.tolist(), strict=True):
            reason = (
                f"it looks almost the same as {index.where(twin)} in {SPLITS[index.splits[twin]]}"
                f" ({differing} of {BITS} bits of their hashes differ)"
            )
            problems.append(Problem(index.where(item), "near_duplicate", reason, SPLITS[split]))
    return problems
