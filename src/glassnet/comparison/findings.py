"""What a comparison found, in sentences, each with its uncertainty; and what it did not find.

A difference counts as found when its 95 % interval, over the differences seed by seed, excludes 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from glassnet.comparison.results import Row
from glassnet.comparison.statistics import Interval, chance_of_a_fluke, difference, seeds_needed

Pairs = Sequence[tuple[str, str]]


def best_of(rows: Sequence[Row]) -> Row:
    """Return the row with the highest mean validation accuracy; of equals the one with fewer multiply-adds."""
    return max(rows, key=lambda row: (row.accuracy.mean, -row.multiply_adds))


def behind(rows: Sequence[Row]) -> dict[str, Interval]:
    """Return how far each option but the best is behind it, seed by seed."""
    best = best_of(rows)
    return {row.name: difference(best.validation, row.validation) for row in rows if row is not best}


def findings(rows: Sequence[Row], pairs: Pairs = (), failed: Sequence[str] = ()) -> list[str]:
    """Return the sentences. rows: on the same seeds. pairs: (first, second) that answer a study's question."""
    if not rows:
        return [*failed, "No option has finished on all its seeds, so nothing can be compared yet."]
    best, seeds = best_of(rows), len(rows[0].seeds)
    said = [_headline(best, seeds), *failed]
    by_name = {row.name: row for row in rows}
    usable = [(by_name[a], by_name[b]) for a, b in pairs if a in by_name and b in by_name]
    if seeds < 2:
        return [*said, _one_seed(rows)]
    said += [_step(first, second) for first, second in usable]
    if not usable:
        said += _against_best(rows, best)
    said += _cheapest(rows, best)
    said += _more_seeds(rows, best)
    comparisons = len(usable) or len(rows) - 1
    if comparisons > 1:
        said.append(
            f"Each interval holds by itself at 95 %: with {comparisons} comparisons, chance alone may separate one "
            f"where there is no difference (up to {chance_of_a_fluke(comparisons):.0%})."
        )
    return said


def accuracy(value: Interval) -> str:
    """Return "84.1 ± 0.6 %", "84.1 %" for one seed."""
    spread = "" if value.half is None else f" ± {100 * value.half:.1f}"
    return f"{100 * value.mean:.1f}{spread} %"


def points(value: Interval) -> str:
    """Return a difference as "3.1 ± 1.0 points"."""
    return f"{100 * value.mean:.1f} ± {100 * (value.half or 0.0):.1f} points"


def thousands(value: float) -> str:
    """Return 1234567 as "1.23 M"."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _headline(best: Row, seeds: int) -> str:
    test = ""
    if best.test_accuracy is not None:
        test = f" (test pictures, which chose nothing: {accuracy(best.test_accuracy)})"
    many = f"{seeds} seeds" if seeds > 1 else "1 seed"
    return f"{best.name} is highest: {accuracy(best.accuracy)} of the validation pictures right, {many}{test}."


def _one_seed(rows: Sequence[Row]) -> str:
    return (
        "One seed gives no interval: another seed may turn the order around, and nothing here says by how much. "
        "At least three seeds are needed to compare" + (f" {len(rows)} options." if len(rows) > 1 else ".")
    )


def _step(first: Row, second: Row) -> str:
    """Say what the second of a pair gains over the first."""
    gain, seeds = difference(second.validation, first.validation), len(first.seeds)
    start = f"From {first.name} ({accuracy(first.accuracy)}) to {second.name} ({accuracy(second.accuracy)}):"
    if gain.excludes_zero:
        word = "better" if gain.mean > 0 else "worse"
        return f"{start} {word} by {points(Interval(abs(gain.mean), gain.half, gain.n))}."
    return f"{start} {_signed(gain)}, which these {seeds} seeds do not separate from no difference."


def _signed(value: Interval) -> str:
    return ("+" if value.mean >= 0 else "-") + points(Interval(abs(value.mean), value.half, value.n))


def _against_best(rows: Sequence[Row], best: Row) -> list[str]:
    """Say which options are behind the best, and which may not be."""
    gaps = sorted(behind(rows).items(), key=lambda item: item[1].mean)
    clear = [f"{name} by {points(gap)}" for name, gap in gaps if gap.excludes_zero]
    open_ = [f"{name} ({points(gap)} behind)" for name, gap in gaps if not gap.excludes_zero]
    said = [f"Behind {best.name}: {_listed(clear)}."] if clear else []
    if open_:
        verb = "is" if len(open_) == 1 else "are"
        seeds = len(best.seeds)
        said.append(f"Not separated from {best.name} by these {seeds} seeds {verb} {_listed(open_)}.")
    return said


def _cheapest(rows: Sequence[Row], best: Row) -> list[str]:
    """Name the cheapest option that may be as good as the best."""
    gaps = behind(rows)
    equals = [row for row in rows if row is not best and not gaps[row.name].excludes_zero]
    cheaper = [row for row in equals if row.multiply_adds < 0.98 * best.multiply_adds]
    if not cheaper:
        return []
    row = min(cheaper, key=lambda each: each.multiply_adds)
    return [
        f"The cheapest that these seeds do not tell from the best is {row.name}: {accuracy(row.accuracy)} for "
        f"{thousands(row.multiply_adds)} multiply-adds in place of {thousands(best.multiply_adds)}."
    ]


def _more_seeds(rows: Sequence[Row], best: Row) -> list[str]:
    """Say how many seeds might separate the best from its nearest rival."""
    gaps = {name: gap for name, gap in behind(rows).items() if not gap.excludes_zero}
    if not gaps:
        return []
    name = min(gaps, key=lambda each: gaps[each].mean)
    rival = next(row for row in rows if row.name == name)
    if (needed := seeds_needed(best.validation, rival.validation)) is None:
        return [f"{best.name} and {name} are so close that even 50 seeds would hardly separate them: take either."]
    return [f"About {needed} seeds would separate {best.name} from {name}, if the difference is as large as it looks."]


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + f" and {parts[-1]}" if len(parts) > 1 else parts[0]
