"""What a file's first bytes tell: size as displayed, channels, a hash of its content, or what is wrong with it.

No pixels are decoded here. Files are read by threads: reading and hashing release Python's lock, and 200,000 tiny
files take well under a minute even so. What was learnt is kept by (path, size, time), so the next scan only asks the
file system whether anything changed.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glassnet.data.folders import FORMAT_OF_SUFFIX, os_problem
from glassnet.errors import PictureError
from glassnet.files import open_regular
from glassnet.preprocess import open_picture

Progress = Callable[[int, int], None]
HEAD = 1 << 18  # bytes: a file that is shorter is read and hashed in one go; of others the header is in here
DIGEST = 16  # bytes of BLAKE2b: chance collisions among a billion files are below 1e-20
_LARGEST = 1 << 30  # bytes: the largest file that is read whole where its first bytes do not tell enough
_CHUNK = 256  # files a task: enough to hide the cost of handing it to a thread
_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap height and width
_PNG_HINTS = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")


class Probe(NamedTuple):
    """One file: length in bytes, mtime in ns, displayed height and width, channels, content hash (b"" if not read
    whole), and the kind and reason of its problem ("" if none)."""

    length: int = 0
    mtime: int = 0
    height: int = 0
    width: int = 0
    channels: int = 0
    digest: bytes = b""
    kind: str = ""
    reason: str = ""


@dataclass
class Probes:
    """N files as columns: lengths and mtimes (N,) int64, sizes (N, 2) int32 height and width, channels (N,) int32,
    digests (N, 16) uint8 (zeros where unknown), problems {item: (kind, reason)}."""

    lengths: NDArray[np.int64]
    mtimes: NDArray[np.int64]
    sizes: NDArray[np.int32]
    channels: NDArray[np.int32]
    digests: NDArray[np.uint8]
    problems: dict[int, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def blank(cls, count: int) -> Probes:
        """Return the columns for `count` files of which nothing is known."""
        return cls(
            np.zeros(count, np.int64),
            np.zeros(count, np.int64),
            np.zeros((count, 2), np.int32),
            np.zeros(count, np.int32),
            np.zeros((count, DIGEST), np.uint8),
        )

    def put(self, item: int, probe: Probe) -> None:
        """Write one file's row."""
        self.lengths[item], self.mtimes[item] = probe.length, probe.mtime
        self.sizes[item], self.channels[item] = (probe.height, probe.width), probe.channels
        if probe.digest:
            self.digests[item] = np.frombuffer(probe.digest, np.uint8)
        if probe.kind:
            self.problems[item] = (probe.kind, probe.reason)


def probe_file(path: str, pixel_limit: int) -> Probe:
    """Read the header of the picture or `.npy` file `path`; whatever is wrong with it is in the result, not raised."""
    length = mtime = 0
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            length, mtime = status.st_size, status.st_mtime_ns
            data = file.read(HEAD)
            whole = len(data) < HEAD
            digest = hashlib.blake2b(data, digest_size=DIGEST).digest() if whole else b""
            height, width, channels, format_name = _header(data, file, length, pixel_limit)
        kind, reason = _check_suffix(path, format_name)
        return Probe(length, mtime, height, width, channels, digest, kind, reason)
    except PictureError as error:
        return Probe(length, mtime, kind=error.kind, reason=str(error))
    except OSError as error:
        problem = os_problem(path, error)
        return Probe(length, mtime, kind=problem.kind, reason=problem.reason)
    except ValueError as error:  # a name from a table may hold a zero byte, which no file's name can
        return Probe(kind="unreadable", reason=f"it cannot be opened: {error}")


def _header(data: bytes, file: io.FileIO, length: int, pixel_limit: int) -> tuple[int, int, int, str]:
    """Return displayed height and width, channels and format of the file that begins with `data`."""
    if data.startswith(np.lib.format.MAGIC_PREFIX):
        return (*_array_header(data, length, pixel_limit), "NPY")
    try:
        image = open_picture(data, pixel_limit=pixel_limit)
    except PictureError as error:
        if len(data) < HEAD or length > _LARGEST or not _may_need_all(data, error.kind):
            raise
        data += file.read()
        image = open_picture(data, pixel_limit=pixel_limit)
    with image:
        turned = _is_turned(image, data)
        width, height = image.size[::-1] if turned else image.size
        if not width or not height:
            raise PictureError(f"the picture has {width} x {height} pixels", kind="empty")
        grey = image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")
        return height, width, 1 if grey else 3, image.format or ""


def _may_need_all(data: bytes, kind: str) -> bool:
    """Whether a header that cannot be read is one of a format that keeps what is needed behind the pixels.

    TIFF, WebP and AVIF do; a film (also RIFF, also ftyp) among the pictures must not be read into memory for nothing.
    """
    if data.startswith(b"RIFF"):
        return data[8:12] == b"WEBP"
    return kind in ("unreadable", "truncated") or data[4:12] == b"ftypavif"


def _is_turned(image: Image.Image, data: bytes) -> bool:
    """Whether EXIF shows the picture on its side, other than `image.size` says.

    Pillow turns a TIFF itself. A PNG is asked only when it has such a block: Pillow would decode its pixels to look.
    """
    if image.format == "TIFF" or (image.format == "PNG" and not any(hint in data for hint in _PNG_HINTS)):
        return False
    try:
        return image.getexif().get(_ORIENTATION) in _TURNED
    except Exception:  # a broken EXIF block: the picture is shown as stored, as `Preprocess` does
        return False


def _array_header(data: bytes, length: int, pixel_limit: int) -> tuple[int, int, int]:
    """Return height, width and channels of a `.npy` file of (H, W) or (H, W, C) numbers."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read(stream)
    except (ValueError, KeyError, EOFError) as error:
        raise PictureError(f"its .npy header cannot be read: {error}", kind="unreadable") from error
    if dtype.kind not in "uifb" or len(shape) not in (2, 3):
        what = f"an array of shape {shape} and type {dtype}"
        raise PictureError(f"{what} came, expected numbers of shape (H, W) or (H, W, C)", kind="not_a_picture")
    if math.prod(shape) == 0:
        raise PictureError(f"the array has the shape {shape}", kind="empty")
    if shape[0] * shape[1] > pixel_limit:
        raise PictureError(f"{shape[1]} x {shape[0]} pixels are more than the limit of {pixel_limit:,}", kind="bomb")
    needed = stream.tell() + math.prod(shape) * dtype.itemsize
    if length < needed:
        raise PictureError(f"its header promises {needed:,} bytes, it has {length:,}", kind="truncated")
    return shape[0], shape[1], shape[2] if len(shape) == 3 else 1


def _check_suffix(path: str, format_name: str) -> tuple[str, str]:
    """Return the problem of a name that promises another format than the file has, ("", "") where it does not."""
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - as above: 200,000 of them
    same = {"MPO": "JPEG", "DIB": "BMP"}.get(format_name, format_name)
    if not suffix or FORMAT_OF_SUFFIX.get(suffix, same if suffix[1:].upper() == same else "") == same:
        return "", ""
    return "wrong_extension", f"it is called {suffix} but holds {same}; it is used, but rename it"


def probe_files(
    root: Path,
    paths: Sequence[str],
    *,
    pixel_limit: int,
    workers: int | None = None,
    known: Probes | None = None,
    progress: Progress | None = None,
) -> Probes:
    """Probe every file, in threads, and hash the content of each whose length another one shares.

    known: what an earlier scan found, row by row, with length -1 where it does not know the file: a row whose length
    and time still hold is taken over. workers: threads; None chooses. progress(done, total): files done of all.
    """
    full = [os.path.join(root, path) for path in paths]  # noqa: PTH118 - Path objects cost 10 times as much
    probes = Probes.blank(len(paths)) if known is None else known
    expected = list(zip(probes.lengths.tolist(), probes.mtimes.tolist(), strict=True)) if known else None

    def one(item: int) -> Probe | None:
        if expected is not None and _unchanged(full[item], *expected[item]):
            return None
        return probe_file(full[item], pixel_limit)

    with ThreadPoolExecutor(workers or default_workers()) as pool:
        for item, probe in enumerate(_in_chunks(pool, one, range(len(full)))):
            if probe is not None:
                probes.put(item, probe)
            if progress is not None and ((item + 1) % _CHUNK == 0 or item + 1 == len(full)):
                progress(item + 1, len(full))
        _hash_large_twins(probes, full, pool)
    return probes


def default_workers() -> int:
    """Return how many threads read files: a few more than processors, because they wait for the disk."""
    return min(16, (os.cpu_count() or 1) + 2)


def _in_chunks(
    pool: ThreadPoolExecutor, function: Callable[[int], Probe | None], items: Sequence[int]
) -> Iterator[Probe | None]:
    """Yield function(item) in order, computed by the pool a chunk at a time."""
    chunks = (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
    for results in pool.map(lambda chunk: [function(item) for item in chunk], chunks):
        yield from results


def _unchanged(path: str, length: int, mtime: int) -> bool:
    if length < 0:
        return False
    try:
        status = os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return False  # the probe that follows says what is wrong
    return status.st_size == length and status.st_mtime_ns == mtime and stat.S_ISREG(status.st_mode)


def _hash_large_twins(probes: Probes, full: list[str], pool: ThreadPoolExecutor) -> None:
    """Hash whole the files too long for one read that could be copies of each other: those of equal length."""
    large = np.flatnonzero((probes.lengths >= HEAD) & (probes.channels > 0))
    _, inverse, counts = np.unique(probes.lengths[large], return_inverse=True, return_counts=True)
    twins = [item for item in large[counts[inverse] > 1].tolist() if not probes.digests[item].any()]
    for item, result in zip(twins, pool.map(lambda item: _digest(full[item]), twins), strict=True):
        if isinstance(result, bytes):
            probes.digests[item] = np.frombuffer(result, np.uint8)
        else:
            probes.problems[item] = result


def _digest(path: str) -> bytes | tuple[str, str]:
    """Return the hash of a whole file, or the kind and reason of the problem where it can no longer be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST)).digest()
    except (OSError, PictureError) as error:
        problem = os_problem(path, error) if isinstance(error, OSError) else None
        return (problem.kind, problem.reason) if problem else ("unreadable", str(error))
