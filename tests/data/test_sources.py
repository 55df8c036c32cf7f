"""Sources: every layout on a small example, and what is said of those that are none."""

from __future__ import annotations

import gzip
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glassnet.data.listing import Listing, number_classes
from glassnet.data.sources import recognise
from glassnet.errors import DataError, InputError, MissingExtra, UnknownName


def picture(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), (value, 0, 0)).save(path)


def labelled(listing: Listing) -> dict[str, str]:
    assert listing.paths is not None
    return {path: listing.classes[label] for path, label in zip(listing.paths, listing.labels, strict=True)}


def write_idx(path: Path, array: np.ndarray) -> None:
    data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


class TestFolders:
    def test_a_folder_per_class(self, tmp_path: Path) -> None:
        for name in ("dog/b.png", "cat/a.png", "dog/deep/er/c.png"):
            picture(tmp_path / name)
        (tmp_path / "README").write_text("about")
        listing = recognise(tmp_path)
        assert listing.classes == ("cat", "dog")
        assert labelled(listing) == {"cat/a.png": "cat", "dog/b.png": "dog", "dog/deep/er/c.png": "dog"}
        assert (listing.kind, listing.name, listing.splits, listing.problems) == ("folder", tmp_path.name, None, [])

    @pytest.mark.parametrize("validation", ["validation", "valid", "val", "VAL"])
    def test_split_folders(self, tmp_path: Path, validation: str) -> None:
        for name in ("train/cat/a.png", f"{validation}/cat/a.png", "test/dog/a.png"):
            picture(tmp_path / name)
        listing = recognise(str(tmp_path))
        assert listing.splits is not None
        assert listing.paths is not None
        assert dict(zip(listing.paths, listing.splits.tolist(), strict=True)) == {
            "train/cat/a.png": 0,
            f"{validation}/cat/a.png": 1,
            "test/dog/a.png": 2,
        }
        assert listing.classes == ("cat", "dog")

    def test_a_class_called_train_is_a_class(self, tmp_path: Path) -> None:
        for name in ("train/a.png", "bus/a.png", "car/a.png", "test/a.png"):
            picture(tmp_path / name)
        assert recognise(tmp_path).classes == ("bus", "car", "test", "train")

    def test_what_stands_beside_split_folders_is_noted(self, tmp_path: Path) -> None:
        for name in ("train/cat/a.png", "test/cat/a.png", "thumbnails/cat/a.png"):
            picture(tmp_path / name)
        listing = recognise(tmp_path)
        assert len(listing) == 2
        assert "left alone beside them: thumbnails" in listing.notes[0]

    def test_flat_test_pictures_are_no_test_set(self, tmp_path: Path) -> None:
        for name in ("train/cat/a.png", "train/dog/a.png", "test/1.png"):
            picture(tmp_path / name)
        listing = recognise(tmp_path)
        assert (listing.classes, len(listing)) == (("cat", "dog"), 2)

    def test_pictures_outside_the_class_folders_are_told(self, tmp_path: Path) -> None:
        for name in ("train/cat/a.png", "train/stray.jpg", "train/dog/a.png", "stray.png"):
            picture(tmp_path / name)
        problems = recognise(tmp_path).problems
        assert {(problem.path, problem.kind) for problem in problems} == {
            ("train/stray.jpg", "no_label"),
            ("stray.png", "no_label"),
        }

    def test_numbers_are_sorted_as_numbers(self, tmp_path: Path) -> None:
        for name in ("10/a.png", "9/a.png", "0/a.png"):
            picture(tmp_path / name)
        assert recognise(tmp_path).classes == ("0", "9", "10")
        assert number_classes(["10", "9", "x"])[0] == ("10", "9", "x")

    def test_one_class_in_two_spellings_of_its_accent_is_one_class(self, tmp_path: Path) -> None:
        picture(tmp_path / "train" / "cafe\u0301" / "a.png")
        picture(tmp_path / "test" / "caf\u00e9" / "a.png")
        assert recognise(tmp_path).classes == ("caf\u00e9",)

    def test_an_empty_class_folder_is_told(self, tmp_path: Path) -> None:
        picture(tmp_path / "cat" / "a.png")
        (tmp_path / "dog").mkdir()
        assert [(p.path, p.kind) for p in recognise(tmp_path).problems] == [("dog/", "small_class")]

    def test_the_order_is_that_of_the_names(self, tmp_path: Path) -> None:
        for name in ("b/2.png", "a/1.png", "a/10.png", "b/z/1.png", "b/a/1.png"):
            picture(tmp_path / name)
        assert recognise(tmp_path).paths == ["a/1.png", "a/10.png", "b/2.png", "b/a/1.png", "b/z/1.png"]


class TestEnemies:
    def test_links_in_circles_end(self, tmp_path: Path) -> None:
        picture(tmp_path / "cat" / "a.png")
        (tmp_path / "cat" / "self").symlink_to(".")
        (tmp_path / "cat" / "up").symlink_to("..")
        (tmp_path / "cat" / "disk").symlink_to("/")
        (tmp_path / "cat" / "ring").symlink_to("ring")
        (tmp_path / "everything").symlink_to(".")
        listing = recognise(tmp_path)
        assert listing.paths == ["cat/a.png"]
        loops = {problem.path for problem in listing.problems if problem.kind == "symlink_loop"}
        assert loops == {"cat/self/", "cat/up/", "cat/disk/", "cat/ring", "everything/"}

    def test_neighbours_that_link_to_each_other_are_listed_once(self, tmp_path: Path) -> None:
        """Followed along every way, 12 folders that all link to all would be listed 12! times."""
        folders = [tmp_path / "cat" / f"f{i}" for i in range(12)]
        for folder in folders:
            picture(folder / "a.png")
        for folder in folders:
            for other in folders:
                (folder / f"to-{other.name}").symlink_to(other)
        listing = recognise(tmp_path)
        assert len(listing) == 12

    def test_a_link_to_a_folder_elsewhere_is_followed(self, tmp_path: Path) -> None:
        picture(tmp_path / "elsewhere" / "a.png")
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "cat").symlink_to(tmp_path / "elsewhere")
        assert recognise(tmp_path / "data").paths == ["cat/a.png"]

    def test_hidden_broken_and_odd_entries_are_told(self, tmp_path: Path) -> None:
        picture(tmp_path / "cat" / "a.png")
        picture(tmp_path / "cat" / ".hidden.png")
        picture(tmp_path / ".git" / "x.png")
        picture(tmp_path / "cat" / "two\nlines.png")
        picture(tmp_path / "cat" / "caf\udce9.png")
        (tmp_path / "cat" / "gone.png").symlink_to("nowhere.png")
        os.mkfifo(tmp_path / "cat" / "pipe.png")
        listing = recognise(tmp_path)
        assert listing.paths == ["cat/a.png", "cat/caf\udce9.png", "cat/two\nlines.png"]
        assert {(problem.path, problem.kind) for problem in listing.problems} == {
            (".git", "hidden"),
            ("cat/.hidden.png", "hidden"),
            ("cat/two\nlines.png", "bad_name"),
            ("cat/caf\udce9.png", "bad_name"),
            ("cat/gone.png", "missing"),
            ("cat/pipe.png", "unreadable"),
        }

    def test_a_class_folder_without_permission_is_told_and_the_others_listed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("cat/a.png", "dog/a.png"):
            picture(tmp_path / name)
        forbid(monkeypatch, tmp_path / "dog")
        listing = recognise(tmp_path)
        assert listing.paths == ["cat/a.png"]
        assert ("dog/", "unreadable") in {(problem.path, problem.kind) for problem in listing.problems}


def forbid(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let listing `folder` fail as it does without permission; the tests may run as root, whom nothing is forbidden."""
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)


class TestTables:
    def write(self, tmp_path: Path, text: str, name: str = "labels.csv") -> Path:
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
        return tmp_path / name

    def test_path_and_label(self, tmp_path: Path) -> None:
        table = self.write(tmp_path, 'path,label\na.png,cat\n"sub/b, c.png",dog\n')
        for data in (table, tmp_path):
            listing = recognise(data)
            assert labelled(listing) == {"a.png": "cat", "sub/b, c.png": "dog"}
            assert (listing.root, listing.kind, listing.splits) == (tmp_path, "table", None)

    @pytest.mark.parametrize(
        "text",
        [
            "\ufeffPath,Label,Split\r\na.png,1,train\r\nb.png,2,TEST\r\n",
            "path;label;split\na.png;1;train\nb.png;2;test\n",
            "label\tsplit\tpath\n1\ttrain\ta.png\n\n2\ttest\tb.png\n",
        ],
        ids=["byte-order mark", "semicolons", "tabs"],
    )
    def test_dialects(self, tmp_path: Path, text: str) -> None:
        listing = recognise(self.write(tmp_path, text))
        assert labelled(listing) == {"a.png": "1", "b.png": "2"}
        assert listing.splits is not None
        assert listing.splits.tolist() == [0, 2]

    def test_names_that_are_not_utf8_still_lead_to_their_files(self, tmp_path: Path) -> None:
        (tmp_path / "labels.csv").write_bytes(b"path,label\ncaf\xe9.png,caf\xe9\n")
        listing = recognise(tmp_path)
        assert labelled(listing) == {"caf\udce9.png": r"caf\xe9"}

    def test_groups(self, tmp_path: Path) -> None:
        listing = recognise(self.write(tmp_path, "path,label,patient\na,x,7\nb,y,\nc,y,\nd,x,7\n"), group_by="patient")
        assert listing.groups is not None
        assert listing.groups.tolist() == ["7", "(row 3 alone)", "(row 4 alone)", "7"]

    def test_rows_without_a_label_are_told(self, tmp_path: Path) -> None:
        listing = recognise(self.write(tmp_path, "path,label\na,x\nb,\n,y\nc,y\n"))
        assert listing.paths == ["a", "c"]
        assert [(p.path, p.kind, p.reason) for p in listing.problems] == [
            ("b", "no_label", "its label is empty in row 3 of the table"),
            ("row 4", "no_label", "its path is empty in row 4 of the table"),
        ]

    @pytest.mark.parametrize(
        "text, match",
        [
            ("file,class\na,b\n", "has the columns file, class; expected the columns path and label"),
            ("", "has the columns none"),
            ("path,label\na,b,c\n", r"3 values in row 2, expected 2 \(path, label\)"),
            ("path,label,split\na,b,train\nc,d,tests\n", "split 'tests' in row 3, expected train, validation, test"),
            ("path,label,label\na,b,c\n", "two columns of one name"),
            ("path,label\n" + "x" * 200_000 + ",b\n", "no readable CSV: field larger"),
        ],
    )
    def test_bad_tables(self, tmp_path: Path, text: str, match: str) -> None:
        with pytest.raises(DataError, match=match):
            recognise(self.write(tmp_path, text))

    def test_no_such_group_column(self, tmp_path: Path) -> None:
        table = self.write(tmp_path, "path,label,patient\na,b,c\n")
        with pytest.raises(UnknownName, match="no column is called 'patients'; nearest: patient"):
            recognise(table, group_by="patients")

    def test_parquet(self, tmp_path: Path) -> None:
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        columns = {"path": ["a.png", "b.png", "c.png"], "label": [3, 12, None], "split": ["train", "val", "test"]}
        parquet.write_table(arrow.table(columns), tmp_path / "labels.parquet")
        listing = recognise(tmp_path)
        assert labelled(listing) == {"a.png": "3", "b.png": "12"}
        assert listing.classes == ("3", "12")
        assert len(listing.problems) == 1
        (tmp_path / "labels.parquet").write_bytes(b"not parquet at all")
        with pytest.raises(DataError, match="cannot be read as a Parquet table"):
            recognise(tmp_path)

    def test_parquet_without_pyarrow(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
        with pytest.raises(MissingExtra, match=r"pip install 'glassnet\[parquet\]'"):
            recognise(self.write(tmp_path, "", "labels.parquet"))


class TestArrays:
    pictures = np.arange(6 * 4 * 5, dtype=np.uint8).reshape(6, 4, 5)

    def test_npz_with_splits(self, tmp_path: Path) -> None:
        labels = np.array([3, 1, 10, 1, 3, 10])
        parts = {"x_train": self.pictures[:3], "y_train": labels[:3], "x_val": self.pictures[3:4], "y_val": labels[3:4]}
        np.savez(tmp_path / "d.npz", **parts, x_test=self.pictures[4:], y_test=labels[4:])
        listing = recognise(tmp_path / "d.npz")
        assert listing.images is not None
        assert (listing.images[..., 0] == self.pictures).all()
        assert listing.classes == ("1", "3", "10")
        assert [listing.classes[label] for label in listing.labels] == ["3", "1", "10", "1", "3", "10"]
        assert listing.splits is not None
        assert listing.splits.tolist() == [0, 0, 0, 1, 2, 2]
        assert listing.where(2) == "d[2]"

    def test_npz_of_images_and_text_labels(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "d.npz", images=self.pictures, labels=np.array(list("abcabc")))
        listing = recognise(tmp_path / "d.npz")
        assert listing.splits is None
        assert (listing.classes, listing.labels.tolist()) == (("a", "b", "c"), [0, 1, 2, 0, 1, 2])

    def test_npz_with_class_names(self, tmp_path: Path) -> None:
        labels = np.array([0, 1, 0, 1, 0, 1])
        np.savez(tmp_path / "d.npz", images=self.pictures, labels=labels, classes=np.array(["zebra", "ant"]))
        assert recognise(tmp_path / "d.npz").classes == ("zebra", "ant")
        np.savez(tmp_path / "d.npz", images=self.pictures, labels=labels + 1, classes=np.array(["zebra", "ant"]))
        with pytest.raises(DataError, match="names 2 classes, but its labels are not whole numbers from 0 to 1"):
            recognise(tmp_path / "d.npz")

    def test_idx_files(self, tmp_path: Path) -> None:
        for stem, part in (("train", slice(0, 4)), ("t10k", slice(4, 6))):
            write_idx(tmp_path / f"{stem}-images-idx3-ubyte.gz", self.pictures[part])
            write_idx(tmp_path / f"{stem}-labels-idx1-ubyte", np.arange(6, dtype=np.uint8)[part])
        listing = recognise(tmp_path)
        assert listing.images is not None
        assert listing.splits is not None
        assert (listing.images[..., 0] == self.pictures).all()
        assert listing.labels.tolist() == [0, 1, 2, 3, 4, 5]
        assert listing.splits.tolist() == [0, 0, 0, 0, 2, 2]
        single = recognise(tmp_path / "t10k-images-idx3-ubyte.gz")
        assert (len(single), single.splits) == (2, None)

    def test_idx_without_labels(self, tmp_path: Path) -> None:
        write_idx(tmp_path / "train-images-idx3-ubyte", self.pictures)
        with pytest.raises(DataError, match="has no labels beside it; expected 'train-labels-idx1-ubyte'"):
            recognise(tmp_path)

    def test_idx_with_labels_of_another_set(self, tmp_path: Path) -> None:
        write_idx(tmp_path / "train-images-idx3-ubyte", self.pictures)
        write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(5, np.uint8))
        with pytest.raises(DataError, match="6 pictures but 5 labels"):
            recognise(tmp_path)

    def test_a_built_in(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        listing = recognise("fashion-mini")
        assert (listing.kind, listing.official, len(listing), len(listing.classes)) == ("builtin", True, 12_000, 10)
        assert listing.splits is not None
        assert np.bincount(listing.splits).tolist() == [10_000, 0, 2_000]
        monkeypatch.chdir(tmp_path)
        picture(tmp_path / "fashion-mini" / "cat" / "a.png")
        assert "write ./fashion-mini for the folder" in recognise("fashion-mini").notes[0]
        assert recognise("./fashion-mini").kind == recognise(Path("fashion-mini")).kind == "folder"


class TestNothingRecognised:
    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="is an empty folder; expected a folder per class"):
            recognise(tmp_path)

    def test_pictures_without_class_folders(self, tmp_path: Path) -> None:
        picture(tmp_path / "a.png")
        picture(tmp_path / "b.jpg")
        with pytest.raises(DataError, match="holds 2 pictures but no class folders; expected"):
            recognise(tmp_path)

    def test_other_files(self, tmp_path: Path) -> None:
        (tmp_path / "train.csv").write_text("path,label\n")
        with pytest.raises(DataError, match=r"holds 1 files and 0 folders.*; give '.*train\.csv' itself"):
            recognise(tmp_path)

    def test_a_folder_of_hidden_things(self, tmp_path: Path) -> None:
        picture(tmp_path / ".cat" / "a.png")
        with pytest.raises(DataError, match="holds only hidden or broken entries"):
            recognise(tmp_path)

    @pytest.mark.parametrize(
        "name, match",
        [
            ("photo.jpg", "is a single picture; give the folder"),
            ("photos.zip", "is an archive; unpack it"),
            ("notes.txt", "is a file of no known layout; expected a folder per class"),
        ],
    )
    def test_a_file_instead_of_a_folder(self, tmp_path: Path, name: str, match: str) -> None:
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(DataError, match=match):
            recognise(tmp_path / name)

    def test_no_permission(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        picture(tmp_path / "cat" / "a.png")
        forbid(monkeypatch, tmp_path)
        with pytest.raises(DataError, match=r"no permission to read .*; change its permissions"):
            recognise(tmp_path)

    def test_a_word_that_is_nothing_offers_the_nearest(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "photos").mkdir()
        with pytest.raises(UnknownName, match="no data set is called 'fashon-mini'; nearest: fashion-mini"):
            recognise("fashon-mini")
        with pytest.raises(UnknownName, match="nearest: photos"):
            recognise("photo")
        with pytest.raises(InputError, match=r"'\./photo' does not exist; nearest: photos"):
            recognise("./photo")
        with pytest.raises(InputError, match="'no/where' does not exist; expected a folder per class"):
            recognise("no/where")

    @pytest.mark.parametrize("data", ["", "  ", "a\0b"])
    def test_no_name_at_all(self, data: str) -> None:
        with pytest.raises(InputError, match=r"data is .*, expected a folder per class"):
            recognise(data)

    def test_no_path(self) -> None:
        with pytest.raises(InputError, match="data is a int, expected a path"):
            recognise(7)  # type: ignore[arg-type]

    @pytest.mark.parametrize("data", ["fashion-mini", None])
    def test_groups_of_a_source_without_columns(self, tmp_path: Path, data: str | None) -> None:
        picture(tmp_path / "cat" / "a.png")
        with pytest.raises(InputError, match=r"group_by is 'patient', but .* has no columns"):
            recognise(data or tmp_path, group_by="patient")
