"""Problems: names of strangers shown safely, and the CSV that lists them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassnet.data.problems import (
    KINDS,
    QUARANTINED,
    QUARANTINING_KINDS,
    WARNING_KINDS,
    Problem,
    count_kinds,
    harmless,
    printable,
    write_problems_csv,
)
from glassnet.errors import PictureError, StorageError

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


def read_back(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "name, shown",
    [
        ("Größe/猫.jpg", "Größe/猫.jpg"),
        ("caf\udce9.jpg", r"caf\xe9.jpg"),  # Latin-1 bytes in a file name
        ("a\nb\t.jpg", r"a\nb\t.jpg"),
        ("\x1b[2J.jpg", r"\x1b[2J.jpg"),  # would clear the terminal
        ("gpj.\u202eexe", r"gpj.\u202eexe"),  # would show backwards
        ("\ud800", r"\ud800"),
    ],
)
def test_printable(name: str, shown: str) -> None:
    assert printable(name) == shown


@given(ANY_TEXT)
def test_whatever_is_shown_can_be_printed_and_encoded(name: str) -> None:
    shown = printable(name)
    assert shown.isprintable()
    assert printable(shown) == shown
    shown.encode("utf-8")


def test_a_kind_quarantines_or_warns_but_never_both() -> None:
    assert QUARANTINING_KINDS.keys() & WARNING_KINDS.keys() == set()
    assert QUARANTINING_KINDS.keys() == QUARANTINED
    assert Problem("a.jpg", "truncated", "").quarantined
    assert not Problem("a.jpg", "near_duplicate", "").quarantined


def test_every_kind_that_decoding_can_raise_is_a_kind() -> None:
    assert PictureError("x").kind in KINDS
    assert {"empty", "truncated", "not_a_picture", "bomb", "unreadable"} <= QUARANTINED


def test_an_unknown_kind_is_a_bug_of_ours() -> None:
    with pytest.raises(AssertionError, match="'broken'"):
        Problem("a.jpg", "broken", "it is")


def test_a_problem_reads_as_a_sentence() -> None:
    assert str(Problem("a\n.jpg", "empty", "it has 0 bytes")) == r"a\n.jpg: empty: it has 0 bytes"


def test_counts_begin_with_what_is_left_out() -> None:
    kinds = ["hidden"] * 5 + ["empty"] + ["duplicate"] * 2
    assert list(count_kinds(Problem("x", kind, "") for kind in kinds).items()) == [
        ("duplicate", 2),
        ("empty", 1),
        ("hidden", 5),
    ]


def test_the_csv_holds_every_field(tmp_path: Path) -> None:
    problems = [
        Problem('cat/a, "b".jpg', "leak", "an exact copy of x", "train"),
        Problem("caf\udce9\n.jpg", "bad_name", "its name"),
    ]
    write_problems_csv(tmp_path / "problems.csv", problems)
    assert read_back(tmp_path / "problems.csv") == [
        {
            "path": 'cat/a, "b".jpg',
            "split": "train",
            "kind": "leak",
            "quarantined": "yes",
            "reason": "an exact copy of x",
        },
        {"path": r"caf\xe9\n.jpg", "split": "", "kind": "bad_name", "quarantined": "no", "reason": "its name"},
    ]


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0.jpg", "+1.jpg", "-1.jpg", "@SUM(A1).jpg"])
def test_a_name_is_no_formula_in_a_spreadsheet(name: str, tmp_path: Path) -> None:
    write_problems_csv(tmp_path / "problems.csv", [Problem(name, "empty", "it is")])
    written = read_back(tmp_path / "problems.csv")[0]["path"]
    assert written == harmless(name) == f"./{name}"
    assert (tmp_path / written).parent / Path(written).name == tmp_path / name


def test_a_csv_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "problems.csv"
    write_problems_csv(target, [])
    before = target.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(StorageError, match=r"problems\.csv.*disk is full"):
        write_problems_csv(target, [Problem("a", "empty", "it is")])
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["problems.csv"]
