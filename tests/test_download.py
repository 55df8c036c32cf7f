"""Downloads from a server on this machine that breaks off, lies, and serves the wrong bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from glassnet import download as module
from glassnet.download import download
from glassnet.errors import DownloadError, InputError, StorageError

CONTENT = hashlib.shake_128(b"a data set").digest(600_000)
CHECKSUM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


class Mirror(ThreadingHTTPServer):
    """A server whose paths misbehave in one way each; `requests` lists (path, first byte asked for)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.requests: list[tuple[str, int]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed breaks the connection; that is part of the tests."""


class Answer(BaseHTTPRequestHandler):
    """One method per path: what the server of that name does."""

    server: Mirror

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.server.requests.append((name, self.first))
        getattr(self, name.replace("-", "_"))()

    def log_message(self, *_: object) -> None:
        pass

    def send(self, data: bytes, *, length: int | None = None, ranges: bool = True, stop: int | None = None) -> None:
        """Send `data` (from the byte asked for), claiming `length`, and hang up after byte `stop`."""
        first = self.first if ranges else 0
        if first and first >= len(data):
            return self.send_error(416)
        if first:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        length = len(data) if length is None else length
        self.send_header("Content-Length", str(max(0, length - first)))
        self.end_headers()
        self.wfile.write(data[first:stop])
        return None

    def good(self) -> None:
        self.send(CONTENT)

    def no_ranges(self) -> None:
        self.send(CONTENT, ranges=False)

    def breaks_off(self) -> None:
        self.send(CONTENT, stop=self.first + 100_000)

    def always_breaks_off_at_half(self) -> None:
        self.send(CONTENT, ranges=False, stop=HALF)

    def claims_more(self) -> None:
        self.send(CONTENT, length=len(CONTENT) + 1000)

    def claims_less(self) -> None:
        self.send(CONTENT, ranges=False, length=HALF)

    def wrong_bytes(self) -> None:
        self.send(CONTENT[:-1] + b"?")

    def wrong_bytes_in_pieces(self) -> None:
        self.send(CONTENT[:-1] + b"?", stop=HALF if not self.first else None)

    def portal(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>Please log in</html>")

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(1000):
            self.wfile.write(bytes(100_000))

    def wrong_range(self) -> None:
        if not self.first:
            return self.send(CONTENT, stop=HALF)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        return None

    def redirect(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/good")
        self.end_headers()

    def missing(self) -> None:
        self.send_error(404)

    def busy_twice(self) -> None:
        busy = sum(name == "busy-twice" for name, _ in self.server.requests) <= 2
        self.send_error(503) if busy else self.good()

    def stalls(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        time.sleep(1.0)

    def slow(self) -> None:
        self.send_response(206 if self.first else 200)
        if self.first:
            self.send_header("Content-Range", f"bytes {self.first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - self.first))
        self.end_headers()
        for start in range(self.first, len(CONTENT), 20_000):
            self.wfile.write(CONTENT[start : start + 20_000])
            time.sleep(0.02)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def fetch(mirror: Mirror, tmp_path: Path) -> Callable[..., Path]:
    """Download CONTENT from the mirrors named, to `data.gz` in a folder of its own."""

    def fetch(*mirrors: str, checksum: str = CHECKSUM, **options: object) -> Path:
        options = {"pause": 0.001, "timeout": 10.0} | options
        urls = [mirror.url + name for name in mirrors]
        return download("data.gz", urls, checksum, tmp_path / "cache" / "data.gz", **options)  # type: ignore[arg-type]

    return fetch


@pytest.mark.parametrize(
    "name, ranges_asked_for",
    [
        ("good", [0]),
        ("no-ranges", [0]),
        ("breaks-off", [0, 100_000, 200_000, 300_000, 400_000, 500_000]),  # more often than there are tries
        ("claims-more", [0]),
        ("busy-twice", [0, 0, 0]),
    ],
)
def test_one_mirror_is_enough(
    fetch: Callable[..., Path], mirror: Mirror, name: str, ranges_asked_for: list[int]
) -> None:
    path = fetch(name)
    assert path.read_bytes() == CONTENT
    assert mirror.requests == [(name, first) for first in ranges_asked_for]
    assert sorted(p.name for p in path.parent.iterdir()) == [".lock", "data.gz"]


def test_a_redirection_is_followed(fetch: Callable[..., Path], mirror: Mirror) -> None:
    assert fetch("redirect").read_bytes() == CONTENT
    assert mirror.requests == [("redirect", 0), ("good", 0)]


def test_an_md5_serves_too(fetch: Callable[..., Path]) -> None:
    assert fetch("good", checksum="md5:" + hashlib.md5(CONTENT).hexdigest()).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "name, reason, tries",
    [
        ("always-breaks-off-at-half", "it broke off after 300000 of 600000 bytes", 3),
        ("claims-less", "what it sent (300000 bytes, ", 1),
        ("wrong-bytes", "does not have the checksum sha256:", 1),
        ("wrong-bytes-in-pieces", "what it sent (600000 bytes, ", 2),
        ("portal", "26 bytes, text/html", 1),
        ("wrong-range", "asked for bytes from 300000 on, it sent bytes 7-599999/600000", 2),
        ("missing", "HTTP 404", 1),
        ("endless", "more than the 600000 bytes", 1),
    ],
)
def test_a_bad_mirror_gives_way_to_the_next(
    fetch: Callable[..., Path], mirror: Mirror, name: str, reason: str, tries: int
) -> None:
    with pytest.raises(DownloadError) as raised:
        fetch(name, size=len(CONTENT))
    assert f"cannot download data.gz:\n  {mirror.url}{name}: " in str(raised.value)
    assert reason in str(raised.value)
    assert str(Path("cache") / "data.gz") in str(raised.value)  # where to put it by hand
    assert len(mirror.requests) == tries
    path = fetch(name, "good", size=len(CONTENT))
    assert path.read_bytes() == CONTENT


def test_a_silent_server_times_out(fetch: Callable[..., Path]) -> None:
    with pytest.raises(DownloadError, match="timed out"):
        fetch("stalls", timeout=0.05, attempts=1)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"http://127.0.0.1:9/x: not reached: .*\n  file:///x: not an http"):
        download("x", ["http://127.0.0.1:9/x", "file:///x"], CHECKSUM, tmp_path / "x", pause=0.001, attempts=2)
    with pytest.raises(DownloadError, match="no mirror is known"):
        download("x", [], CHECKSUM, tmp_path / "x")


def test_every_mirror_is_listed_with_its_reason(fetch: Callable[..., Path]) -> None:
    with pytest.raises(DownloadError, match=r"(?s)missing: HTTP 404.*\n.*portal: what it sent"):
        fetch("missing", "portal")


def test_the_next_mirror_goes_on_where_the_last_one_stopped(fetch: Callable[..., Path], mirror: Mirror) -> None:
    assert fetch("always-breaks-off-at-half", "good", attempts=1).read_bytes() == CONTENT
    assert mirror.requests == [("always-breaks-off-at-half", 0), ("good", HALF)]


def test_a_wrong_beginning_from_elsewhere_is_fetched_again(
    fetch: Callable[..., Path], mirror: Mirror, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "data.gz.part").write_bytes(b"an older version")
    assert fetch("good").read_bytes() == CONTENT
    assert mirror.requests == [("good", 16), ("good", 0)]


@pytest.mark.parametrize("surplus", [b"", b"more than there is"])
def test_a_part_as_long_as_the_file_or_longer(fetch: Callable[..., Path], tmp_path: Path, surplus: bytes) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "data.gz.part").write_bytes(CONTENT + surplus)
    assert fetch("good").read_bytes() == CONTENT


def test_a_file_that_is_there_is_not_fetched_again(fetch: Callable[..., Path], mirror: Mirror) -> None:
    fetch("good")
    fetch("missing")
    assert mirror.requests == [("good", 0)]


def test_a_damaged_file_is_replaced(fetch: Callable[..., Path]) -> None:
    fetch("good").write_bytes(b"damaged")
    assert fetch("good").read_bytes() == CONTENT


def test_progress_runs_to_the_end(fetch: Callable[..., Path]) -> None:
    seen: list[tuple[int, int | None]] = []
    fetch("breaks-off", progress=lambda done, total: seen.append((done, total)))
    counts = [done for done, _ in seen]
    assert counts == sorted(counts)
    assert seen[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("checksum", ["", "sha256:abc", "sha1:" + 40 * "0", "md5:" + 32 * "G"])
def test_a_checksum_of_another_form_is_refused(fetch: Callable[..., Path], mirror: Mirror, checksum: str) -> None:
    with pytest.raises(InputError, match="expected 'sha256:' or 'md5:'"):
        fetch("good", checksum=checksum)
    assert mirror.requests == []


def test_a_full_disk_stops_and_keeps_what_came(
    fetch: Callable[..., Path], mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all = module.write_all

    def full(file: object, data: bytes) -> None:
        write_all(file, data[:1000])  # type: ignore[arg-type]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_all", full)
    with pytest.raises(StorageError, match=r"data.gz.part.*disk is full"):
        fetch("good", "no-ranges")
    assert mirror.requests == [("good", 0)], "another mirror does not help against a full disk"
    monkeypatch.undo()
    assert fetch("good").read_bytes() == CONTENT
    assert mirror.requests[1:] == [("good", 1000)]


CHILD = """if True:
    import sys
    from pathlib import Path
    from glassnet.download import download
    download("data.gz", [sys.argv[1]], sys.argv[2], Path(sys.argv[3]))
"""


def start(url: str, target: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(Path(module.__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-c", CHILD, url, CHECKSUM, str(target)], env=environment)


def test_of_two_processes_at_once_one_downloads(mirror: Mirror, tmp_path: Path) -> None:
    children = [start(mirror.url + "slow", tmp_path / "data.gz") for _ in range(2)]
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    assert mirror.requests == [("slow", 0)]
    assert (tmp_path / "data.gz").read_bytes() == CONTENT


def test_a_killed_download_is_taken_up_where_it_stopped(
    fetch: Callable[..., Path], mirror: Mirror, tmp_path: Path
) -> None:
    part = tmp_path / "cache" / "data.gz.part"
    child = start(mirror.url + "slow", part.with_suffix(""))
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.005)
    child.kill()
    child.wait()
    have = part.stat().st_size
    assert 0 < have < len(CONTENT)
    assert fetch("good").read_bytes() == CONTENT
    assert mirror.requests == [("slow", 0), ("good", have)]


def test_the_beginning_of_a_sha256_is_enough(fetch: Callable[..., Path], mirror: Mirror) -> None:
    path = fetch("wrong-bytes", "good", checksum=CHECKSUM[: len("sha256:") + 8])
    assert path.read_bytes() == CONTENT
    assert [name for name, _ in mirror.requests] == ["wrong-bytes", "good"]
