"""The page about the reference shows what the reference really computes."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference.md"


@pytest.mark.skipif(not PAGE.is_file(), reason=f"{PAGE} is not here")
def test_the_examples_on_the_page() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.failed == 0
    assert result.attempted >= 14
