"""Files are whole or absent: also after a SIGKILL, on a full disk, and with several processes at once."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from glassnet import files
from glassnet.errors import RunLocked, StorageError
from glassnet.files import (
    FolderLock,
    append_line,
    atomic_path,
    cache_folder,
    cache_path,
    new_folder,
    remove_leftovers,
    write_bytes,
    write_text,
)

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and limits")


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run Python `code` in a process of its own; it prints a line when it is ready."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    source = str(Path(files.__file__).parents[1])
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": source})


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_what_cannot_be_written_is_known_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    for name in ("old", "new"):
        files.check_writable(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"
    for target in (tmp_path / "none" / "x", tmp_path):
        with pytest.raises(StorageError, match="cannot write"):
            files.check_writable(target)


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "first\r\n")
    write_text(path, "Überraschung\n")
    assert path.read_bytes() == "Überraschung\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_is_hidden_beside_the_target_and_keeps_its_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / ("n" * 240 + ".png")) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"x")


def test_a_failure_inside_the_block_keeps_the_old_file_and_its_own_exception(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_bytes(path, b"old")

    def fail_half_way() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_about_another_file_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        (tmp_path / "a picture to read").read_bytes()


def test_a_link_is_followed(tmp_path: Path) -> None:
    new_folder(tmp_path / "there")
    write_bytes(tmp_path / "there" / "real", b"old")
    (tmp_path / "link").symlink_to(tmp_path / "there" / "real")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "real").read_bytes() == b"new"


@pytest.mark.parametrize(
    "target, advice",
    [
        ("missing/a", "create it first"),
        ("file/a", "a part of the path is a file"),
        (".", "a folder or a device"),
        ("n" * 300, "name is too long"),
    ],
)
def test_where_nothing_can_be_written_the_message_names_the_path(tmp_path: Path, target: str, advice: str) -> None:
    write_bytes(tmp_path / "file", b"x")
    with pytest.raises(StorageError, match=advice) as raised:
        write_bytes(tmp_path / target, b"x")
    assert str(tmp_path / target) in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@posix_only
def test_a_device_is_never_replaced() -> None:
    with pytest.raises(StorageError, match="a folder or a device"):
        write_bytes(Path("/dev/null"), b"x")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    "number, advice",
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.EDQUOT, "quota"),
        (errno.EIO, "check the disk"),
    ],
)
def test_what_the_disk_answers_becomes_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    write_bytes(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match=advice):
        write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_reported_by_a_rust_library_is_a_storage_error_too(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="disk is full"), atomic_path(tmp_path / "a"):
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")


@posix_only
def test_a_real_limit_leaves_the_old_file(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"old")
    code = """if True:
        import resource, sys
        from pathlib import Path
        from glassnet.errors import StorageError
        from glassnet.files import write_bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_bytes(Path(sys.argv[1]), bytes(5000))
        except StorageError as error:
            print(error)
    """
    output = start(code, tmp_path / "a").communicate()[0]
    assert "takes no file of this size" in output
    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


@posix_only
def test_killed_in_the_middle_of_a_write_the_old_file_stays(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"old")
    code = """if True:
        import sys, time
        from pathlib import Path
        from glassnet.files import atomic_path
        with atomic_path(Path(sys.argv[1])) as temporary:
            temporary.write_bytes(b"half of the n")
            print("ready", flush=True)
            time.sleep(60)
    """
    process = start(code, tmp_path / "a")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(remove_leftovers(tmp_path)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@posix_only
def test_killed_at_any_moment_a_file_is_one_whole_version(tmp_path: Path) -> None:
    code = """if True:
        import itertools, sys
        from pathlib import Path
        from glassnet.files import write_bytes
        for version in itertools.count():
            write_bytes(Path(sys.argv[1]), bytes([version % 251]) * 200_000)
            if version == 0:
                print("ready", flush=True)
    """
    for moment in range(5):
        process = start(code, tmp_path / "a")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.Random(moment).uniform(0.0, 0.05))
        kill(process)
        data = (tmp_path / "a").read_bytes()
        assert data == data[:1] * 200_000


def test_remove_leftovers_touches_nothing_else(tmp_path: Path) -> None:
    for name in ("network.safetensors", ".lock", ".hidden-note", "a.partial"):
        write_bytes(tmp_path / name, b"x")
    assert remove_leftovers(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 4


def test_lines_are_appended(tmp_path: Path) -> None:
    append_line(tmp_path / "metrics.jsonl", '{"step": 1}')
    append_line(tmp_path / "metrics.jsonl", '{"step": 2}')
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_line_for_which_the_disk_has_no_room_is_an_error() -> None:
    with pytest.raises(StorageError, match="disk is full"):
        append_line(Path("/dev/full"), "a line")


@posix_only
def test_a_line_that_does_not_fit_leaves_no_half_line(tmp_path: Path) -> None:
    code = """if True:
        import resource, sys
        from pathlib import Path
        from glassnet.errors import StorageError
        from glassnet.files import append_line
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        append_line(Path(sys.argv[1]), "x" * 59)
        try:
            append_line(Path(sys.argv[1]), "y" * 59)
        except StorageError:
            print("refused")
    """
    assert start(code, tmp_path / "m").communicate()[0] == "refused\n"
    assert (tmp_path / "m").read_text() == "x" * 59 + "\n"


def test_new_folder_makes_parents_and_says_what_is_in_the_way(tmp_path: Path) -> None:
    assert new_folder(tmp_path / "a" / "b").is_dir()
    assert new_folder(tmp_path / "a" / "b").is_dir()
    write_bytes(tmp_path / "file", b"x")
    with pytest.raises(StorageError, match=r"cannot make the folder '.*file/c'.*a part of the path is a file"):
        new_folder(tmp_path / "file" / "c")


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLASSNET_CACHE", str(tmp_path / "ours"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder("pictures") == tmp_path / "ours" / "pictures"
    monkeypatch.delenv("GLASSNET_CACHE")
    assert cache_path("index", "x") == tmp_path / "xdg" / "glassnet" / "index" / "x"
    assert not (tmp_path / "xdg").exists()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if os.name == "posix":
        assert cache_path() == tmp_path / "home" / ".cache" / "glassnet"


def test_a_cache_that_cannot_be_made_names_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(tmp_path / "file", b"x")
    monkeypatch.setenv("GLASSNET_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="set GLASSNET_CACHE to a folder"):
        cache_folder("pictures")


def test_the_second_lock_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    with FolderLock(tmp_path / "run"), pytest.raises(RunLocked, match=f"in use by process {os.getpid()} on "):
        FolderLock(tmp_path / "run").__enter__()
    with FolderLock(tmp_path / "run"), FolderLock(tmp_path / "other"):
        pass


HOLD = """if True:
    import sys, time
    from pathlib import Path
    from glassnet.files import FolderLock
    with FolderLock(Path(sys.argv[1])):
        print("locked", flush=True)
        time.sleep(float(sys.argv[2]))
"""


def test_a_killed_holder_releases_the_lock(tmp_path: Path) -> None:
    process = start(HOLD, tmp_path, 60)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(RunLocked, match=f"process {process.pid} on"):
        FolderLock(tmp_path).__enter__()
    kill(process)
    with FolderLock(tmp_path):
        pass


def test_a_waiting_lock_gets_its_turn(tmp_path: Path) -> None:
    process = start(HOLD, tmp_path, 0.3)
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(RunLocked), FolderLock(tmp_path, wait=0.05):
        pass
    with FolderLock(tmp_path, wait=30):
        pass
    process.communicate()


def test_a_file_system_without_locks_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def unsupported(*_: int) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(StorageError, match="cannot lock files"), FolderLock(tmp_path):
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_a_new_file_gets_the_usual_permissions_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("x")
    target = tmp_path / "target"
    with atomic_path(target) as temporary:
        temporary.unlink()
        temporary.touch(mode=0o600)  # as safetensors does
    assert target.stat().st_mode == plain.stat().st_mode
    target.chmod(0o640)
    with atomic_path(target) as temporary:
        temporary.write_text("y")
    assert target.stat().st_mode & 0o777 == 0o640
