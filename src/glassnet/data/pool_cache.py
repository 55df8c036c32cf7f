"""The cache of decoded pictures: one folder per (data, preprocess), bounded in size, safe with several processes.

An entry is one file, written under a temporary name and renamed when whole: the pixels (N, h, w, C) uint8, then as a
`.npz` each picture's difference hash and CRC-32 and the list of pictures that failed, then a footer. A file that is
cut off or altered does not pass the check and is made again.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from glassnet.errors import StorageError
from glassnet.files import FolderLock, atomic_path, cache_folder, cache_limit, make_room, remove_leftovers
from glassnet.preprocess import Pixels

Hashes = npt.NDArray[np.uint64]
Failure = tuple[int, str, str]  # item number, kind of problem, reason
Rows = Iterable[tuple[Pixels, Hashes, list[Failure]]]
Shape = tuple[int, int, int, int]

IN_MEMORY = 256 << 20  # pools of at most this many bytes are read, larger ones mapped
SAMPLES = 64  # pictures of a mapped pool that are checked before it is used
PATIENCE = 86_400.0  # seconds to wait for another process that is making the same entry
FOOTER = struct.Struct("<8sQI")  # mark, bytes of the .npz before it, its CRC-32
MARK = b"glassnp1"


@dataclass(frozen=True)
class Pool:
    """Decoded pictures (n, h, w, C) uint8 of those items that could be decoded, in order; hashes (n,) uint64."""

    pixels: Pixels
    hashes: Hashes
    failures: list[Failure]


class PoolCache:
    """The folder `pictures` of the cache. `$GLASSNET_CACHE_LIMIT` bounds it (bytes, or 500MB, 20GB; default 20GB)."""

    def __init__(self) -> None:
        self.folder = cache_folder("pictures")
        self.limit = cache_limit()

    def get(
        self,
        name: str,
        shape: Shape,
        rows: Callable[[], Rows],
        outdated: Callable[[list[Failure]], bool],
    ) -> Pool:
        """Return entry `name`, made of `rows()` where it is missing, broken, or `outdated` by what failed then.

        Two processes that ask for the same entry make it once. Raises `StorageError` where it cannot be written.
        """
        path = self.folder / name / "pool.bin"
        if (pool := self._read(path, shape)) and not outdated(pool.failures):
            return pool
        if (size := int(np.prod(shape, dtype=np.int64))) > self.limit:
            raise StorageError(f"{size / 1e9:.1f} GB of pictures exceed the cache's limit; raise GLASSNET_CACHE_LIMIT")
        with FolderLock(path.parent, wait=PATIENCE):
            if (pool := self._read(path, shape)) and not outdated(pool.failures):
                return pool  # the process that we waited for made it
            remove_leftovers(path.parent)
            make_room(self.folder, "*/pool.bin", self.limit - size, keep=path)
            with atomic_path(path) as temporary:
                _write(temporary, rows())
        made = self._read(path, shape)
        if made is None:
            raise StorageError(f"{str(path)!r} was written but does not read back the same; check the disk")
        return made

    def _read(self, path: Path, shape: Shape) -> Pool | None:
        """Return what a whole and unaltered file holds, else None."""
        try:
            pool = _read(path, shape)
            os.utime(path)  # the least recently used entry is the first to go
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, struct.error):
            return None  # not whole: it is made again
        return pool


def _write(path: Path, rows: Rows) -> None:
    hashes: list[Hashes] = []
    checks: list[int] = []
    failures: list[Failure] = []
    with path.open("wb") as file:
        for pixels, row_hashes, failed in rows:
            file.write(pixels.data)
            checks.extend(zlib.crc32(picture) for picture in pixels)
            hashes.append(row_hashes)
            failures.extend(failed)
        about = io.BytesIO()
        np.savez(
            about,
            hashes=np.concatenate(hashes) if hashes else np.zeros(0, np.uint64),
            checks=np.array(checks, dtype=np.uint32),
            items=np.array([item for item, _, _ in failures], dtype=np.int64),
            kinds=np.array([kind for _, kind, _ in failures], dtype=np.str_),
            reasons=np.array([reason for _, _, reason in failures], dtype=np.str_),
        )
        data = about.getvalue()
        file.write(data + FOOTER.pack(MARK, len(data), zlib.crc32(data)))


def _read(path: Path, shape: Shape) -> Pool:
    """Read an entry, or raise `ValueError` (or what NumPy and struct raise) where it is not whole and unaltered."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - FOOTER.size))
        mark, length, check = FOOTER.unpack(file.read())
        if mark != MARK or length + FOOTER.size > end:
            raise ValueError("the cache file's footer is broken")
        file.seek(end - FOOTER.size - length)
        data = file.read(length)
    if zlib.crc32(data) != check:
        raise ValueError("the cache file's description is broken")
    with np.load(io.BytesIO(data), allow_pickle=False) as about:
        hashes, checks = about["hashes"], about["checks"]
        failures = list(zip(about["items"].tolist(), about["kinds"].tolist(), about["reasons"].tolist(), strict=True))
    rows = (len(checks), *shape[1:])
    size = int(np.prod(rows, dtype=np.int64))
    if size + length + FOOTER.size != end or len(checks) + len(failures) != shape[0]:
        raise ValueError("the cache file has another size than it says")
    pixels = _pixels(path, rows, size)
    sampled = range(len(checks)) if size <= IN_MEMORY else np.linspace(0, len(checks) - 1, SAMPLES).astype(int).tolist()
    if any(zlib.crc32(pixels[row]) != checks[row] for row in sampled):
        raise ValueError("the cache file's pixels are not those that were written")
    return Pool(pixels=pixels, hashes=hashes, failures=failures)


def _pixels(path: Path, rows: tuple[int, ...], size: int) -> Pixels:
    if size > IN_MEMORY:
        return np.memmap(path, dtype=np.uint8, mode="r", shape=rows)
    return np.fromfile(path, dtype=np.uint8, count=size).reshape(rows)
