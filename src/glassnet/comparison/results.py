"""What the runs of a comparison say together: a row for each option, as data and as CSV."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from glassnet.comparison.statistics import Interval, interval
from glassnet.errors import RunError
from glassnet.training.run import Run


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run gave. Accuracies are shares; `test` is None where the data have no test pictures."""

    option: str
    seed: int
    run: str  # its folder inside the comparison's
    validation: float | None = None  # None with `failed`
    test: float | None = None
    parameters: int | None = None
    multiply_adds: int | None = None
    pictures_per_second: float | None = None  # in training, validation not counted
    steps: int | None = None
    seconds: float | None = None
    processor_seconds: float | None = None  # of all threads, as far as it was watched: a killed sitting's are unknown
    fingerprint: str | None = None  # of the data
    failed: str | None = None  # why there is no accuracy: the training diverged


@dataclass(frozen=True, kw_only=True)
class Row:
    """One option over its seeds; lists are in the order of `seeds`."""

    name: str
    seeds: tuple[int, ...]
    validation: tuple[float, ...]
    test: tuple[float, ...]  # empty where there are no test pictures
    parameters: int
    multiply_adds: int
    pictures_per_second: float  # median over the seeds
    seconds: float  # mean of a run
    processor_seconds: float

    @property
    def accuracy(self) -> Interval:
        """Validation accuracy with its interval: what options are compared on."""
        return interval(self.validation)

    @property
    def test_accuracy(self) -> Interval | None:
        """Test accuracy with its interval: shown, and used for nothing."""
        return interval(self.test) if self.test else None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, intervals included."""
        named = {"accuracy": self.accuracy, "test_accuracy": self.test_accuracy}
        return {**asdict(self), **{key: None if value is None else asdict(value) for key, value in named.items()}}


def outcome(run: Run, *, option: str, seed: int, folder: str, processor_seconds: float) -> Outcome:
    """Read what a finished and judged run gave."""
    history, judged = run.metrics(), run.evaluation
    if not history or "validation_accuracy" not in history[-1]:
        raise RunError(
            f"{str(run.path)!r} has no validation accuracy to compare by: there are no validation pictures, or nothing "
            "was trained but a probe; use data with more pictures, or a recipe with epochs"
        )
    best = [line for line in history if line.get("best")]
    line = best[-1] if run.recipe.select == "best" and best else history[-1]
    traced = run.network.trace()
    on_test = judged is not None and judged.split == "test"
    return Outcome(
        option=option,
        seed=seed,
        run=folder,
        validation=line["validation_accuracy"],
        test=judged.accuracy if judged is not None and on_test else None,
        parameters=traced.parameters,
        multiply_adds=traced.multiply_adds,
        pictures_per_second=statistics.median(each["pictures_per_second"] for each in history),
        steps=run.facts["last_step"],
        seconds=run.facts["seconds"],
        processor_seconds=round(processor_seconds, 2),
        fingerprint=run.facts["decided"]["fingerprint"],
    )


def rows(options: Sequence[str], outcomes: Sequence[Outcome]) -> list[Row]:
    """Return a row for each of `options` that has runs, none of which failed."""
    found = []
    for name in options:
        mine = sorted((each for each in outcomes if each.option == name), key=lambda each: each.seed)
        if not mine or any(each.failed for each in mine):
            continue
        found.append(
            Row(
                name=name,
                seeds=tuple(each.seed for each in mine),
                validation=tuple(_sure(each.validation) for each in mine),
                test=tuple(each.test for each in mine if each.test is not None),
                parameters=int(_sure(mine[0].parameters)),
                multiply_adds=int(_sure(mine[0].multiply_adds)),
                pictures_per_second=statistics.median(_sure(each.pictures_per_second) for each in mine),
                seconds=statistics.fmean(_sure(each.seconds) for each in mine),
                processor_seconds=statistics.fmean(_sure(each.processor_seconds) for each in mine),
            )
        )
    return found


def shared(found: Sequence[Row]) -> list[Row]:
    """Return the rows on the seeds that all of them have: an interrupted comparison has more of some."""
    common = set.intersection(*(set(row.seeds) for row in found)) if found else set()
    return [_only(row, common) for row in found]


def _only(row: Row, seeds: set[int]) -> Row:
    keep = [number for number, seed in enumerate(row.seeds) if seed in seeds]
    values = {key: tuple(getattr(row, key)[number] for number in keep) for key in ("seeds", "validation")}
    test = tuple(row.test[number] for number in keep) if row.test else ()
    return Row(**{**vars(row), **values, "test": test})


CSV_COLUMNS = (
    *("option", "seeds", "validation_accuracy", "validation_half_width", "test_accuracy", "test_half_width"),
    *("parameters", "multiply_adds", "pictures_per_second", "seconds", "processor_seconds"),
)


def to_csv(found: Sequence[Row]) -> str:
    """Return the rows as CSV, accuracies as shares; an interval that cannot be given is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in found:
        accuracies = [row.accuracy, row.test_accuracy]
        shares = [value for each in accuracies for value in ((each.mean, each.half) if each else (None, None))]
        cells = ["" if share is None else f"{share:.6f}" for share in shares]
        costs = [row.parameters, row.multiply_adds, round(row.pictures_per_second, 1)]
        writer.writerow(
            [row.name, len(row.seeds), *cells, *costs, f"{row.seconds:.2f}", f"{row.processor_seconds:.2f}"]
        )
    return text.getvalue()


def _sure(value: float | None) -> float:
    assert value is not None, "a run that did not fail has all its numbers"
    return value
