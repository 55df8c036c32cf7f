"""Files that are either whole or absent: atomic writes, a lock on a folder, the cache folder.

A writer fills a temporary file beside its target; only a complete one, flushed to the disk, takes the target's name.
So a crash, a `kill -9` or a full disk leaves what was there before. Every failure to write is a `StorageError` that
names the path and says what to do.
"""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import socket
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from glassnet.errors import InputError, PictureError, RunLocked, StorageError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space or write elsewhere",
    errno.EFBIG: "the file system takes no file of this size; write elsewhere",
    errno.EROFS: "the file system is read-only; write elsewhere",
    errno.EACCES: "no permission; change the folder's permissions or write elsewhere",
    errno.EPERM: "not permitted; change the folder's permissions or write elsewhere",
    errno.ENOENT: "its folder does not exist; create it first",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
    errno.EISDIR: "a folder has this name; choose another path",
    errno.EEXIST: "a file has this name; choose another path",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}
if hasattr(errno, "EDQUOT"):
    _ADVICE[errno.EDQUOT] = "your disk quota is used up; free some space or write elsewhere"
_DISK_ITSELF = {errno.ENOSPC, errno.EFBIG, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}

_PARTIAL = ".partial"  # marks a temporary file of `atomic_path`; hidden, so that no scan takes it for a picture


@contextmanager
def storage_errors(path: Path, *also: Path) -> Iterator[None]:
    """Turn a failure to write `path` (or one of `also`) inside the block into a `StorageError` with advice.

    An `OSError` about some other file, such as a picture that could not be read, passes through unchanged.
    """
    try:
        yield
    except Exception as error:
        if (number := _error_number(error, {str(path), *map(str, also)})) is None:
            raise
        advice = _ADVICE.get(number, "check the disk and the path")
        raise StorageError(f"cannot write {str(path)!r}: {os.strerror(number)} ({advice})") from error


def _error_number(error: Exception, ours: set[str]) -> int | None:
    """Return the errno of a failed write to one of `ours`, None for an error that is not about them."""
    if isinstance(error, OSError) and error.errno is not None:
        about_us = error.filename is None or os.fsdecode(error.filename) in ours or error.errno in _DISK_ITSELF
        return error.errno if about_us else None
    # safetensors and other libraries written in Rust hide the number in their message.
    match = re.search(r"\(os error (\d+)\)", str(error))
    return int(match[1]) if match else None


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target` to write to; on success the file there becomes `target`, at once.

    The temporary keeps the target's suffix, because writers choose their format by it. On success the file is flushed
    to the disk and renamed, and its folder flushed; on any failure it is removed and `target` stays as it was. A
    symbolic link is followed: what it points to is replaced.

    Raises `StorageError` when the disk, the folder or the permissions do not allow it.
    """
    with storage_errors(target):
        final = Path(os.path.realpath(target))
        in_the_way = final.exists() and not final.is_file()
    if in_the_way:
        raise StorageError(f"cannot write {str(target)!r}: it is a folder or a device, not a file; choose another path")
    temporary = final.with_name(f".{final.stem[:40]}-{secrets.token_hex(6)}{_PARTIAL}{final.suffix}")
    try:
        with storage_errors(target, temporary, final, final.parent):
            temporary.touch(exist_ok=False)  # with the permissions that the user's umask gives to new files
            mode = (final if final.exists() else temporary).stat().st_mode
            yield temporary
            temporary.chmod(stat.S_IMODE(mode))  # some writers put a file of their own there, readable by nobody else
            replace_durably(temporary, final)
    finally:
        with suppress(OSError):  # nothing to remove after success; after a failure, that failure is the one to report
            temporary.unlink()


def open_regular(path: str) -> io.FileIO:
    """Open a file for reading, but no pipe or device: opening a pipe would wait for a writer for ever."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    file = io.FileIO(os.open(path, flags))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise PictureError("it is a folder, device, pipe or socket, not a file", kind="unreadable")
    return file


class _Enough(Exception):  # noqa: N818 - says that nothing shall be written
    pass


def check_writable(target: Path) -> None:
    """Raise the `StorageError` that `atomic_path(target)` would: before the work whose result goes there."""
    with suppress(_Enough), atomic_path(target):
        raise _Enough


def replace_durably(source: Path, target: Path) -> None:
    """Rename `source` to `target` in the same folder so that a power cut leaves the old file or the whole new one."""
    with source.open("rb+") as file:
        os.fsync(file.fileno())
    source.replace(target)
    if os.name != "nt":  # Windows cannot open a folder; NTFS journals the rename itself
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove the temporary files that a killed writer left in `folder` and return them.

    Only for a folder that this process has locked: another writer's unfinished file looks the same.
    """
    leftovers = [path for path in folder.glob(f".*-*{_PARTIAL}*") if path.is_file()]
    for path in leftovers:
        with storage_errors(path):
            path.unlink(missing_ok=True)
    return leftovers


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically (see `atomic_path`)."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically, with its line ends as they are (see `atomic_path`)."""
    write_bytes(path, text.encode("utf-8"))


def append_line(path: Path, text: str) -> None:
    """Append `text` and a line end to `path` (made if missing) and hand it to the operating system at once.

    When the disk has no room for the whole line, the file keeps its old length and `StorageError` is raised.
    """
    with storage_errors(path), path.open("ab", buffering=0) as file:
        length = file.seek(0, os.SEEK_END)
        try:
            write_all(file, text.encode("utf-8") + b"\n")
        except OSError:
            with suppress(OSError):  # the failed write is the one to report
                file.truncate(length)
            raise


def write_all(file: io.FileIO, data: bytes) -> None:
    """Write all of `data` to an unbuffered file: a single `write` may take only a part of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def new_folder(path: Path) -> Path:
    """Make the folder `path` with its parents where missing and return it; raise `StorageError` where that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = _ADVICE.get(error.errno or 0, "check the path")
        raise StorageError(f"cannot make the folder {str(path)!r}: {error.strerror} ({reason})") from error
    return path


def cache_path(*parts: str) -> Path:
    """Return where `cache_folder(*parts)` is or would be, without making it.

    The cache is `$GLASSNET_CACHE`, else `$XDG_CACHE_HOME/glassnet`, else `~/.cache/glassnet`.
    """
    if chosen := os.environ.get("GLASSNET_CACHE"):
        root = Path(chosen).expanduser()
    elif shared := os.environ.get("XDG_CACHE_HOME"):
        root = Path(shared) / "glassnet"
    else:
        root = Path.home() / ".cache" / "glassnet"
    return root.joinpath(*parts)


def cache_folder(*parts: str) -> Path:
    """Return the folder `parts` of the cache, made where missing; everything in it can be made or fetched again."""
    try:
        return new_folder(cache_path(*parts))
    except StorageError as error:
        raise StorageError(f"{error}; set GLASSNET_CACHE to a folder that you can write") from error


def cache_limit() -> int:
    """Return the bytes that each kind of cached data may take: `$GLASSNET_CACHE_LIMIT`, or 20 GB."""
    return parse_size(os.environ.get("GLASSNET_CACHE_LIMIT") or "20GB")


def parse_size(text: str) -> int:
    """Return the bytes that "500MB", "20 GB" or "1000000" mean; raise `InputError` for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)B?\s*", text, re.IGNORECASE)
    if not match:
        raise InputError(f"GLASSNET_CACHE_LIMIT is {text!r}, expected a size such as 500MB or 20GB")
    return int(float(match[1]) * {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}[match[2].upper()])


def make_room(folder: Path, pattern: str, allowed: int, keep: Path) -> None:
    """Remove the least recently used files of `folder` that match `pattern` until all take at most `allowed` bytes.

    `keep` stays. A file is used when its modification time is set: whoever reads one calls `os.utime`.
    """
    found = []
    for path in folder.glob(pattern):
        with suppress(FileNotFoundError):  # another process was faster
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= allowed:
            return
        if path != keep:
            with suppress(OSError):  # in use on Windows: it goes the next time
                path.unlink()
                total -= size


class FolderLock:
    """Only one process at a time inside the block: an exclusive lock on `folder/.lock`.

    The operating system releases the lock when its holder ends, however it ends, so no stale lock is ever left; the
    file `.lock` stays and names the holder while there is one.

    folder: made where missing. wait: seconds to wait for another holder before giving up; 0 gives up at once.
    Raises `RunLocked`, naming the holder's process and host, and `StorageError` where the folder cannot be written.
    """

    def __init__(self, folder: Path, *, wait: float = 0.0) -> None:
        self.folder, self.wait = folder, wait
        self._descriptor: int | None = None

    def __enter__(self) -> FolderLock:
        path = new_folder(self.folder) / ".lock"
        with storage_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._acquire(descriptor, path)
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def _acquire(self, descriptor: int, path: Path) -> None:
        deadline = time.monotonic() + self.wait
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                holder = path.read_text(encoding="utf-8", errors="replace") or "another process"
                raise RunLocked(
                    f"{str(self.folder)!r} is in use by {holder}; wait for it to end, or choose another folder"
                )
            time.sleep(min(0.05, max(0.0, deadline - time.monotonic())))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
            _unlock(descriptor)
            os.close(descriptor)


_LOCKED_BYTE = 1 << 30  # Windows locks bytes and hides them from readers: one far behind the holder's name


def _try_lock(descriptor: int) -> bool:
    """Take the exclusive lock if it is free; say whether it was."""
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK):
            return False
        raise StorageError(f"this file system cannot lock files ({error.strerror}); choose a local folder") from error
    return True


def _unlock(descriptor: int) -> None:
    # Said aloud, not left to close(): a forked child may hold a copy of the descriptor, and with it the lock.
    if sys.platform == "win32":
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
