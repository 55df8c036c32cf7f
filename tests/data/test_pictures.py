"""Pictures: decoded once, cached soundly, broken ones named; whatever happens to the cache, the pixels are the same."""

from __future__ import annotations

import dataclasses
import errno
import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glassnet.data import pictures as module
from glassnet.data import pool_cache
from glassnet.data.index import Index
from glassnet.data.pictures import Pictures, load_pictures
from glassnet.errors import DataError, InputError, StorageError
from glassnet.files import parse_size
from glassnet.preprocess import Preprocess

PREPROCESS = Preprocess(height=12, width=12, crop=0.75)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GLASSNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pictures"


def make_index(folder: Path, count: int = 40) -> Index:
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    names = [f"{number:03}.png" for number in range(count)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(folder / name)
    return Index(
        name="folder",
        kind="folder",
        root=folder,
        classes=("a", "b"),
        paths=names,
        images=None,
        labels=np.arange(count, dtype=np.int64) % 2,
        splits=(np.arange(count) % 3).astype(np.int8),
        sizes=np.tile(np.array([20, 24], np.int32), (count, 1)),
        channels=3,
        fingerprint="0123456789abcdef" * 4,
    )


def expected(index: Index, preprocess: Preprocess = PREPROCESS) -> np.ndarray:
    return np.stack([preprocess.intermediate(index.source(item)) for item in range(len(index))])


def entry(cache: Path) -> Path:
    return next(cache.glob("*/pool.bin"))


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(module.Decoder, "rows", refuse)


def test_decoded_cached_and_mapped_are_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index(tmp_path / "photos")
    seen: list[tuple[int, int]] = []
    first = load_pictures(index, PREPROCESS, progress=lambda done, whole: seen.append((done, whole)))
    assert np.array_equal(first.pool, expected(index))
    assert first.pool.dtype == np.uint8
    assert seen[-1] == (40, 40)
    assert len(first) == 40
    assert first.hashes is not None

    without = load_pictures(index, PREPROCESS, cache=False, workers=1)
    assert np.array_equal(without.pool, first.pool)
    forbid_decoding(monkeypatch)
    warm = load_pictures(index, PREPROCESS)
    monkeypatch.setattr(pool_cache, "IN_MEMORY", 1000)
    mapped = load_pictures(index, PREPROCESS)
    assert isinstance(mapped.pool, np.memmap)
    for again in (warm, mapped):
        assert np.array_equal(again.pool, first.pool)
        assert again.hashes is not None
        assert np.array_equal(again.hashes, first.hashes)
    assert not mapped.pool.flags.writeable


def test_another_preprocess_or_other_data_are_another_entry(tmp_path: Path, cache: Path) -> None:
    index = make_index(tmp_path / "photos", 4)
    load_pictures(index, PREPROCESS)
    load_pictures(index, dataclasses.replace(PREPROCESS, mean=(0, 0, 0)))  # not a part of the intermediate
    assert len(list(cache.glob("*/pool.bin"))) == 1
    load_pictures(index, dataclasses.replace(PREPROCESS, resize="pad"))
    load_pictures(dataclasses.replace(index, fingerprint="f" * 64), PREPROCESS)
    assert len(list(cache.glob("*/pool.bin"))) == 3


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("damage", ["cut", "pixel", "footer", "empty", "longer"])
def test_a_damaged_cache_is_made_again(
    tmp_path: Path, cache: Path, damage: str, mapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mapped:
        monkeypatch.setattr(pool_cache, "IN_MEMORY", 1000)
    index = make_index(tmp_path / "photos")
    load_pictures(index, PREPROCESS)
    path = entry(cache)
    data = bytearray(path.read_bytes())
    changed = {"cut": data[:-1000], "empty": b"", "longer": data + b"x", "pixel": data, "footer": data}[damage]
    if damage in ("pixel", "footer"):
        data[{"pixel": 20, "footer": -1}[damage]] ^= 1
    path.unlink()
    path.write_bytes(changed)
    assert np.array_equal(load_pictures(index, PREPROCESS).pool, expected(index))
    whole = entry(cache).read_bytes()
    assert load_pictures(index, PREPROCESS).pool.shape[0] == 40
    assert entry(cache).read_bytes() == whole


def break_pictures(index: Index) -> None:
    assert index.root is not None
    for name, data in (("001.png", b""), ("007.png", (index.root / "007.png").read_bytes()[:-600]), ("039.png", b"x")):
        (index.root / name).write_bytes(data)


@pytest.mark.parametrize("cached", [False, True])
def test_broken_pictures_are_quarantined_by_name(tmp_path: Path, cached: bool) -> None:
    index = make_index(tmp_path / "photos")
    good = np.setdiff1d(np.arange(40), [1, 7, 39])
    pixels = expected(index)[good]
    break_pictures(index)
    for _ in range(2):  # made, and read from the cache
        loaded = load_pictures(index, PREPROCESS, cache=cached)
        assert np.array_equal(loaded.pool, pixels)
        assert loaded.labels.tolist() == (good % 2).tolist()
        assert len(loaded.index) == 37
        problems = {problem.path: problem.kind for problem in loaded.index.problems}
        assert problems == {"001.png": "empty", "007.png": "truncated", "039.png": "not_a_picture"}
    with pytest.raises(DataError, match=r"3 pictures cannot be decoded.*001\.png: empty"):
        load_pictures(index, PREPROCESS, strict=True)


def test_a_picture_that_can_be_read_again_comes_back(tmp_path: Path) -> None:
    index = make_index(tmp_path / "photos", 6)
    (tmp_path / "photos" / "003.png").rename(tmp_path / "away")
    assert len(load_pictures(index, PREPROCESS)) == 5
    (tmp_path / "away").rename(tmp_path / "photos" / "003.png")
    assert len(load_pictures(index, PREPROCESS)) == 6


def test_no_picture_left(tmp_path: Path) -> None:
    index = make_index(tmp_path / "photos", 2)
    for name in ("000.png", "001.png"):
        (tmp_path / "photos" / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 2 pictures of folder can be decoded: 000\.png: empty"):
        load_pictures(index, PREPROCESS)


def test_near_duplicates_across_splits_are_reported(tmp_path: Path) -> None:
    index = make_index(tmp_path / "photos", 6)
    picture = Image.open(tmp_path / "photos" / "000.png")
    picture.save(tmp_path / "photos" / "002.png", compress_level=1)
    problems = load_pictures(index, PREPROCESS).index.problems
    assert [(problem.path, problem.kind) for problem in problems] == [("002.png", "near_duplicate")]


def arrays(size: int) -> Index:
    images = np.random.default_rng(0).integers(0, 256, (5, size, size, 3), dtype=np.uint8)
    return make_arrays(images)


def make_arrays(images: np.ndarray) -> Index:
    count = len(images)
    return Index(
        name="arrays",
        kind="arrays",
        root=None,
        classes=("a",),
        paths=None,
        images=images,
        labels=np.zeros(count, np.int64),
        splits=np.zeros(count, np.int8),
        sizes=np.tile(np.array(images.shape[1:3], np.int32), (count, 1)),
        channels=3,
        fingerprint="a" * 64,
    )


def test_arrays_of_the_right_size_are_used_as_they_are(cache: Path) -> None:
    index = arrays(16)
    loaded = load_pictures(index, PREPROCESS)
    assert loaded.pool is index.images
    assert loaded.hashes is None
    assert not cache.exists()
    other = arrays(20)
    assert np.array_equal(load_pictures(other, PREPROCESS).pool, expected(other))


def test_the_least_recently_used_entries_go_first(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index(tmp_path / "photos", 10)  # an entry takes about 9 kB
    monkeypatch.setenv("GLASSNET_CACHE_LIMIT", "21kB")
    shapes = [dataclasses.replace(PREPROCESS, resize=resize) for resize in ("shortest", "pad", "squash")]
    for preprocess in shapes[:2]:
        load_pictures(index, preprocess)
    paths = sorted(cache.glob("*/pool.bin"), key=lambda path: path.stat().st_mtime_ns)
    for age, path in enumerate(paths):
        os.utime(path, (1000 + age, 1000 + age))
    load_pictures(index, shapes[0])  # used now: the other one is the oldest
    load_pictures(index, shapes[2])
    assert paths[0].exists()
    assert not paths[1].exists()
    assert len(list(cache.glob("*/pool.bin"))) == 2


def test_pictures_above_the_limit_stay_in_memory_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index(tmp_path / "photos", 10)
    monkeypatch.setenv("GLASSNET_CACHE_LIMIT", "1kB")
    loaded = load_pictures(index, PREPROCESS)
    assert np.array_equal(loaded.pool, expected(index))
    assert any("not kept" in note and "GLASSNET_CACHE_LIMIT" in note for note in loaded.index.notes)
    monkeypatch.setattr(module, "_memory", lambda: 1000)
    with pytest.raises(StorageError, match="too much for memory alone: set GLASSNET_CACHE"):
        load_pictures(index, PREPROCESS)


def test_a_full_disk_falls_back_to_memory(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    index = make_index(tmp_path / "photos", 10)
    monkeypatch.setattr(pool_cache, "_write", full)
    loaded = load_pictures(index, PREPROCESS)
    assert np.array_equal(loaded.pool, expected(index))
    assert any("disk is full" in note for note in loaded.index.notes)
    assert [path.name for path in cache.glob("*/*") if path.name != ".lock"] == []


def test_two_processes_at_once_make_one_entry(tmp_path: Path, cache: Path) -> None:
    index = make_index(tmp_path / "photos", 30)
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        sums = pool.map(_sum, [index] * 4)
    assert sums == [int(expected(index).sum())] * 4
    assert [path.name for path in cache.glob("*/*") if path.name != ".lock"] == ["pool.bin"]


def _sum(index: Index) -> int:
    loaded: Pictures = load_pictures(index, PREPROCESS)
    return int(loaded.pool.sum())


def test_an_interrupted_decoding_leaves_nothing_half_made(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make_index(tmp_path / "photos")

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "CHUNK_BYTES", 1000)
    with pytest.raises(KeyboardInterrupt):
        load_pictures(index, PREPROCESS, progress=interrupt)
    assert [path.name for path in cache.glob("*/*") if path.name != ".lock"] == []


def test_sizes_of_the_limit() -> None:
    assert [parse_size(text) for text in ("1000", "20GB", "1.5 k", "2TB")] == [1000, 20 * 10**9, 1500, 2 * 10**12]
    with pytest.raises(InputError, match="GLASSNET_CACHE_LIMIT is 'much'"):
        parse_size("much")
