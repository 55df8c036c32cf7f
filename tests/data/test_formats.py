"""Readers of many-picture files: by hand on bytes, by property on round trips, and on every way to be damaged."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from glassnet.data.formats import (
    as_labels,
    as_pictures,
    read_cifar_binary,
    read_idx,
    read_npz,
    read_sheet,
    write_sheet,
)
from glassnet.errors import DataError

# Two pictures of 2 rows and 3 columns, written out as the idx page describes it.
IDX = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(range(12))


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("data", [IDX, gzip.compress(IDX, mtime=0)], ids=["plain", "zipped"])
def test_idx_by_hand(tmp_path: Path, data: bytes) -> None:
    array = read_idx(put(tmp_path / "any name", data))
    assert array.shape == (2, 2, 3)
    assert array.dtype == np.uint8
    assert array[1].tolist() == [[6, 7, 8], [9, 10, 11]]
    assert array.flags.writeable


def test_idx_of_big_endian_integers(tmp_path: Path) -> None:
    array = read_idx(put(tmp_path / "x", bytes([0, 0, 0x0C, 1, 0, 0, 0, 2, 0, 0, 1, 0, 255, 255, 255, 255])))
    assert array.tolist() == [256, -1]
    assert array.dtype == np.dtype("=i4")


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "truncated"),
        (IDX[:10], "truncated: 6 bytes where its header has 12"),
        (IDX[:-1], r"truncated: its header says \(2, 2, 3\), 12 bytes, but only 11 follow"),
        (IDX + b"x", "more bytes follow"),
        (b"\x89PNG\r\n", "not those of an idx file"),
        (b"\x00\x00\x08\x00", "not those of an idx file"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "over 64 GiB"),
        (gzip.compress(IDX, mtime=0)[:-12], "damaged"),
        (gzip.compress(IDX, mtime=0)[:12] + b"\xff\xff\xff" + gzip.compress(IDX)[15:], "damaged"),
    ],
)
def test_damaged_idx(tmp_path: Path, data: bytes, reason: str) -> None:
    path = put(tmp_path / "x-idx3-ubyte", data)
    with pytest.raises(DataError, match=reason) as raised:
        read_idx(path)
    assert str(path) in str(raised.value)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; expected an idx file"):
        read_idx(tmp_path / "none")
    with pytest.raises(DataError, match="does not exist; expected a sheet"):
        read_sheet(tmp_path / "none.png", height=2, width=2, count=1)


@settings(max_examples=25, deadline=None)
@given(array=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, max_side=5)), zipped=st.booleans())
def test_idx_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, zipped: bool
) -> None:
    data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path = put(tmp_path_factory.mktemp("idx") / "x", gzip.compress(data, mtime=0) if zipped else data)
    assert np.array_equal(read_idx(path), array)


def test_pictures_get_a_channel_axis() -> None:
    assert as_pictures(np.zeros((5, 2, 3), np.uint8), "x").shape == (5, 2, 3, 1)
    assert as_pictures(np.zeros((5, 2, 3, 7), np.uint8), "x").shape == (5, 2, 3, 7)


@pytest.mark.parametrize(
    "array, reason",
    [
        (np.zeros((5, 2, 3)), r"x_train has values of type float64, expected uint8 .*\* 255"),
        (np.zeros((5, 2), np.uint8), r"shape \(5, 2\), expected \(pictures, height, width"),
        (np.zeros((0, 2, 3), np.uint8), "none of them 0"),
    ],
)
def test_what_are_no_pictures(array: np.ndarray, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        as_pictures(array, "x_train")


def test_labels_of_any_usual_form() -> None:
    for labels in (np.array([2, 0], np.uint8), np.array([[2], [0]]), np.array([2, 0], ">i2")):
        assert as_labels(labels, "y").tolist() == [2, 0]
        assert as_labels(labels, "y").dtype == np.int64
    assert as_labels(np.array([b"b\xc3\xa4r", b"cat"]), "y").tolist() == ["bär", "cat"]


@pytest.mark.parametrize("labels", [np.eye(3, dtype=int), np.array([0.0, 1.0])])
def test_what_are_no_labels(labels: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"y_train has the shape .* expected \(N,\) class numbers or class names"):
        as_labels(labels, "y_train")


PICTURES = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)


def test_npz_in_every_naming(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=PICTURES, y_train=[[0], [1]], x_val=PICTURES, y_val=["a", "b"], more=[1.5])
    arrays = read_npz(tmp_path / "a.npz")
    assert sorted(arrays) == ["x_train", "x_validation", "y_train", "y_validation"]
    assert arrays["x_train"].shape == (2, 4, 4, 1)
    assert arrays["y_train"].tolist() == [0, 1]
    assert arrays["y_validation"].tolist() == ["a", "b"]
    np.savez_compressed(tmp_path / "b.npz", images=PICTURES, labels=[1, 0], class_names=["cat", "dog"])
    assert read_npz(tmp_path / "b.npz")["classes"].tolist() == ["cat", "dog"]


@pytest.mark.parametrize(
    "arrays, reason",
    [
        ({"data": PICTURES}, "holds data; expected x_train and y_train, or images and labels"),
        ({}, "holds nothing; expected"),
        ({"x_train": PICTURES, "y_train": [0, 1], "x_test": PICTURES}, "holds x_test but no y_test"),
        ({"x_train": PICTURES, "y_train": [0, 1, 1]}, "2 pictures but 3 labels"),
        ({"images": PICTURES / 255, "labels": [0, 1]}, r"images of '.*a.npz' has values of type float64"),
    ],
)
def test_npz_that_does_not_fit(tmp_path: Path, arrays: dict[str, object], reason: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=reason):
        read_npz(tmp_path / "a.npz")


class Trap:
    """Unpickling this would run code."""

    sprung = False

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return (_spring, ())


def _spring() -> Trap:
    Trap.sprung = True
    return Trap()


def test_npz_is_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=np.array([Trap()], object), y_train=[0])
    with pytest.raises(DataError, match=r"a\.npz' cannot be read as an .npz file.*allow_pickle=False"):
        read_npz(tmp_path / "a.npz")
    assert not Trap.sprung
    np.load(tmp_path / "a.npz", allow_pickle=True)["x_train"]
    assert Trap.sprung, "the trap works, so the assertion above means something"


def test_damaged_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=PICTURES, labels=[0, 1])
    whole = (tmp_path / "a.npz").read_bytes()
    for data in (b"", b"some text", whole[: len(whole) // 2], whole.replace(PICTURES.tobytes()[:8], b"\xff" * 8)):
        with pytest.raises(DataError, match="damaged or something else"):
            read_npz(put(tmp_path / "b.npz", data))
    np.save(tmp_path / "c.npy", PICTURES)
    with pytest.raises(DataError, match="one bare array"):
        read_npz(tmp_path / "c.npy")


def test_the_mnist_that_keras_distributes(shared_data: Path) -> None:
    arrays = read_npz(shared_data / "mnist.npz")
    assert {name: array.shape for name, array in arrays.items()} == {
        "x_train": (60000, 28, 28, 1),
        "y_train": (60000,),
        "x_test": (10000, 28, 28, 1),
        "y_test": (10000,),
    }


def test_a_cifar_record_by_hand() -> None:
    red, green, blue = (bytes([start] * 1024) for start in (10, 20, 30))
    corner = bytes([11]) + red[1:-1] + bytes([12])  # the first and the last red pixel
    images, labels = read_cifar_binary(bytes([7]) + corner + green + blue, label_bytes=1, what="x")
    assert labels.tolist() == [7]
    assert images.shape == (1, 32, 32, 3)
    assert images[0, 0, 0].tolist() == [11, 20, 30]
    assert images[0, 31, 31].tolist() == [12, 20, 30]
    assert images[0, 5, 9].tolist() == [10, 20, 30]


def test_cifar_100_takes_the_fine_label() -> None:
    record = bytes([3, 77]) + bytes(3072)
    assert read_cifar_binary(record * 2, label_bytes=2, what="x")[1].tolist() == [77, 77]


@pytest.mark.parametrize("data", [b"", bytes(3072), bytes(3074)])
def test_a_cifar_file_of_the_wrong_length(data: bytes) -> None:
    with pytest.raises(DataError, match=f"test.bin has {len(data)} bytes, expected a multiple of 3073"):
        read_cifar_binary(data, label_bytes=1, what="test.bin")


@settings(max_examples=25, deadline=None)
@given(
    pictures=hnp.arrays(
        np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3]))
    ),
    columns=st.integers(1, 5),
)
def test_a_sheet_gives_back_its_pictures(
    tmp_path_factory: pytest.TempPathFactory, pictures: np.ndarray, columns: int
) -> None:
    path = tmp_path_factory.mktemp("sheet") / "sheet.png"
    write_sheet(path, pictures, columns=columns)
    count, height, width, _ = pictures.shape
    read = read_sheet(path, height=height, width=width, count=count)
    assert np.array_equal(read, pictures)
    assert read.flags.writeable


def test_a_sheet_is_a_png_with_the_tiles_in_reading_order(tmp_path: Path) -> None:
    pictures = np.stack([np.full((2, 3, 1), value, np.uint8) for value in (10, 20, 30)])
    write_sheet(tmp_path / "sheet.png", pictures, columns=2)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG"
        assert image.size == (6, 4)
        assert [image.getpixel(place) for place in ((0, 0), (5, 1), (0, 3), (5, 3))] == [10, 20, 30, 0]


def test_a_sheet_that_does_not_fit_or_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    write_sheet(path, np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1), np.uint8), columns=3)
    with pytest.raises(DataError, match="is 12x8 pixels, which does not hold 7 tiles of 4x4"):
        read_sheet(path, height=4, width=4, count=7)
    with pytest.raises(DataError, match="does not hold 1 tiles of 5x4"):
        read_sheet(path, height=4, width=5, count=1)
    whole = path.read_bytes()
    for data in (b"", b"some text", whole[:-40]):
        with pytest.raises(DataError, match="cannot be read as a sheet of pictures"):
            read_sheet(put(path, data), height=4, width=4, count=6)
