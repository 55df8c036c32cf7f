"""Pictures: every picture of an index decoded once, by `Preprocess.intermediate`, into one uint8 array.

The array lies in a cache file under a name made of the data's fingerprint and the preprocess's key; a small one is read
into memory, a large one mapped. While a picture is decoded its difference hash is taken too. Pictures that turn out to
be broken are quarantined and listed by name.
"""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import PIL

from glassnet.data.duplicates import difference_hash, near_duplicate_problems
from glassnet.data.index import Index
from glassnet.data.pool_cache import Failure, Hashes, Pool, PoolCache
from glassnet.data.problems import Problem
from glassnet.data.splits import SPLITS
from glassnet.errors import DataError, PictureError, StorageError
from glassnet.preprocess import Pixels, Preprocess

Progress = Callable[[int, int], None]  # (pictures done, all of them)
Decoded = tuple[Pixels, Hashes, list[Failure]]

CHUNK_BYTES = 1 << 20  # decoded bytes a thread makes at a time: single tiny pictures would cost more to hand over


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The usable pictures of an index: what is decoded, and under which preprocess.

    index: without the quarantined items, its problems complete; pool: (N, h, w, C) uint8 intermediates, item i at row
    i, in memory or mapped from the cache; labels: (N,) int64; hashes: (N,) uint64 difference hashes, None where the
    source was already an array.
    """

    index: Index
    pool: Pixels
    labels: npt.NDArray[np.int64]
    preprocess: Preprocess
    hashes: Hashes | None = None

    def __len__(self) -> int:
        return len(self.labels)


def load_pictures(
    index: Index,
    preprocess: Preprocess,
    *,
    workers: int | None = None,
    cache: bool = True,
    strict: bool = False,
    progress: Progress | None = None,
) -> Pictures:
    """Return the decoded pictures of `index`, from the cache where it has them.

    workers: decoding threads, as many as processors by default (Pillow decodes outside Python's lock). cache: keep the
    result on disk for the next time; where the disk does not allow it, memory is used and a note in the index says so.
    strict: raise `DataError` when pictures had to be quarantined. progress: called with (done, all).
    Raises `DataError` where no picture is left, `StorageError` where neither disk nor memory can hold them.
    """
    if _is_ready(index, preprocess):
        assert index.images is not None
        return Pictures(index=index, pool=index.images, labels=index.labels, preprocess=preprocess)
    decode = Decoder(index, preprocess, workers or _processors(), progress)
    pool, note = _from_cache(index, preprocess, decode) if cache else (None, None)
    if pool is None:
        pool = decode.into_memory()
    return _assemble(index, preprocess, pool, strict, note)


def _is_ready(index: Index, preprocess: Preprocess) -> bool:
    """Say whether the source is an array that already has the intermediate's shape."""
    wanted = (preprocess.store_height, preprocess.store_width, preprocess.channels)
    return index.images is not None and index.images.shape[1:] == wanted and index.images.dtype == np.uint8


def _from_cache(index: Index, preprocess: Preprocess, decode: Decoder) -> tuple[Pool | None, str | None]:
    """Return the pool from the cache, decoding into it first where it is not there; or None and a note why not."""
    try:
        # Another Pillow may bring another JPEG decoder, whose pixels differ in their last bit.
        name = f"{index.fingerprint[:32]}-{preprocess.key()}-pillow{PIL.__version__}"
        return PoolCache().get(name, decode.shape, decode.rows, decode.outdated), None
    except StorageError as error:
        if decode.nbytes > _memory() // 2:
            raise StorageError(
                f"{error}; the decoded pictures need {decode.nbytes / 1e9:.1f} GB, too much for memory alone:"
                " set GLASSNET_CACHE to a folder on a larger disk, or use a smaller picture size"
            ) from error
        return None, f"the decoded pictures are not kept for the next time: {error}"


def _assemble(index: Index, preprocess: Preprocess, pool: Pool, strict: bool, note: str | None) -> Pictures:
    """Quarantine what could not be decoded, report near-duplicates, and put everything together."""
    broken = [
        Problem(path=index.where(item), kind=kind, reason=reason, split=SPLITS[index.splits[item]])
        for item, kind, reason in pool.failures
    ]
    if broken and strict:
        raise DataError(f"{len(broken)} pictures cannot be decoded, and strict was asked: {_listed(broken)}")
    if not len(pool.pixels):
        raise DataError(f"none of the {len(index)} pictures of {index.name} can be decoded: {_listed(broken)}")
    usable = index.without([item for item, _, _ in pool.failures], broken)
    hashes = None if index.paths is None else pool.hashes
    if hashes is not None:
        usable = usable.without([], near_duplicate_problems(hashes, usable, pool.pixels))
    if note:
        usable = dataclasses.replace(usable, notes=[*usable.notes, note])
    return Pictures(index=usable, pool=pool.pixels, labels=usable.labels, preprocess=preprocess, hashes=hashes)


def _listed(problems: Sequence[Problem], most: int = 3) -> str:
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return "; ".join(str(problem) for problem in problems[:most]) + more


class Decoder:
    """Decodes an index's pictures in threads and yields them in order, a bounded number ahead."""

    def __init__(self, index: Index, preprocess: Preprocess, workers: int, progress: Progress | None) -> None:
        self.index, self.preprocess, self.workers, self.progress = index, preprocess, workers, progress
        self.shape = (len(index), preprocess.store_height, preprocess.store_width, preprocess.channels)
        self.nbytes = int(np.prod(self.shape, dtype=np.int64))

    def rows(self) -> Iterator[Decoded]:
        """Yield, in the index's order, decoded pictures (n, h, w, C), their hashes (n,), and those that failed."""
        step = max(1, min(64, CHUNK_BYTES // (self.nbytes // max(1, len(self.index)))))
        starts = deque(range(0, len(self.index), step))
        executor = ThreadPoolExecutor(self.workers, thread_name_prefix="decode")
        ahead: deque[Future[Decoded]] = deque()
        done = 0
        try:
            while starts or ahead:
                while starts and len(ahead) < 2 * self.workers:
                    start = starts.popleft()
                    ahead.append(executor.submit(self._decode, range(start, min(start + step, len(self.index)))))
                pixels, hashes, failures = ahead.popleft().result()
                done += len(pixels) + len(failures)
                if self.progress:
                    self.progress(done, len(self.index))
                yield pixels, hashes, failures
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

    def into_memory(self) -> Pool:
        """Decode everything into one array; raise `StorageError` where memory cannot hold it."""
        try:
            pixels = np.empty(self.shape, dtype=np.uint8)
        except MemoryError as error:
            raise StorageError(
                f"the decoded pictures need {self.nbytes / 1e9:.1f} GB of memory; use the cache or a smaller size"
            ) from error
        hashes: list[Hashes] = []
        failures: list[Failure] = []
        filled = 0
        for rows, row_hashes, failed in self.rows():
            pixels[filled : filled + len(rows)] = rows
            filled += len(rows)
            hashes.append(row_hashes)
            failures.extend(failed)
        return Pool(pixels=pixels[:filled], hashes=np.concatenate(hashes), failures=failures)

    def outdated(self, failures: list[Failure]) -> bool:
        """Say whether a picture that failed can be decoded now: a permission was granted, a disk is back."""
        return any(len(self._decode(range(item, item + 1))[0]) for item, _, _ in failures)

    def _decode(self, items: range) -> Decoded:
        pixels = np.empty((len(items), *self.shape[1:]), dtype=np.uint8)
        failures: list[Failure] = []
        for item in items:
            try:
                pixels[item - items.start - len(failures)] = self.preprocess.intermediate(self.index.source(item))
            except PictureError as error:
                failures.append((item, error.kind, str(error)))
        pixels = pixels[: len(items) - len(failures)]
        return pixels, difference_hash(pixels), failures


def _processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int:
    """Return the bytes of memory of this machine."""
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 8 << 30  # Windows does not say; an ordinary machine has this much
