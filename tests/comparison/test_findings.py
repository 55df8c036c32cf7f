"""The sentences say what the numbers say, and no more; the table and the figure hold them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from matplotlib.text import Annotation, Text

from glassnet.comparison.findings import accuracy, best_of, findings, thousands
from glassnet.comparison.plot import draw, plot
from glassnet.comparison.results import Row, shared, to_csv
from glassnet.comparison.statistics import Interval


def row(name: str, *validation: float, parameters: int = 1000, multiply_adds: int = 1_000_000) -> Row:
    return Row(
        name=name,
        seeds=tuple(range(len(validation))),
        validation=validation,
        test=tuple(value - 0.01 for value in validation),
        parameters=parameters,
        multiply_adds=multiply_adds,
        pictures_per_second=5000.0,
        seconds=9.0,
        processor_seconds=11.0,
    )


ONE = row("one", 0.810, 0.812, 0.808, multiply_adds=100_000)
TWO = row("two", 0.840, 0.843, 0.837, multiply_adds=200_000)
FOUR = row("four", 0.842, 0.838, 0.841, multiply_adds=400_000)


def test_numbers_in_words() -> None:
    assert accuracy(Interval(0.8414, 0.0062, 3)) == "84.1 ± 0.6 %"
    assert accuracy(Interval(0.8414, None, 1)) == "84.1 %"
    assert [thousands(value) for value in (178, 14192, 2123744, 3.9e9)] == ["178", "14.2 k", "2.12 M", "3.9 G"]


def test_what_is_separated_and_what_is_not() -> None:
    said = " ".join(findings([ONE, TWO, FOUR]))
    assert "four is highest: 84.0 ± 0.5 % of the validation pictures right, 3 seeds" in said
    assert "test pictures, which chose nothing: 83.0 ± 0.5 %" in said
    assert "Behind four: one by 3.0 ± 0.9 points." in said
    assert "Not separated from four by these 3 seeds is two (0.0 ± 1.2 points behind)." in said
    assert "cheapest that these seeds do not tell from the best is two" in said
    assert "so close that even 50 seeds would hardly separate them" in said
    assert "with 2 comparisons, chance alone" in said


def test_pairs_of_a_study() -> None:
    said = findings([ONE, TWO, FOUR], [("one", "two"), ("two", "four"), ("two", "one"), ("two", "lost")])
    assert "From one (81.0 ± 0.5 %) to two (84.0 ± 0.7 %): better by 3.0 ± 0.2 points." in said
    assert any("to four" in line and "which these 3 seeds do not separate from no difference" in line for line in said)
    assert "From two (84.0 ± 0.7 %) to one (81.0 ± 0.5 %): worse by 3.0 ± 0.2 points." in said
    assert not any("lost" in line for line in said)


def test_one_seed_gives_no_interval() -> None:
    said = findings([row("a", 0.8), row("b", 0.9)], [("a", "b")])
    assert "±" not in " ".join(said)
    assert "One seed gives no interval" in said[-1]


def test_nothing_finished_and_what_diverged() -> None:
    said = findings([], (), ["a is left out: it diverged"])
    assert said[0].startswith("a is left out")
    assert "nothing can be compared yet" in said[1]


def test_of_equals_the_cheaper_is_best() -> None:
    assert best_of([row("dear", 0.8, 0.8, multiply_adds=9), row("cheap", 0.8, 0.8, multiply_adds=3)]).name == "cheap"


def test_only_seeds_that_all_have_are_compared() -> None:
    found = shared([row("a", 0.8, 0.9, 0.7), row("b", 0.6, 0.5)])
    assert [each.seeds for each in found] == [(0, 1), (0, 1)]
    assert found[0].validation == (0.8, 0.9)
    assert len(found[0].test) == 2


def test_csv() -> None:
    first, second = csv.DictReader(to_csv([TWO, row("alone", 0.5)]).splitlines())
    assert (first["option"], first["seeds"], first["validation_accuracy"]) == ("two", "3", "0.840000")
    assert float(first["validation_half_width"]) == pytest.approx(0.00745, abs=1e-4)
    assert first["multiply_adds"] == "200000"
    assert second["validation_half_width"] == ""


@pytest.mark.slow
def test_names_in_the_figure_do_not_overlap(tmp_path: Path) -> None:
    rows = [row(f"option number {k}", 0.80 + k / 500, 0.81 + k / 500, parameters=1000 * (k + 1)) for k in range(6)]
    rows.append(row("costs $5 and $6", 0.81, 0.812, multiply_adds=5_000_000))
    figure = draw(rows)
    for ax in figure.axes:
        texts = [each for each in ax.texts if isinstance(each, Annotation)]
        assert len(texts) == 7
        boxes = [Text.get_window_extent(text) for text in texts]
        frame = ax.get_window_extent().padded(1)
        assert all(frame.contains(*box.min) and frame.contains(*box.max) for box in boxes)
        assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    plot(rows, tmp_path / "figure.png", line=True)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_options_of_one_cost_are_drawn_against_speed() -> None:
    figure = draw([row("a", 0.8, 0.81), row("b", 0.8, 0.82)])
    assert [ax.get_xlabel() for ax in figure.axes] == ["pictures/s"]
