"""The index: scans of small folders made here, of folders that mean harm, and of real data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glassnet.data.index import SPLITS, TEST, Index, scan
from glassnet.data.problems import Problem
from glassnet.data.splits import read_split_csv, write_split_csv
from glassnet.errors import DataError, InputError, UnknownName

_different: Iterator[int] = iter(range(1 << 24))


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (8, 6), value: int | None = None) -> Path:
    """Write a picture that no other one equals, unless `value` says which."""
    value = next(_different) if value is None else value
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, (value & 255, value >> 8 & 255, value >> 16))
    image.putpixel((0, 0), (255, 0, 0))
    (image if mode == "RGB" else image.convert(mode)).save(path)
    return path


def make_folder(root: Path, counts: dict[str, int]) -> Path:
    for folder, count in counts.items():
        for number in range(count):
            picture(root / folder / f"{number:03d}.png")
    return root


def kinds(index: Index) -> dict[str, str]:
    return {problem.path: problem.kind for problem in index.problems}


class TestAFolderPerClass:
    def test_what_it_holds(self, tmp_path: Path) -> None:
        index = scan(make_folder(tmp_path / "pets", {"cat": 20, "dog": 40}))
        assert (index.name, index.kind, index.root, index.classes) == (
            "pets",
            "folder",
            tmp_path / "pets",
            ("cat", "dog"),
        )
        assert (len(index), index.channels, index.images, index.groups) == (60, 3, None, None)
        assert index.counts().tolist() == [[14, 3, 3], [28, 6, 6]]
        assert index.sizes.dtype == np.int32
        assert (index.sizes == [6, 8]).all()
        assert index.problems == []
        assert index.notes == ["split drawn with seed 0: 70% / 15% / 15%"]
        assert index.where(20) == "dog/000.png"
        assert index.source(20) == tmp_path / "pets" / "dog" / "000.png"
        selected = np.concatenate([index.select(split) for split in SPLITS])
        assert sorted(selected.tolist()) == list(range(60))
        assert index.select("test").dtype == np.int64

    def test_an_unknown_split(self, tmp_path: Path) -> None:
        index = scan(make_folder(tmp_path, {"cat": 20, "dog": 20}))
        with pytest.raises(UnknownName, match="no split is called 'tests'; nearest: test"):
            index.select("tests")

    def test_grey_and_colour(self, tmp_path: Path) -> None:
        make_folder(tmp_path, {"cat": 5})
        for number in range(5):
            picture(tmp_path / "dog" / f"{number}.png", "L", value=40 * number)
        assert scan(tmp_path).channels == 3
        for number in range(5):
            picture(tmp_path / "cat" / f"{number:03d}.png", "L", value=41 * number + 1)
        assert scan(tmp_path).channels == 1

    def test_many_channels(self, tmp_path: Path) -> None:
        for number in range(8):
            (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
            np.save(tmp_path / "ab"[number % 2] / f"{number}.npy", np.full((5, 4, 6), number, np.uint8))
        picture(tmp_path / "a" / "photo.png")
        index = scan(tmp_path)
        assert (len(index), index.channels) == (8, 6)
        assert index.problems[0].kind == "wrong_shape"
        assert "it has 3 channels, 8 other pictures have 6" in index.problems[0].reason

    def test_the_same_data_has_the_same_fingerprint(self, tmp_path: Path) -> None:
        make_folder(tmp_path, {"cat": 20, "dog": 20})
        first = scan(tmp_path)
        assert scan(tmp_path, seed=5, cache=False, workers=1).fingerprint == first.fingerprint
        assert (scan(tmp_path).splits == first.splits).all()
        os.utime(tmp_path / "cat" / "000.png", (1_700_000_000, 1_700_000_000))
        touched = scan(tmp_path).fingerprint
        picture(tmp_path / "cat" / "new.png")
        assert len({first.fingerprint, touched, scan(tmp_path).fingerprint}) == 3

    def test_the_number_of_threads_changes_nothing(self, tmp_path: Path) -> None:
        make_folder(tmp_path, {"cat": 300, "dog": 300})
        one, many = scan(tmp_path, workers=1, cache=False), scan(tmp_path, workers=7, cache=False)
        assert one.paths == many.paths
        assert one.fingerprint == many.fingerprint

    def test_without_quarantines_and_renumbers(self, tmp_path: Path) -> None:
        index = scan(make_folder(tmp_path, {"cat": 20, "dog": 20}))
        problem = Problem("cat/001.png", "truncated", "its pixels end too early", "train")
        fewer = index.without([1], [problem])
        assert (len(index), len(fewer)) == (40, 39)
        assert [fewer.where(0), fewer.where(1)] == ["cat/000.png", "cat/002.png"]
        assert fewer.problems == [*index.problems, problem]
        assert fewer.fingerprint != index.fingerprint
        assert index.without([], [problem]).fingerprint == index.fingerprint

    def test_a_split_is_written_down(self, tmp_path: Path) -> None:
        index = scan(make_folder(tmp_path, {"cat": 20, "dog": 20}))
        places = [index.where(item) for item in range(len(index))]
        assert index.places() == places
        write_split_csv(tmp_path / "split.csv", places, [index.classes[label] for label in index.labels], index.splits)
        assert list(read_split_csv(tmp_path / "split.csv").values()) == [SPLITS[split] for split in index.splits]


class TestCopies:
    def test_the_first_copy_stays(self, tmp_path: Path) -> None:
        make_folder(tmp_path, {"cat": 20, "dog": 20})
        picture(tmp_path / "cat" / "a.png", value=0xABCDEF)
        picture(tmp_path / "cat" / "b.png", value=0xABCDEF)
        index = scan(tmp_path)
        assert kinds(index) == {"cat/b.png": "duplicate"}
        assert index.problems[0].reason == "it is an exact copy of cat/a.png"
        assert "cat/b.png" not in (index.paths or [])

    def test_a_copy_in_test_takes_the_one_in_train_out(self, tmp_path: Path) -> None:
        make_folder(tmp_path, {f"{split}/{name}": 20 for split in ("train", "test") for name in ("cat", "dog")})
        for split in ("train", "test"):
            picture(tmp_path / split / "cat" / "same.png", value=0xABCDEF)
        index = scan(tmp_path)
        assert kinds(index) == {"train/cat/same.png": "leak"}
        assert index.problems[0].split == "train"
        assert "exact copy of test/cat/same.png in test" in index.problems[0].reason
        assert index.counts()[:, TEST].tolist() == [21, 20]

    def test_one_picture_under_two_labels_is_used_under_none(self, tmp_path: Path) -> None:
        make_folder(tmp_path, {"cat": 20, "dog": 20})
        for name in ("cat", "dog"):
            picture(tmp_path / name / "same.png", value=0xABCDEF)
        index = scan(tmp_path)
        assert kinds(index) == {"cat/same.png": "conflicting_label", "dog/same.png": "conflicting_label"}
        assert len(index) == 40

    def test_copies_in_memory(self, tmp_path: Path) -> None:
        images = np.random.default_rng(0).integers(0, 256, (80, 5, 5), dtype=np.uint8)
        images[7] = images[3]
        np.savez(tmp_path / "d.npz", images=images, labels=np.arange(80) % 4)
        index = scan(tmp_path / "d.npz")
        assert kinds(index) == {"d[7]": "duplicate"}
        assert (index.where(6), index.where(7)) == ("d[6]", "d[8]")  # numbers are those of the file
        source = index.source(7)
        assert isinstance(source, np.ndarray)
        assert (source[:, :, 0] == images[8]).all()

    def test_broken_files_are_no_copies_of_each_other(self, tmp_path: Path) -> None:
        make_folder(tmp_path, {"cat": 20, "dog": 20})
        for name in ("cat", "dog"):
            (tmp_path / name / "empty.png").write_bytes(b"")
        assert kinds(scan(tmp_path)) == {"cat/empty.png": "empty", "dog/empty.png": "empty"}

    def test_a_published_test_set_keeps_its_size(self) -> None:
        index = scan("fashion-mini")
        assert index.counts().sum(axis=0)[TEST] == 2_000
        assert len(index) + sum(problem.quarantined for problem in index.problems) == 12_000
        assert index.counts()[:, 1].tolist() == [150] * 10


class TestEnemies:
    def test_every_enemy_is_told_by_name_and_the_rest_is_used(self, tmp_path: Path) -> None:
        make_folder(tmp_path, {"cat": 20, "dog": 20})
        cat = tmp_path / "cat"
        (cat / "zero.jpg").write_bytes(b"")
        (cat / "page.jpg").write_bytes(b"<html>not found</html>")
        (cat / "notes.txt").write_text("a cat")
        (cat / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
        (cat / "gone.png").symlink_to("nowhere")
        (cat / "loop").symlink_to(cat)
        os.mkfifo(cat / "pipe.png")
        picture(cat / ".hidden.png")
        picture(cat / "caf\udce9.png")
        picture(cat / "\x1b[2J\n.png")
        picture(cat / "real.png").rename(cat / "wrong.jpg")
        picture(cat / "huge.png", size=(300, 200))
        index = scan(tmp_path, limit_pixels=50_000)
        assert kinds(index) == {
            "cat/zero.jpg": "empty",
            "cat/page.jpg": "not_a_picture",
            "cat/notes.txt": "not_a_picture",
            "cat/cut.png": "unreadable",
            "cat/gone.png": "missing",
            "cat/loop/": "symlink_loop",
            "cat/pipe.png": "unreadable",
            "cat/.hidden.png": "hidden",
            "cat/caf\udce9.png": "bad_name",
            "cat/\x1b[2J\n.png": "bad_name",
            "cat/wrong.jpg": "wrong_extension",
            "cat/huge.png": "bomb",
        }
        assert len(index) == 40 + 3
        with pytest.raises(DataError, match=r"has 8 items that cannot be used, and strict allows none: .*; \.\.\. "):
            scan(tmp_path, limit_pixels=50_000, strict=True)

    def test_strict_allows_warnings(self, tmp_path: Path) -> None:
        make_folder(tmp_path, {"cat": 20, "dog": 20})
        picture(tmp_path / "cat" / ".hidden.png")
        assert kinds(scan(tmp_path, strict=True)) == {"cat/.hidden.png": "hidden"}

    def test_a_file_that_vanishes_between_listing_and_reading(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_folder(tmp_path, {"cat": 20, "dog": 20})
        from glassnet.data import index as module

        real = module.probe_files

        def vanish(root: Path, *arguments: Any, **choices: Any) -> Any:
            (root / "dog" / "003.png").unlink()
            return real(root, *arguments, **choices)

        monkeypatch.setattr(module, "probe_files", vanish)
        index = scan(tmp_path)
        assert kinds(index) == {"dog/003.png": "missing"}
        assert len(index) == 39

    def test_a_picture_without_permission(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make_folder(tmp_path, {"cat": 20, "dog": 20})
        real = os.open

        def refuse(path: Any, *rest: Any) -> int:
            if str(path).endswith("cat/005.png"):
                raise PermissionError(13, "Permission denied", path)
            return real(path, *rest)

        monkeypatch.setattr("os.open", refuse)
        index = scan(tmp_path)
        assert kinds(index) == {"cat/005.png": "unreadable"}
        assert "no permission to read it" in index.problems[0].reason

    def test_a_table_that_points_anywhere(self, tmp_path: Path) -> None:
        make_folder(tmp_path, {"a": 20, "b": 20})
        rows = [f"{name}/{number:03d}.png,{name}" for name in "ab" for number in range(20)]
        rows += ["../../../../etc/passwd,a", "/dev/zero,a", "a/000.png,a", "nothing.png,b", "a,b"]
        (tmp_path / "labels.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
        assert [(problem.path, problem.kind) for problem in scan(tmp_path).problems] == [
            (
                "../../../../etc/passwd",
                "missing" if not Path(tmp_path / "../../../../etc/passwd").exists() else "not_a_picture",
            ),
            ("/dev/zero", "unreadable"),
            ("a/000.png", "duplicate"),
            ("nothing.png", "missing"),
            ("a", "unreadable"),
        ]

    def test_pillow_warns_nobody_about_single_files(self, tmp_path: Path) -> None:
        make_folder(tmp_path, {"cat": 20, "dog": 20})
        Image.new("RGB", (6, 4)).save(tmp_path / "cat" / "odd.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
        assert scan(tmp_path).problems == []  # the suite turns any warning into an error

    def test_a_cache_that_cannot_be_used_is_a_note(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make_folder(tmp_path / "data", {"cat": 20, "dog": 20})
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("GLASSNET_CACHE", str(tmp_path / "file"))
        index = scan(tmp_path / "data")
        assert "scanned without a cache: cannot make the folder" in index.notes[0]
        assert len(index) == 40


class TestSplits:
    def test_train_and_test_folders(self, tmp_path: Path) -> None:
        index = scan(make_folder(tmp_path, {"train/a": 20, "train/b": 20, "test/a": 5, "test/b": 5}))
        assert index.counts().tolist() == [[17, 3, 5], [17, 3, 5]]

    def test_groups_of_a_table(self, tmp_path: Path) -> None:
        make_folder(tmp_path, {"a": 40, "b": 40})
        rows = [f"{name}/{number:03d}.png,{name},patient {number // 4}" for name in "ab" for number in range(40)]
        (tmp_path / "labels.csv").write_text("path,label,patient\n" + "\n".join(rows) + "\n")
        index = scan(tmp_path, group_by="patient")
        assert index.groups is not None
        for patient in set(index.groups):
            assert len(set(index.splits[index.groups == patient].tolist())) == 1
        assert set(index.splits.tolist()) == {0, 1, 2}

    def test_small_classes_are_told(self, tmp_path: Path) -> None:
        index = scan(make_folder(tmp_path, {"many": 40, "few": 5, "two": 2}))
        assert {problem.path: problem.reason for problem in index.problems} == {
            "few/": "only 3 training pictures; expect little of this class below 10",
            "two/": "only 2 pictures: none of them in validation",
        }

    def test_a_class_of_which_nothing_is_left(self, tmp_path: Path) -> None:
        make_folder(tmp_path, {"ant": 20, "cat": 20})
        (tmp_path / "bee").mkdir()
        (tmp_path / "bee" / "x.png").write_bytes(b"")
        index = scan(tmp_path)
        assert index.classes == ("ant", "cat")
        assert index.counts().sum(axis=1).tolist() == [20, 20]
        assert kinds(index) == {"bee/x.png": "empty", "bee/": "small_class"}

    def test_to_evaluate_all_is_test_and_one_class_will_do(self, tmp_path: Path) -> None:
        index = scan(make_folder(tmp_path, {"cat": 5}), evaluate_only=True)
        assert (index.splits == TEST).all()
        assert (index.classes, len(index), index.problems) == (("cat",), 5, [])

    def test_to_evaluate_a_source_with_a_test_set_takes_that(self, tmp_path: Path) -> None:
        index = scan(make_folder(tmp_path, {"train/a": 9, "train/b": 9, "test/a": 4, "test/b": 3}), evaluate_only=True)
        assert len(index) == 7
        assert all(path.startswith("test/") for path in index.paths or [])
        assert index.notes == ["evaluated on the source's own test set: 7 of 25 pictures"]
        other = scan(tmp_path)
        assert other.fingerprint != index.fingerprint


class TestUnusable:
    def test_one_class(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"one class only \('cat', 5 pictures\).*into a folder of its own"):
            scan(make_folder(tmp_path, {"cat": 5}))

    def test_one_folder_too_high(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"did you mean '.*/photos', whose folders look like classes"):
            scan(make_folder(tmp_path, {"photos/cat": 5, "photos/dog": 5}))

    def test_nothing_usable(self, tmp_path: Path) -> None:
        for name in ("cat", "dog"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "x.jpg").write_bytes(b"no picture")
        with pytest.raises(DataError, match=r"no usable picture among its 2 items: cat/x\.jpg: not_a_picture: "):
            scan(tmp_path)

    def test_only_test_pictures(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="only validation and test pictures, none to train on"):
            scan(make_folder(tmp_path, {"val/a": 5, "val/b": 5, "test/a": 5, "test/b": 5}))

    @pytest.mark.parametrize(
        "choices, match",
        [
            ({"split": (0.5, 0.5)}, r"split is \(0.5, 0.5\), expected the shares"),
            ({"seed": -1}, "seed is -1, expected a whole number of at least 0"),
            ({"workers": 0}, "workers is 0, expected a whole number of at least 1"),
            ({"limit_pixels": 0}, "limit_pixels is 0, expected"),
            ({"group_by": "patient"}, r"group_by is 'patient', but .* has no columns"),
        ],
    )
    def test_wrong_arguments(self, tmp_path: Path, choices: dict[str, Any], match: str) -> None:
        with pytest.raises(InputError, match=match):
            scan(make_folder(tmp_path, {"cat": 2, "dog": 2}), **choices)


class TestRealData:
    def test_clothing(self, shared_data: Path) -> None:
        index = scan(shared_data / "clothing")
        assert index.counts().sum(axis=0).tolist() == [3068, 341, 372]
        assert (len(index.classes), index.channels) == (10, 3)
        assert index.sizes.min() == 224
        assert not [problem for problem in index.problems if problem.quarantined]

    def test_faces(self, shared_data: Path) -> None:
        index = scan(shared_data / "att_faces")
        assert index.counts().sum(axis=0).tolist() == [280, 60, 60]
        assert (index.sizes == [112, 92]).all()
        assert index.channels == 1
        assert {problem.kind for problem in index.problems} == {"small_class", "hidden"}

    def test_mnist(self, shared_data: Path) -> None:
        index = scan(shared_data / "mnist.npz")
        assert index.counts().sum(axis=0).tolist() == [51_000, 9_000, 10_000]
        assert index.classes == tuple("0123456789")
        assert index.images is not None
        assert len({picture.tobytes() for picture in index.images}) == 70_000
        assert index.problems == []
