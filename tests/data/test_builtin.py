"""The built-in data sets: the embedded one in full, the others on small ones of the same layout and a local server."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import importlib.util
import io
import re
import struct
import tarfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from glassnet.data import builtin
from glassnet.data.builtin import ArrayData, FolderData, describe, load, names
from glassnet.data.catalogue import CATALOGUE, BuiltIn, Remote
from glassnet.errors import DataError, DownloadError, UnknownName

REPOSITORY = Path(__file__).resolve().parents[2]
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
needs_debian = pytest.mark.skipif(
    not DEBIAN_FASHION.is_dir(), reason="needs Fashion-MNIST: apt-get install dataset-fashion-mnist"
)


def arrays(name: str, **options: object) -> ArrayData:
    data = load(name, **options)  # type: ignore[arg-type]
    assert isinstance(data, ArrayData)
    return data


# --- the embedded one ----------------------------------------------------------------------------------------------


def test_fashion_mini_is_balanced_and_ready() -> None:
    data = arrays("fashion-mini", download=False)
    assert data.images.shape == (12_000, 28, 28, 1)
    assert data.images.dtype == np.uint8
    assert data.images.flags.writeable, "torch.from_numpy warns about an array that is not"
    assert data.labels.dtype == np.int64
    assert np.bincount(data.labels[~data.is_test]).tolist() == [1000] * 10
    assert np.bincount(data.labels[data.is_test]).tolist() == [200] * 10
    assert data.classes[0] == "T-shirt/top"
    assert describe("fashion-mini").where == "embedded"


def test_fashion_mini_is_the_one_that_was_made() -> None:
    assert arrays("fashion-mini").fingerprint == "6f0bcb933499812c0fcd980e54af72c277463658ef63841751ffceeeab6b52ea"


def test_fashion_mini_is_small_and_has_its_licence_beside_it() -> None:
    sheets = list(builtin.EMBEDDED.glob("*.png"))
    assert sum(sheet.stat().st_size for sheet in sheets) <= 6_000_000
    assert "MIT License" in (builtin.EMBEDDED / "LICENSE-fashion-mnist.txt").read_text(encoding="utf-8")


def test_fashion_mini_loads_fast() -> None:
    seconds = []
    for _ in range(5):
        start = time.process_time()  # processor time of all threads: what else the machine does is not counted
        load("fashion-mini")
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.3


@needs_debian
def test_the_script_makes_fashion_mini_again(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make", REPOSITORY / "scripts" / "make_fashion_mini.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.make(DEBIAN_FASHION, tmp_path)
    made = builtin._read_sheets(CATALOGUE["fashion-mini"], tmp_path)
    assert made.fingerprint == arrays("fashion-mini").fingerprint


@needs_debian
def test_fashion_mini_is_a_part_of_fashion_mnist_train_from_train_and_test_from_test() -> None:
    whole, mini = arrays("fashion-mnist", download=False), arrays("fashion-mini")

    def keys(data: ArrayData, items: np.ndarray) -> set[tuple[bytes, int]]:
        return {(data.images[i].tobytes(), int(data.labels[i])) for i in np.flatnonzero(items)}

    assert keys(mini, ~mini.is_test) <= keys(whole, ~whole.is_test)
    assert keys(mini, mini.is_test) <= keys(whole, whole.is_test)


# --- the real ones, where this machine has them --------------------------------------------------------------------


@needs_debian
def test_fashion_mnist_has_the_published_mean_and_deviation() -> None:
    data = arrays("fashion-mnist", download=False)
    train = data.images[~data.is_test] / 255
    assert train.mean() == pytest.approx(0.2860, abs=1e-4)
    assert train.std() == pytest.approx(0.3530, abs=1e-4)
    assert describe("fashion-mnist").ready


def test_mnist_from_a_chosen_folder_has_the_published_mean_and_deviation(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLASSNET_DATA_FOLDER", str(shared_data))
    assert describe("mnist").where == str(shared_data / "mnist.npz")
    data = arrays("mnist", download=False)
    train = data.images[~data.is_test] / 255
    assert train.mean() == pytest.approx(0.1307, abs=1e-4)
    assert train.std() == pytest.approx(0.3081, abs=1e-4)


# --- the catalogue -------------------------------------------------------------------------------------------------


def test_the_catalogue_is_whole() -> None:
    assert names() == ("fashion-mini", "fashion-mnist", "mnist", "cifar10", "cifar100", "oxford-pets")
    counts = {name: len(entry.classes) for name, entry in CATALOGUE.items()}
    assert list(counts.values()) == [10, 10, 10, 10, 100, 37]
    for name in ("cifar100", "oxford-pets"):
        classes = CATALOGUE[name].classes
        assert list(classes) == sorted(set(classes)), "both number their classes in alphabetical order"
    assert "American Pit Bull Terrier" in CATALOGUE["oxford-pets"].classes


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "fashion-mini"])
def test_every_download_has_mirrors_a_checksum_and_no_pickle(name: str) -> None:
    for remote in CATALOGUE[name].remotes:
        assert re.fullmatch("sha256:[0-9a-f]{64}", remote.checksum)
        assert len(remote.urls) >= 2
        assert all(re.fullmatch(r"https?://\S+/" + re.escape(remote.name), url) for url in remote.urls)
        assert "python" not in remote.name, "CIFAR's python version is pickled"


def test_an_unknown_name_gets_the_nearest() -> None:
    for function in (load, describe):
        with pytest.raises(UnknownName, match="nearest: cifar10"):
            function("cifar-10")


# --- small data sets of the same layouts ---------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def tar(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


TRAIN = np.arange(6 * 2 * 2, dtype=np.uint8).reshape(6, 2, 2)
TEST = 100 + np.arange(3 * 2 * 2, dtype=np.uint8).reshape(3, 2, 2)
DIGITS = {
    "train-images-idx3-ubyte.gz": gzip.compress(idx(TRAIN), mtime=0),
    "train-labels-idx1-ubyte.gz": gzip.compress(idx(np.array([0, 1, 2, 0, 1, 2])), mtime=0),
    "t10k-images-idx3-ubyte.gz": gzip.compress(idx(TEST), mtime=0),
    "t10k-labels-idx1-ubyte.gz": gzip.compress(idx(np.array([2, 1, 0])), mtime=0),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address and the folder of a file server on this machine."""
    folder = tmp_path / "server"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/", folder
        running.shutdown()
        thread.join()


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Folders of this test's own for every place where data sets are looked for."""
    found = {name: tmp_path / name for name in ("chosen", "cache", "debian")}
    monkeypatch.setenv("GLASSNET_DATA_FOLDER", str(found["chosen"]))
    monkeypatch.setenv("GLASSNET_CACHE", str(found["cache"]))
    monkeypatch.setattr(builtin, "DEBIAN", found["debian"])
    return found | {"cache": found["cache"] / "data"}


def register(
    monkeypatch: pytest.MonkeyPatch, like: str, files: dict[str, bytes], url: str = "", **changes: object
) -> BuiltIn:
    """Put a data set called `small`, with the layout of `like` and these files, into the catalogue."""
    remotes = tuple(
        Remote(
            name=name,
            size=len(data),
            checksum="sha256:" + hashlib.sha256(data).hexdigest(),
            urls=(f"{url}absent/{name}", url + name),
        )
        for name, data in files.items()
    )
    entry = dataclasses.replace(CATALOGUE[like], name="small", remotes=remotes, **changes)  # type: ignore[arg-type]
    monkeypatch.setitem(CATALOGUE, "small", entry)
    return entry


@pytest.fixture
def digits(monkeypatch: pytest.MonkeyPatch, server: tuple[str, Path], places: dict[str, Path]) -> dict[str, Path]:
    register(monkeypatch, "mnist", DIGITS, server[0], train=6, test=3, height=2, width=2, classes=("a", "b", "c"))
    return places


def put(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def check_digits(data: ArrayData) -> None:
    assert data.images.tolist() == [*TRAIN[..., None].tolist(), *TEST[..., None].tolist()]
    assert data.labels.tolist() == [0, 1, 2, 0, 1, 2, 2, 1, 0]
    assert data.is_test.tolist() == [False] * 6 + [True] * 3


def test_idx_is_downloaded_once_into_the_cache(digits: dict[str, Path], server: tuple[str, Path]) -> None:
    assert describe("small").where == "download, 0 MB"
    assert not digits["cache"].exists(), "to describe a data set writes nothing"
    put(server[1], DIGITS)
    seen: list[tuple[int, int | None]] = []
    data = arrays("small", progress=lambda done, total: seen.append((done, total)))
    check_digits(data)
    total = sum(map(len, DIGITS.values()))
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    for name in DIGITS:
        (server[1] / name).unlink()
    assert describe("small").where == str(digits["cache"] / "small")
    assert arrays("small", download=False).fingerprint == data.fingerprint


def test_a_download_that_nobody_serves(digits: dict[str, Path]) -> None:
    with pytest.raises(DownloadError, match=r"cannot download train-images-idx3-ubyte.gz:(?s:.*)HTTP 404"):
        load("small")
    assert not describe("small").ready
    assert digits["cache"].is_dir()


def test_no_download_unless_allowed(digits: dict[str, Path]) -> None:
    with pytest.raises(DataError, match=r"'small' is not on this machine .*downloading was not allowed"):
        load("small", download=False)
    assert not digits["cache"].exists()


@pytest.mark.parametrize("place", ["chosen", "cache", "debian"])
@pytest.mark.parametrize("zipped", [True, False])
def test_every_place_is_looked_at(digits: dict[str, Path], place: str, zipped: bool) -> None:
    files = DIGITS if zipped else {name.removesuffix(".gz"): gzip.decompress(data) for name, data in DIGITS.items()}
    put(digits[place] / "small", files)
    assert describe("small").where == str(digits[place] / "small")
    check_digits(arrays("small", download=False))


def test_an_incomplete_folder_is_passed_over(digits: dict[str, Path]) -> None:
    put(digits["chosen"] / "small", dict(list(DIGITS.items())[:3]))
    put(digits["debian"] / "small", DIGITS)
    assert describe("small").where == str(digits["debian"] / "small")


def test_an_npz_of_its_name_serves_too(digits: dict[str, Path]) -> None:
    digits["chosen"].mkdir()
    path = digits["chosen"] / "small.npz"
    np.savez(path, x_train=TRAIN, y_train=[0, 1, 2, 0, 1, 2], x_test=TEST, y_test=[2, 1, 0])
    check_digits(arrays("small", download=False))
    np.savez(path, images=TRAIN, labels=[0, 1, 2, 0, 1, 2])
    with pytest.raises(DataError, match="has no x_test, x_train"):
        load("small")


@pytest.mark.parametrize(
    "name, data, reason",
    [
        ("train-images-idx3-ubyte.gz", idx(TRAIN[:5]), r"pictures \(5, 2, 2, 1\).* in train, expected \(6, 2, 2, 1\)"),
        ("t10k-labels-idx1-ubyte.gz", idx(np.array([2, 1])), r"labels \(2,\) in test, expected .* and \(3,\)"),
        ("t10k-labels-idx1-ubyte.gz", idx(np.array([2, 1, 3])), "labels 1 to 3 in test, expected 0 to 2"),
        ("train-images-idx3-ubyte.gz", idx(TRAIN)[:-1], "truncated"),
    ],
)
def test_what_is_not_as_published_is_refused(digits: dict[str, Path], name: str, data: bytes, reason: str) -> None:
    put(digits["debian"] / "small", DIGITS | {name: gzip.compress(data)})
    with pytest.raises(DataError, match=reason):
        load("small")


def test_the_same_pictures_have_the_same_fingerprint_and_others_another(digits: dict[str, Path]) -> None:
    put(digits["debian"] / "small", DIGITS)
    first = arrays("small")
    put(digits["chosen"] / "small", DIGITS)
    assert arrays("small").fingerprint == first.fingerprint
    changed = TRAIN.copy()
    changed[0, 0, 0] += 1
    put(digits["chosen"] / "small", {"train-images-idx3-ubyte.gz": gzip.compress(idx(changed))})
    assert arrays("small").fingerprint != first.fingerprint


def record(value: int, *labels: int) -> bytes:
    return bytes(labels) + bytes([value]) * 3072


def test_cifar10_reads_the_batches_in_order(
    monkeypatch: pytest.MonkeyPatch, server: tuple[str, Path], places: dict[str, Path]
) -> None:
    members = {
        "cifar-10-batches-bin/data_batch_2.bin": record(30, 3),
        "cifar-10-batches-bin/data_batch_1.bin": record(10, 1) + record(20, 2),
        "cifar-10-batches-bin/readme.html": b"<html>",
        "cifar-10-batches-bin/test_batch.bin": record(90, 9),
    }
    files = {"cifar-10-binary.tar.gz": tar(**members)}
    register(monkeypatch, "cifar10", files, server[0], train=3, test=1)
    put(server[1], files)
    data = arrays("small")
    assert data.labels.tolist() == [1, 2, 3, 9]
    assert data.images[:, 0, 0, 0].tolist() == [10, 20, 30, 90]
    assert [path.name for path in (places["cache"] / "small").glob("*.gz")] == ["cifar-10-binary.tar.gz"]


def test_cifar100_takes_the_fine_labels(monkeypatch: pytest.MonkeyPatch, places: dict[str, Path]) -> None:
    archive = tar(**{"cifar-100-binary/train.bin": record(1, 4, 99), "cifar-100-binary/test.bin": record(2, 5, 0)})
    register(monkeypatch, "cifar100", {"cifar-100-binary.tar.gz": archive}, train=1, test=1)
    put(places["chosen"] / "small", {"cifar-100-binary.tar.gz": archive})
    data = arrays("small")
    assert [data.classes[label] for label in data.labels] == ["worm", "apple"]


def test_cifar_from_an_archive_that_is_no_longer_zipped(
    monkeypatch: pytest.MonkeyPatch, places: dict[str, Path]
) -> None:
    archive = tar(**{"cifar-10-batches-bin/data_batch_1.bin": record(1, 4), "x/test_batch.bin": record(2, 5)})
    register(monkeypatch, "cifar10", {"cifar-10-binary.tar.gz": archive}, train=1, test=1)
    put(places["chosen"] / "small", {"cifar-10-binary.tar": gzip.decompress(archive)})
    assert arrays("small").labels.tolist() == [4, 5]


def test_a_damaged_cifar_archive(monkeypatch: pytest.MonkeyPatch, places: dict[str, Path]) -> None:
    archive = tar(**{"cifar-10-batches-bin/data_batch_1.bin": record(1, 4) * 100})
    register(monkeypatch, "cifar10", {"cifar-10-binary.tar.gz": archive})
    put(places["chosen"] / "small", {"cifar-10-binary.tar.gz": archive[: len(archive) // 2]})
    with pytest.raises(DataError, match=r"cannot be read as a tar archive: .*damaged or something else"):
        load("small")
    put(places["chosen"] / "small", {"cifar-10-binary.tar.gz": archive})
    with pytest.raises(DataError, match=r"holds no \.bin file for test"):
        load("small")


PETS = {
    "annotations.tar.gz": tar(
        **{
            "annotations/trainval.txt": b"Abyssinian_1 1 1 1\npug_7 26 2 15\n",
            "annotations/test.txt": b"yorkshire_terrier_9 37 2 25\n",
            "annotations/xmls/pug_7.xml": b"<annotation/>",
        }
    ),
    "images.tar.gz": tar(
        **{
            "images/Abyssinian_1.jpg": b"a cat",
            "images/pug_7.jpg": b"a dog",
            "images/yorkshire_terrier_9.jpg": b"another dog",
            "images/pug_7.mat": b"left over",
            "../escaped.jpg": b"!",
            "images/../../escaped.jpg": b"!",
            "/tmp/escaped.jpg": b"!",
        }
    ),
}


@pytest.fixture
def pets(monkeypatch: pytest.MonkeyPatch, server: tuple[str, Path], places: dict[str, Path]) -> Path:
    register(monkeypatch, "oxford-pets", PETS, server[0], train=2, test=1)
    return places["cache"] / "small"


def test_oxford_pets_is_unpacked_and_read_by_its_lists(pets: Path, server: tuple[str, Path]) -> None:
    put(server[1], PETS)
    data = load("small")
    assert isinstance(data, FolderData)
    assert data.root == pets
    assert data.paths == ["images/Abyssinian_1.jpg", "images/pug_7.jpg", "images/yorkshire_terrier_9.jpg"]
    assert [data.classes[label] for label in data.labels] == ["Abyssinian", "Pug", "Yorkshire Terrier"]
    assert data.is_test.tolist() == [False, False, True]
    assert (data.root / data.paths[1]).read_bytes() == b"a dog"
    assert load("small", download=False).fingerprint == data.fingerprint


def test_an_archive_writes_nowhere_else(pets: Path, server: tuple[str, Path], tmp_path: Path) -> None:
    put(server[1], PETS)
    load("small")
    assert not list(tmp_path.rglob("escaped*"))
    assert not Path("/tmp/escaped.jpg").exists()
    assert sorted(path.name for path in (pets / "images").iterdir()) == [
        "Abyssinian_1.jpg",
        "pug_7.jpg",
        "yorkshire_terrier_9.jpg",
    ]


def test_archives_put_there_by_hand_need_no_download(pets: Path) -> None:
    put(pets, PETS)
    put(pets / ".images-unpacking", {"half.jpg": b"left by a killed process"})
    data = load("small", download=False)
    assert isinstance(data, FolderData)
    assert len(data.paths) == 3
    assert not (pets / ".images-unpacking").exists()
    assert not (pets / "images" / "half.jpg").exists()


def test_archives_put_there_by_hand_are_checked(pets: Path, server: tuple[str, Path]) -> None:
    put(server[1], PETS)
    put(pets, PETS | {"images.tar.gz": b"damaged"})
    with pytest.raises(DownloadError, match=r"cannot download images\.tar\.gz"):
        load("small", download=False)
    assert load("small")


def test_lists_that_are_not_as_published(pets: Path) -> None:
    put(pets / "images", {})
    put(pets / "annotations", {"trainval.txt": b"Abyssinian_1 1 1 1\n", "test.txt": b""})
    with pytest.raises(DataError, match="has 1 lines, expected 2 of: name, class, species, breed"):
        load("small")
    put(pets / "annotations", {"trainval.txt": b"Abyssinian_1 1 1 1\npug_7 38 1 1\n", "test.txt": b"a_1 1 1 1\n"})
    with pytest.raises(DataError, match="classes outside 1 to 37"):
        load("small")
    put(pets / "annotations", {"trainval.txt": b"\xff\xfe"})
    with pytest.raises(DataError, match=r"trainval\.txt' cannot be read as a list of pictures"):
        load("small")
    (pets / "annotations" / "trainval.txt").unlink()
    with pytest.raises(DataError, match=r"trainval\.txt' is missing"):
        load("small")
