"""Where values stand in a TOML file: by hand, and for any document that a writer of TOML makes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.models.described.lines import Path, lines_of

TEXT = '''\
name = "a # no comment"      # a comment with [brackets] and = signs
input = [ 28,
  28,   # the second
  1 ]
[defaults]
weights = { type = "normal", std = 0.1 }
"quoted key" = \'\'\'
several [[lines]]
= of text\'\'\'
block.width = 3

[[layers]]
conv = 16
[[layers]]
branches = [
  [ { conv = 1 }, { conv = 2,
      kernel = 3 } ],
  [],
]
[[layers.parts]]
a = """x\\""" "" y"""
[[layers.parts]]
b = 1979-05-27 07:32:00
'''
PLACES: dict[Path, int] = {
    ("name",): 1,
    ("input",): 2,
    ("input", 1): 3,
    ("input", 2): 4,
    ("defaults",): 5,
    ("defaults", "weights", "std"): 6,
    ("defaults", "quoted key"): 7,
    ("defaults", "block"): 10,
    ("defaults", "block", "width"): 10,
    ("layers",): 12,
    ("layers", 0): 12,
    ("layers", 0, "conv"): 13,
    ("layers", 1): 14,
    ("layers", 1, "branches", 0, 0, "conv"): 16,
    ("layers", 1, "branches", 0, 1, "kernel"): 17,
    ("layers", 1, "branches", 1): 18,
    ("layers", 1, "parts", 0, "a"): 21,
    ("layers", 1, "parts", 1): 22,
    ("layers", 1, "parts", 1, "b"): 23,
}


@pytest.mark.parametrize("path", PLACES, ids=str)
def test_places_by_hand(path: Path) -> None:
    text = TEXT.replace("{ conv = 2,\n      kernel", "{ conv = 2,      kernel") if _older_toml() else TEXT
    shift = 1 if text != TEXT and PLACES[path] > 16 else 0
    tomllib.loads(text)
    assert lines_of(text)[path] == PLACES[path] - shift


def _older_toml() -> bool:
    """TOML 1.0 allows no line end between the keys of an inline table; 1.1 does."""
    try:
        tomllib.loads("a = { b = 1,\n c = 2 }")
    except tomllib.TOMLDecodeError:
        return True
    return False


def paths_of(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every path in a document."""
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from paths_of(inner, (*path, key))


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=5)
VALUES = st.recursive(
    st.one_of(st.integers(-9, 9), st.booleans(), st.floats(allow_nan=False), st.text(max_size=8), st.dates()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4), st.booleans())
def test_every_value_of_any_document_has_a_line(document: dict[str, Any], multiline: bool) -> None:
    text = tomli_w.dumps(document, multiline_strings=multiline).replace("\r\n", "\n").replace("\r", "")
    found = lines_of(text)
    assert set(found) == set(paths_of(tomllib.loads(text)))
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())
