"""Download a file from a list of mirrors: resumed, checked, and either whole or absent.

The bytes collect in `target.part`. A connection that breaks is taken up where it broke; a mirror that fails, lies about
the length or serves other bytes gives way to the next; only a file with the right checksum takes the target's name.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from glassnet.errors import DownloadError, InputError
from glassnet.files import FolderLock, new_folder, replace_durably, storage_errors, write_all

Progress = Callable[[int, int | None], None]
"""Called with the bytes there so far and the bytes there will be, None while unknown."""

_BLOCK = 1 << 18
_AGENT = {"User-Agent": "glassnet", "Accept-Encoding": "identity"}


class _Failed(Exception):  # noqa: N818 - never leaves this file
    """One attempt failed. `final`: asking this mirror again cannot help."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What does not change from attempt to attempt."""

    part: Path
    checksum: str
    size: int | None
    progress: Progress | None
    timeout: float


def download(
    name: str,
    urls: Sequence[str],
    checksum: str,
    target: Path,
    progress: Progress | None = None,
    *,
    size: int | None = None,
    attempts: int = 3,
    pause: float = 1.0,
    timeout: float = 30.0,
) -> Path:
    """Bring the file `name` from the first of `urls` (http or https) that serves it, to `target`, and return `target`.

    checksum: `sha256:...` or `md5:...`, in hexadecimal; of a sha256 its first 8 digits or more are enough, for weights
    that are published with no more in their names. size: bytes, where known; a mirror that sends more is left.
    attempts: tries of one mirror without a byte more than before, `pause` seconds apart and doubling. timeout: seconds
    without any byte before a connection counts as broken. A `target` that has the checksum already is kept as it is;
    of several processes, one downloads and the others wait for it.

    Raises `DownloadError` with each mirror's reason, `StorageError` where the file cannot be written (what has come so
    far is kept for the next call), `InputError` for a checksum of another form.
    """
    if not re.fullmatch("sha256:[0-9a-f]{8,64}|md5:[0-9a-f]{32}", checksum):
        raise InputError(
            f"checksum {checksum!r} has an unknown form; expected 'sha256:' or 'md5:' and lower-case digits"
        )
    new_folder(target.parent)
    with FolderLock(target.parent, wait=24 * 3600):
        if has_checksum(target, checksum):
            return target
        part = target.with_name(f"{target.name}.part")
        job = _Job(part=part, checksum=checksum, size=size, progress=progress, timeout=timeout)
        reasons = []
        for url in urls:
            try:
                _from_mirror(url, job, attempts, pause)
            except _Failed as failure:
                reasons.append(f"{url}: {failure}")
                continue
            with storage_errors(target, part, target.parent):
                replace_durably(part, target)
            return target
    listed = "".join(f"\n  {reason}" for reason in reasons) or "\n  (no mirror is known)"
    raise DownloadError(
        f"cannot download {name}:{listed}\ntry again later, or put the file at {str(target)!r} yourself"
    )


def has_checksum(path: Path, checksum: str) -> bool:
    """Return whether `path` is a file whose checksum begins with `checksum`, `sha256:...` or `md5:...`."""
    if not path.is_file():
        return False
    algorithm, _, expected = checksum.partition(":")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    return bool(expected) and digest.startswith(expected)


def _from_mirror(url: str, job: _Job, attempts: int, pause: float) -> None:
    """Bring `job.part` to the right checksum from one mirror, or raise `_Failed` with the last reason."""
    if not url.startswith(("http://", "https://")):
        raise _Failed("not an http or https address", final=True)
    furthest, tries = _size(job.part), 0
    from_elsewhere = furthest > 0  # the part's beginning may be another mirror's, or an older version
    while True:
        try:
            kind = _attempt(url, job)
        except _Failed as failure:
            # What breaks off after its end, from a server that lies about its length, is whole all the same.
            if has_checksum(job.part, job.checksum):
                return
            if _size(job.part) > furthest:
                furthest, tries = _size(job.part), 0
            tries += 1
            if failure.final or tries >= attempts:
                raise
            time.sleep(pause * 2 ** (tries - 1))
            continue
        if has_checksum(job.part, job.checksum):
            return
        length = _size(job.part)
        with storage_errors(job.part):
            job.part.unlink(missing_ok=True)
        if not from_elsewhere:
            raise _Failed(
                f"what it sent ({length} bytes, {kind}) does not have the checksum {job.checksum}", final=True
            )
        furthest, from_elsewhere = 0, False  # once more, all of it from here


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _attempt(url: str, job: _Job) -> str:
    """Ask `url` for what `job.part` still lacks and append it; return the content type it was sent as."""
    have = _size(job.part)
    headers = _AGENT | ({"Range": f"bytes={have}-"} if have else {})
    try:
        # Only http(s) addresses come here, and urllib follows redirections to nothing else but ftp.
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=job.timeout) as response:
            start, total = _range_of(response, have)
            _receive(response, job, start, total)
            return str(response.headers.get_content_type())
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # our part is as long as the file or longer; the checksum tells which
            return "all of it was here"
        raise _Failed(
            f"HTTP {error.code} {error.reason}", final=400 <= error.code < 500 and error.code != 429
        ) from error
    except urllib.error.URLError as error:
        raise _Failed(f"not reached: {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Failed(f"connection broken: {error or type(error).__name__}") from error


def _range_of(response: http.client.HTTPResponse, have: int) -> tuple[int, int | None]:
    """Return from which byte on the answer is, and the whole file's length as the server says it."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not match or int(match[1]) != have:
            raise _Failed(
                f"asked for bytes from {have} on, it sent {response.headers.get('Content-Range')}", final=True
            )
        return have, None if match[2] == "*" else int(match[2])
    # A server without ranges sends everything from the start.
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _receive(response: http.client.HTTPResponse, job: _Job, start: int, total: int | None) -> None:
    """Write the answer's bytes to `job.part` from byte `start` on; `total` is the length the file ought to reach."""
    done = start
    with storage_errors(job.part):
        file = job.part.open("r+b" if start else "wb", buffering=0)
    with file:
        file.seek(start)
        while block := response.read(_BLOCK):
            done += len(block)
            if job.size is not None and done > job.size:
                raise _Failed(f"it sends more than the {job.size} bytes the file has", final=True)
            with storage_errors(job.part):
                write_all(file, block)
            if job.progress:
                job.progress(done, job.size if job.size is not None else total)
    if total is not None and done < total:
        raise _Failed(f"it broke off after {done} of {total} bytes")
