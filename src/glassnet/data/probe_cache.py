"""What a scan learnt about files, kept for the next scan: a row holds while the file's length and time do.

One file per root folder and pixel limit under the cache's `index/`. Rows with problems are not kept: a permission can
be mended without the file's time changing. Nor are files younger than two seconds: they may be written again within
one tick of the file system's clock.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from glassnet.data.probe import Probes
from glassnet.errors import StorageError
from glassnet.files import cache_folder, write_bytes

_VERSION = 1  # of the columns and of how `probe` fills them
_KEPT = 32  # roots: about 15 MB each for 200,000 files
_TICK = 2_000_000_000  # ns: the coarsest clock of a file system in use (FAT)
_COLUMNS = ("lengths", "mtimes", "sizes", "channels", "digests")


def cache_file(root: Path, pixel_limit: int) -> Path:
    """Return where the rows for `root` are kept. Raises `StorageError` where there can be no cache."""
    key = f"{_VERSION}\0{root.resolve()}\0{pixel_limit}"
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return cache_folder("index") / f"{name}.npz"


def recall(file: Path, paths: Sequence[str]) -> Probes | None:
    """Return what `file` knows about `paths`, row by row, with length -1 where nothing; None without a usable cache."""
    try:
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as stored:
            columns = {name: stored[name] for name in _COLUMNS}
            names = stored["names"].tobytes().decode("utf-8", "surrogateescape").split("\0")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # no cache yet, or a damaged one: it is made anew
    rows = {name: row for row, name in enumerate(names)}
    found = np.fromiter((rows.get(path, -1) for path in paths), np.int64, len(paths))
    blank = Probes.blank(len(paths))
    if any(
        len(column) != len(names) or column.shape[1:] != getattr(blank, name).shape[1:]
        for name, column in columns.items()
    ):
        return None
    here = found >= 0
    for name, column in columns.items():
        getattr(blank, name)[here] = column[found[here]]
    blank.lengths[~here] = -1
    return blank


def remember(file: Path, paths: Sequence[str], probes: Probes) -> str:
    """Keep the sound rows of `probes` for the next scan; return "" or, in a sentence, why that was not possible."""
    keep = probes.mtimes < time.time_ns() - _TICK
    keep[list(probes.problems)] = False
    names = "\0".join(paths[item] for item in np.flatnonzero(keep).tolist())
    if not names:
        return ""
    encoded = np.frombuffer(names.encode("utf-8", "surrogateescape"), np.uint8)
    columns = {name: getattr(probes, name)[keep] for name in _COLUMNS}
    buffer = io.BytesIO()
    np.savez(buffer, names=encoded, **columns)
    try:
        write_bytes(file, buffer.getvalue())
    except StorageError as error:
        return f"what the scan found could not be kept for the next one: {error}"
    _forget_oldest(file.parent)
    return ""


def _forget_oldest(folder: Path) -> None:
    """Keep the `_KEPT` most recently written files of the cache."""
    with suppress(OSError):  # another process may tidy up at the same moment
        files = sorted(folder.glob("*.npz"), key=os.path.getmtime, reverse=True)
        for file in files[_KEPT:]:
            file.unlink(missing_ok=True)
