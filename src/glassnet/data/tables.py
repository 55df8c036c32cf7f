"""Tables as sources: labels.csv or labels.parquet with the columns path, label and, if wanted, split and groups."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from glassnet.data.folders import SPLIT_FOLDERS
from glassnet.data.listing import Listing, class_name, number_classes
from glassnet.data.problems import Problem, printable
from glassnet.data.splits import SPLITS
from glassnet.errors import DataError, UnknownName, require

TABLE_SUFFIXES = (".csv", ".parquet")
_EXPECTED = "expected the columns path and label, and optionally split (train, validation or test)"


def list_table(path: Path, group_by: str | None) -> Listing:
    """Return the listing of a table whose paths are relative to its own folder.

    group_by: the column whose equal values must stay on one side of a split; a row with none is its own group.
    Raises `DataError` for a table that cannot be read, lacks a column, or has a split value of another name, and
    `UnknownName` where there is no column `group_by`.
    """
    columns = _read_parquet(path) if path.suffix.lower() == ".parquet" else read_csv(path)
    for needed in ("path", "label"):
        if needed not in columns:
            raise DataError(f"{str(path)!r} has the columns {_names(columns)}; {_EXPECTED}")
    if group_by is not None and group_by not in columns:
        raise UnknownName("column", group_by, columns, hint=f"{str(path)!r} has the columns {_names(columns)}")
    labels = [class_name(label) for label in columns["label"]]
    usable = np.array([bool(name and label) for name, label in zip(columns["path"], labels, strict=True)], bool)
    problems = [_unusable(row, columns, labels) for row in np.flatnonzero(~usable).tolist()]
    kept = np.flatnonzero(usable).tolist()
    classes, numbers = number_classes([labels[row] for row in kept])
    splits = named_splits(path, columns["split"])[kept] if "split" in columns else None
    groups = None if group_by is None else _groups(columns[group_by])[kept]
    paths = [columns["path"][row] for row in kept]
    return Listing(path.stem, "table", path.parent, classes, numbers, paths, None, splits, groups, problems)


def _unusable(row: int, columns: dict[str, list[str]], labels: list[str]) -> Problem:
    what = "its path" if labels[row] else "its label"
    return Problem(
        columns["path"][row] or f"row {row + 2}", "no_label", f"{what} is empty in row {row + 2} of the table"
    )


def _names(columns: dict[str, list[str]]) -> str:
    return ", ".join(printable(name) for name in columns) or "none"


def named_splits(path: Path, values: list[str]) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """Return the (N,) int8 splits that a split column's words mean."""
    for row, value in enumerate(values):
        if value.strip().lower() not in SPLIT_FOLDERS:
            raise DataError(
                f"{str(path)!r} has the split {value!r} in row {row + 2}, expected {', '.join(SPLITS)} in every row;"
                " remove the column to have the split drawn"
            )
    return np.array([SPLIT_FOLDERS[value.strip().lower()] for value in values], np.int8)


def _groups(values: list[str]) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    groups = np.empty(len(values), object)
    groups[:] = [value or f"(row {row + 2} alone)" for row, value in enumerate(values)]
    return groups


def read_csv(path: Path) -> dict[str, list[str]]:
    """Return the columns of a CSV file by name, split at comma, semicolon or tab as its header is.

    Bytes that are not UTF-8 are kept as the file system would give them, so such paths still lead to their files.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            header = file.readline()
            delimiter = max(",;\t", key=header.count)
            names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
            if len(set(names)) < len(names):
                raise DataError(f"{str(path)!r} has two columns of one name: {', '.join(map(printable, names))}")
            rows = [
                _row(path, names, row, number)
                for number, row in enumerate(csv.reader(file, delimiter=delimiter), 2)
                if row
            ]
    except csv.Error as error:
        raise DataError(f"{str(path)!r} is no readable CSV: {error}; {_EXPECTED}") from error
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    return {name: [row[column] for row in rows] for column, name in enumerate(names)}


def _row(path: Path, names: list[str], row: list[str], number: int) -> list[str]:
    if len(row) != len(names):
        raise DataError(
            f"{str(path)!r} has {len(row)} values in row {number}, expected {len(names)}"
            f" ({', '.join(map(printable, names))}); put a value that holds the separator in double quotes"
        )
    return row


def _read_parquet(path: Path) -> dict[str, list[str]]:
    """Return the columns of a Parquet file by name, every value as text and a missing one as ""."""
    parquet = require("pyarrow.parquet", "reading a .parquet table", "parquet")
    arrow_error = require("pyarrow", "reading a .parquet table", "parquet").ArrowException
    try:
        table = parquet.read_table(path)
    except (OSError, arrow_error) as error:
        raise DataError(f"{str(path)!r} cannot be read as a Parquet table: {error}") from error
    return {
        name.strip().lower(): ["" if value is None else str(value) for value in table.column(name).to_pylist()]
        for name in table.column_names
    }
