"""The page about the language: its examples work, and it leaves no word out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from glassnet.models.described import read
from glassnet.models.described.language import BLOCKS, KEYS, KINDS, NORMS
from glassnet.nn.initialise import INITIALISERS
from glassnet.nn.layers.activations import ACTIVATIONS
from glassnet.nn.layers.padded import MODES

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "networks-in-toml.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_of_the_page_is_a_network(number: int, tmp_path: Path) -> None:
    text = EXAMPLES[number]
    part = "" if "input" in text.split("[[", maxsplit=1)[0] else "input = [8, 8, 1]\n[[layers]]\nconv = 32\n"
    (tmp_path / "my.toml").write_text(part + text)
    with torch.device("meta"):
        assert len(read(tmp_path / "my.toml")["layers"]) >= 2


def test_the_page_names_every_word() -> None:
    assert len(EXAMPLES) == 3
    known = {*KEYS, *KINDS, *BLOCKS, *NORMS, *ACTIVATIONS, *INITIALISERS, *MODES, "join", "global_max", "half"}
    missing = {word for word in known if not re.search(rf"\b{word}\b", PAGE)} - {"zero_padded"}
    assert not missing
