"""The summary of a comparison as a text: the question, what was found, the table, how it was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassnet.comparison.findings import accuracy, best_of, thousands
from glassnet.comparison.options import Budget
from glassnet.comparison.results import Row

if TYPE_CHECKING:
    from glassnet.comparison.compare import Comparison

TITLES = ("option", "validation", "test", "parameters", "multiply-adds", "pictures/s")


def cells(row: Row) -> tuple[str, ...]:
    """Return a row's cells under `TITLES`."""
    test = accuracy(row.test_accuracy) if row.test_accuracy else ""
    costs = (thousands(row.parameters), thousands(row.multiply_adds), f"{row.pictures_per_second:,.0f}")
    return (row.name, accuracy(row.accuracy), test, *costs)


def summary(comparison: Comparison) -> str:
    """Return the comparison as Markdown."""
    settings, study = comparison.settings, comparison.study
    title = study.question if study else f"Compared on {settings['data']}"
    parts = [f"# {title}", *([study.about] if study else [])]
    parts.append("\n".join(f"- {sentence}" for sentence in comparison.findings))
    if rows := comparison.rows:
        best = best_of(rows)
        lines = ["| " + " | ".join(TITLES) + " |", "|---" + "|---:" * (len(TITLES) - 1) + "|"]
        for row in rows:
            each = [cell.replace("|", "\\|") for cell in cells(row)]
            lines.append("| " + " | ".join([f"**{each[0]}**" if row is best else each[0], *each[1:]]) + " |")
        parts += ["\n".join(lines), "![accuracy against cost](compare.png)"]
    parts.append(_how(comparison))
    return "\n\n".join(parts) + "\n"


def _how(comparison: Comparison) -> str:
    """Say how it was done, so that the numbers can be judged."""
    settings, machine = comparison.settings, comparison.machine
    budget = comparison.budget
    length = "as long as the recipe says" if budget == Budget() else f"{budget} each"
    seconds = sum(each.seconds or 0.0 for each in comparison.outcomes)
    processor = sum(each.processor_seconds or 0.0 for each in comparison.outcomes)
    state = "" if comparison.finished else f" {len(comparison.todo)} trainings are missing."
    return (
        f"{len(comparison.options)} options x {settings['seeds']} seeds on {settings['data']}, {length}; "
        f"{seconds:,.0f} s of training, {processor:,.0f} processor seconds in all, on {machine['cpu']} "
        f"({machine['threads']} threads), torch {machine['torch']}.{state}\n\n"
        "Accuracies are means over the seeds with the 95 % interval of Student's t. A seed draws the initial weights, "
        "the order of the pictures and, where the data do not bring one, the validation split, alike for all options; "
        "so differences are taken seed by seed. Options are compared on validation pictures. Test pictures were judged "
        "once for each run, at its end, and chose nothing. Pictures/s is the speed of training. A run is an ordinary "
        "one: `glassnet report` writes its page."
    )
