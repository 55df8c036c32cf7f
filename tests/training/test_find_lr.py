"""The learning-rate finder: its suggestion on a curve made by hand, a real search, its plot, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from glassnet.errors import Diverged, InputError, StorageError
from glassnet.training.find_lr import Finding, find_lr, suggest


def test_the_suggestion_is_where_the_loss_falls_fastest() -> None:
    rates = np.geomspace(1e-5, 1, 101).tolist()
    losses = (2.0 - np.tanh(2 * (np.log10(rates) + 2))).tolist()  # falls fastest at 1e-2
    assert suggest("net", "quick", rates, losses).suggestion == pytest.approx(1e-2, rel=0.15)
    with pytest.raises(Diverged, match="blew up after 2 steps"):
        suggest("net", "quick", rates[:2], losses[:2])


@pytest.fixture(scope="module")
def found(small_data: Path) -> Finding:
    return find_lr(
        small_data, network="tiny", recipe="quick", overrides={"precision": "fp32"}, threads=1, steps=60, quiet=True
    )


def test_a_real_search(found: Finding) -> None:
    assert (found.network, found.recipe) == ("tiny", "quick")
    assert 1e-3 < found.suggestion < 3
    assert len(found.rates) == len(found.losses) <= 60
    assert found.rates[0] == pytest.approx(1e-6)
    assert min(found.losses) < found.losses[0]


def test_the_same_seed_finds_the_same(small_data: Path, found: Finding) -> None:
    again = find_lr(
        small_data, network="tiny", recipe="quick", overrides={"precision": "fp32"}, threads=1, steps=60, quiet=True
    )
    assert again == found


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_plot(found: Finding, tmp_path: Path, suffix: str) -> None:
    found.plot(tmp_path / f"lr.{suffix}")
    start = (tmp_path / f"lr.{suffix}").read_bytes()[:60]
    assert start.startswith(b"\x89PNG") if suffix == "png" else b"<?xml" in start


def test_plots_that_cannot_be(found: Finding, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot plot to"):
        found.plot(tmp_path / "lr.xyz")
    with pytest.raises(StorageError):
        found.plot(tmp_path / "missing" / "lr.png")


def test_wrong_ranges_are_refused(small_data: Path) -> None:
    with pytest.raises(InputError, match="0 < lowest < highest"):
        find_lr(small_data, network="tiny", lowest=1.0, highest=0.1, quiet=True)
