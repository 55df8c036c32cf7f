"""Probing: sizes, channels and hashes from headers alone, and files that mean harm."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from glassnet.data import probe as probe_module
from glassnet.data.probe import HEAD, Probe, Probes, probe_file, probe_files
from glassnet.data.probe_cache import cache_file, recall, remember
from glassnet.preprocess import PIXEL_LIMIT

LONG_AGO = 1_700_000_000


def probe(path: Path, pixel_limit: int = PIXEL_LIMIT) -> Probe:
    return probe_file(str(path), pixel_limit)


def noise(height: int, width: int, channels: int = 3) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", zlib.compress(bytes(11))) + chunk(b"IEND", b"")
    )


class TestHeaders:
    @pytest.mark.parametrize(
        "mode, suffix, channels",
        [
            *[
                ("L", ".png", 1),
                ("1", ".png", 1),
                ("I;16", ".png", 1),
                ("LA", ".png", 1),
                ("L", ".jpg", 1),
                ("L", ".pgm", 1),
            ],
            *[("RGB", ".png", 3), ("RGBA", ".png", 3), ("P", ".gif", 3), ("CMYK", ".jpg", 3), ("RGB", ".webp", 3)],
            *[("RGB", ".bmp", 3), ("F", ".tif", 1), ("RGB", ".ppm", 3), ("LAB", ".tif", 3)],
        ],
    )
    def test_size_and_channels(self, tmp_path: Path, mode: str, suffix: str, channels: int) -> None:
        path = tmp_path / f"a{suffix}"
        Image.new(mode, (7, 5)).save(path)
        found = probe(path)
        assert (found.height, found.width, found.channels, found.kind) == (5, 7, channels, "")
        assert found.digest == hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
        assert (found.length, found.mtime) == (path.stat().st_size, path.stat().st_mtime_ns)

    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_the_size_is_the_displayed_one(self, tmp_path: Path, suffix: str, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"a{suffix}"
        Image.new("RGB", (32, 16)).save(path, exif=exif)
        with Image.open(path) as image:
            displayed = ImageOps.exif_transpose(image).size
        assert (probe(path).width, probe(path).height) == displayed == ((16, 32) if orientation >= 5 else (32, 16))

    @pytest.mark.parametrize("make", ["jpeg", "tiff", "webp", "png"])
    def test_a_header_behind_the_first_read(self, tmp_path: Path, make: str) -> None:
        path = tmp_path / f"a.{make}"
        if make == "jpeg":
            noise(30, 20).save(path, icc_profile=b"x" * (HEAD + 1000))
        else:
            options = {"tiff": {"compression": "tiff_deflate"}, "webp": {"lossless": True}, "png": {}}[make]
            noise(400, 300).save(path, **options)
        assert path.stat().st_size > HEAD
        found = probe(path)
        expected = (30, 20) if make == "jpeg" else (400, 300)
        assert (found.height, found.width, found.kind) == (*expected, "")
        assert found.digest == b""

    def test_no_pixels_are_decoded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        for name in ("a.png", "b.jpg", "c.gif", "d.tif"):
            noise(20, 20).save(tmp_path / name, **({"exif": exif} if name == "b.jpg" else {}))

        def load(*_: Any) -> None:
            raise AssertionError("pixels were decoded")

        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
        for path in tmp_path.iterdir():
            assert probe(path).kind == ""

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # `scan` keeps Pillow's warnings to itself
    def test_broken_exif_hurts_nobody(self, tmp_path: Path) -> None:
        Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
        found = probe(tmp_path / "a.jpg")
        assert (found.width, found.height, found.kind) == (6, 4, "")


class TestManyChannels:
    @pytest.mark.parametrize(
        "array, expected",
        [
            (np.zeros((5, 7, 6), np.uint8), (5, 7, 6)),
            (np.zeros((5, 7), np.uint16), (5, 7, 1)),
            (np.zeros((5, 7, 3)), (5, 7, 3)),
        ],
    )
    def test_npy(self, tmp_path: Path, array: np.ndarray, expected: tuple[int, int, int]) -> None:
        np.save(tmp_path / "a.npy", array)
        found = probe(tmp_path / "a.npy")
        assert (found.height, found.width, found.channels, found.kind) == (*expected, "")

    @pytest.mark.parametrize(
        "array, kind, reason",
        [
            (np.zeros((5, 7, 6, 2), np.uint8), "not_a_picture", "shape (5, 7, 6, 2)"),
            (np.zeros(5, np.uint8), "not_a_picture", "expected numbers of shape (H, W) or (H, W, C)"),
            (np.zeros((5, 7), complex), "not_a_picture", "complex128"),
            (np.zeros((5, 0, 3), np.uint8), "empty", "shape (5, 0, 3)"),
            (np.array([["x", None]], object), "not_a_picture", "object"),
        ],
        ids=["four axes", "one axis", "complex", "no pixels", "pickle"],
    )
    def test_npy_of_something_else(self, tmp_path: Path, array: np.ndarray, kind: str, reason: str) -> None:
        np.save(tmp_path / "a.npy", array, allow_pickle=True)
        found = probe(tmp_path / "a.npy")
        assert found.kind == kind
        assert reason in found.reason

    def test_npy_that_promises_more_than_it_holds(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.zeros((50, 70, 4), np.uint8))
        data = (tmp_path / "a.npy").read_bytes()
        (tmp_path / "a.npy").write_bytes(data[:-1])
        assert probe(tmp_path / "a.npy").kind == "truncated"
        (tmp_path / "a.npy").write_bytes(data.replace(b"(50, 70, 4)", b"(90000, 90000, 4)"))
        assert probe(tmp_path / "a.npy").kind in ("unreadable", "bomb")  # as the header's length still fits or not
        (tmp_path / "a.npy").write_bytes(data[:20])
        assert probe(tmp_path / "a.npy").kind == "unreadable"


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        "name, data, kind, reason",
        [
            ("a.jpg", b"", "empty", "0 bytes"),
            ("a.jpg", b"<html>404 not found</html>", "not_a_picture", "no picture format"),
            ("a.txt", b"just words", "not_a_picture", "no picture format"),
            ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not_a_picture", "no picture format"),
            ("a.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF", "truncated", "Truncated"),
            ("a.png", png(60_000, 60_000), "bomb", "60000 x 60000 pixels are more than the limit of 200,000,000"),
            ("a.png", png(0, 10), "", ""),
        ],
        ids=["empty", "page", "words", "postscript", "cut off", "bomb", "no width"],
    )
    def test_the_kind_and_the_reason(self, tmp_path: Path, name: str, data: bytes, kind: str, reason: str) -> None:
        (tmp_path / name).write_bytes(data)
        found = probe(tmp_path / name)
        if kind:
            assert found.kind == kind
            assert reason in found.reason
        else:
            assert found.kind in ("empty", "unreadable", "not_a_picture")

    def test_the_limit_is_ours_to_choose(self, tmp_path: Path) -> None:
        Image.new("L", (100, 100)).save(tmp_path / "a.png")
        assert probe(tmp_path / "a.png", 9_999).kind == "bomb"
        assert probe(tmp_path / "a.png", 10_000).kind == ""
        (tmp_path / "large.png").write_bytes(png(20_000, 20_000))
        assert probe(tmp_path / "large.png", 400_000_000).kind == ""

    def test_a_comment_that_would_fill_the_memory(self, tmp_path: Path) -> None:
        bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200 << 20), 9))
        (tmp_path / "a.png").write_bytes(png(9, 1, *[bomb] * 3))
        tracemalloc.start()
        found = probe(tmp_path / "a.png")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 100 << 20
        assert found.kind in ("", "unreadable")

    @pytest.mark.parametrize("start", [b"RIFF\0\0\0\0AVI LIST", b"\0\0\0\x18ftypmp42", b"II*\0\xff\xff\xff\x7f"])
    def test_a_film_is_not_read_into_memory(self, tmp_path: Path, start: bytes) -> None:
        with (tmp_path / "a.avi").open("wb") as file:
            file.write(start)
            file.truncate(3 << 30)  # sparse: takes no room on the disk
        began = time.perf_counter()
        found = probe(tmp_path / "a.avi")
        assert found.kind in ("unreadable", "not_a_picture")
        assert time.perf_counter() - began < 1

    @pytest.mark.parametrize(
        "name, kind",
        [("a.jpg", "wrong_extension"), ("a.dat", "wrong_extension"), ("a", ""), ("a.png", ""), ("a.PNG", "")],
    )
    def test_a_name_that_promises_another_format(self, tmp_path: Path, name: str, kind: str) -> None:
        Image.new("L", (3, 3)).save(tmp_path / name, format="PNG")
        found = probe(tmp_path / name)
        assert found.kind == kind
        assert found.channels == 1
        if kind:
            assert f"called {Path(name).suffix} but holds PNG" in found.reason

    def test_what_is_no_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.png")
        (tmp_path / "folder.png").mkdir()
        (tmp_path / "ring.png").symlink_to("ring.png")
        found = {path.name: probe(path) for path in tmp_path.iterdir()}  # opening a pipe must not wait for a writer
        assert found["pipe.png"].kind == found["folder.png"].kind == "unreadable"
        assert found["ring.png"].kind == "symlink_loop"
        assert probe(Path("/dev/zero")).kind == "unreadable"
        assert probe_file("a\0b.png", PIXEL_LIMIT).kind == "unreadable"

    def test_a_file_that_vanishes_after_it_was_listed(self, tmp_path: Path) -> None:
        Image.new("L", (3, 3)).save(tmp_path / "a.png")
        probes = probe_files(tmp_path, ["a.png", "gone.png"], pixel_limit=PIXEL_LIMIT)
        assert probes.channels.tolist() == [1, 0]
        assert probes.problems[1][0] == "missing"

    @pytest.mark.parametrize(
        "error, kind, reason",
        [
            (PermissionError(13, "Permission denied"), "unreadable", "no permission to read it"),
            (OSError(5, "Input/output error"), "unreadable", "the system says: Input/output error"),
        ],
    )
    def test_a_file_that_cannot_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, kind: str, reason: str
    ) -> None:
        Image.new("L", (3, 3)).save(tmp_path / "a.png")

        def refuse(*_: Any) -> int:
            raise error

        monkeypatch.setattr("os.open", refuse)
        found = probe(tmp_path / "a.png")
        assert found.kind == kind
        assert reason in found.reason


class TestManyFiles:
    def test_order_workers_and_progress(self, tmp_path: Path) -> None:
        names = [f"{i}.png" for i in range(600)]
        for i, name in enumerate(names):
            Image.new("L", (1 + i % 50, 2)).save(tmp_path / name)
        calls: list[tuple[int, int]] = []
        for workers in (1, 4):
            calls.clear()
            probes = probe_files(
                tmp_path, names, pixel_limit=PIXEL_LIMIT, workers=workers, progress=lambda *done: calls.append(done)
            )
            assert probes.sizes[:, 1].tolist() == [1 + i % 50 for i in range(600)]
            assert calls == [(256, 600), (512, 600), (600, 600)]

    def test_large_files_are_hashed_only_where_the_lengths_agree(self, tmp_path: Path) -> None:
        data = b"P5 600 500 255\n" + noise(500, 600, 1).tobytes()
        for name, content in {"a": data, "b": data, "c": data[:-1] + b"\0", "d": data + b"\0"}.items():
            (tmp_path / f"{name}.pgm").write_bytes(content)
        probes = probe_files(tmp_path, [f"{name}.pgm" for name in "abcd"], pixel_limit=PIXEL_LIMIT)
        a, b, c, d = (digest.tobytes() for digest in probes.digests)
        assert a == b == hashlib.blake2b(data, digest_size=16).digest()
        assert c not in (a, d)
        assert d == bytes(16)
        assert probes.problems == {}

    def test_a_large_file_that_vanishes_before_it_is_hashed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = b"P5 600 500 255\n" + bytes(300_000)
        for name in ("a.pgm", "b.pgm"):
            (tmp_path / name).write_bytes(data)
        real = probe_module._digest

        def vanish(path: str) -> Any:
            Path(path).unlink()
            return real(path)

        monkeypatch.setattr(probe_module, "_digest", vanish)
        probes = probe_files(tmp_path, ["a.pgm", "b.pgm"], pixel_limit=PIXEL_LIMIT)
        assert {kind for kind, _ in probes.problems.values()} == {"missing"}


class TestMemory:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for i in range(5):
            Image.new("L", (3 + i, 2)).save(tmp_path / f"caf\udce9{i}.png")
        (tmp_path / "bad.png").write_bytes(b"nothing")
        for path in tmp_path.iterdir():
            os.utime(path, (LONG_AGO, LONG_AGO))
        return tmp_path

    def scan(self, folder: Path) -> tuple[list[str], Probes]:
        names = sorted(path.name for path in folder.iterdir())
        file = cache_file(folder, PIXEL_LIMIT)
        probes = probe_files(folder, names, pixel_limit=PIXEL_LIMIT, known=recall(file, names))
        assert remember(file, names, probes) == ""
        return names, probes

    def test_unchanged_files_are_not_read_again(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _, before = self.scan(folder)
        read: list[str] = []
        real = probe_module.probe_file

        def spy(path: str, limit: int) -> Probe:
            read.append(Path(path).name)
            return real(path, limit)

        monkeypatch.setattr(probe_module, "probe_file", spy)
        _, after = self.scan(folder)
        assert read == ["bad.png"]  # what is wrong with a file can be mended without its time changing
        for column in ("lengths", "mtimes", "sizes", "channels", "digests"):
            assert (getattr(before, column) == getattr(after, column)).all()
        assert before.problems == after.problems
        Image.new("RGB", (9, 9)).save(folder / "caf\udce92.png")
        Image.new("RGB", (8, 8)).save(folder / "new.png")
        read.clear()
        names, changed = self.scan(folder)
        assert sorted(read) == ["bad.png", "caf\udce92.png", "new.png"]
        assert changed.sizes[names.index("caf\udce92.png")].tolist() == [9, 9]
        assert changed.sizes[names.index("caf\udce94.png")].tolist() == [2, 7]

    def test_files_of_this_moment_are_not_trusted(self, tmp_path: Path) -> None:
        Image.new("L", (3, 2)).save(tmp_path / "a.png")
        self.scan(tmp_path)
        assert recall(cache_file(tmp_path, PIXEL_LIMIT), ["a.png"]) is None

    @pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no zip", None])
    def test_a_damaged_cache_is_none(self, folder: Path, damage: bytes | None) -> None:
        names, before = self.scan(folder)
        file = cache_file(folder, PIXEL_LIMIT)
        file.write_bytes(file.read_bytes()[:-40] if damage is None else damage)
        assert recall(file, names) is None
        assert (self.scan(folder)[1].sizes == before.sizes).all()

    def test_columns_that_do_not_fit_are_none(self, folder: Path) -> None:
        names, _ = self.scan(folder)
        file = cache_file(folder, PIXEL_LIMIT)
        with np.load(file) as stored:
            columns = dict(stored)
        for name, column in columns.items():
            buffer = io.BytesIO()
            np.savez(buffer, **(columns | {name: column[:-1]}))
            file.write_bytes(buffer.getvalue())
            if name != "names":
                assert recall(file, names) is None

    def test_a_cache_that_cannot_be_written_is_told(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        names, probes = self.scan(folder)

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("pathlib.Path.write_bytes", full)
        assert "could not be kept" in remember(cache_file(folder, PIXEL_LIMIT), names, probes)

    def test_only_the_newest_are_kept(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("glassnet.data.probe_cache._KEPT", 2)
        self.scan(folder)
        file = cache_file(folder, PIXEL_LIMIT)
        for number in range(3):
            (file.parent / f"old{number}.npz").write_bytes(b"")
            os.utime(file.parent / f"old{number}.npz", (LONG_AGO + number, LONG_AGO + number))
        self.scan(folder)
        assert {path.name for path in file.parent.glob("*.npz")} >= {file.name}
        assert not (file.parent / "old0.npz").exists()
