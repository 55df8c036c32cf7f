"""The little YAML: by hand, and names as strange as they come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from glassnet.data.annotations.small_yaml import parse_small_yaml
from glassnet.data.annotations.texts import yaml_text

TEXT = """\ufeff---
# cells
path: ../cells     # relative
train:
  - images/a
  - "images/b # c"
nc: 2
roboflow:
  workspace: x
names:
  0: red cell
  1: 'it''s #1: white'
  "2": {plain}
other: [a, 'b, c', "d"]
more: {0: x, 1: "y, z"}
list:
- one
- two
"""


def test_by_hand() -> None:
    assert parse_small_yaml(TEXT, "data.yaml") == {
        "path": "../cells",
        "train": ["images/a", "images/b # c"],
        "nc": "2",
        "roboflow": {"workspace": "x"},
        "names": {"0": "red cell", "1": "it's #1: white", "2": "{plain}"},
        "other": ["a", "b, c", "d"],
        "more": {"0": "x", "1": "y, z"},
        "list": ["one", "two"],
    }


names = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), min_size=1).map(str.strip).filter(bool)


@given(st.lists(names, min_size=1, unique=True))
def test_names_come_back_as_they_were_written(classes: list[str]) -> None:
    parsed = parse_small_yaml(yaml_text(classes, [0, 1]), "data.yaml")
    assert parsed["names"] == {str(number): name for number, name in enumerate(classes)}
    assert (parsed["train"], parsed["val"]) == ("images/train", "images/val")
