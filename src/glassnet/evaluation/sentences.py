"""What the numbers mean for these pictures, in plain words.

On unbalanced data accuracy, precision and recall tell different stories: accuracy may be high because one class is
large, precision low because a rare class is claimed too often, recall low because it is overlooked. Each gets its own
sentences, with counts that a reader can check against the confusion matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glassnet.evaluation.judgement import Judgement

UNBALANCED = 1.5
"""From this ratio of the largest to the smallest class on, accuracy is worth a warning."""
FEW = 20
"""With fewer pictures than this, one picture moves a class's recall by more than 5 percentage points."""
ROUGH = 1000
"""With fewer pictures than this the bins of a reliability diagram hold too few to trust its error."""


def sentences(judgement: Judgement) -> dict[str, str]:
    """Return {"accuracy" | "precision" | "recall" | "calibration": what it means for the judged pictures}."""
    return {
        "accuracy": _accuracy(judgement),
        "precision": _precision(judgement),
        "recall": _recall(judgement),
        "calibration": _calibration(judgement),
    }


def percent(share: float) -> str:
    """A share in [0, 1] as "87.3%"; 100 % only where it is exactly that."""
    text = f"{100 * share:.1f}%"
    if text == "100.0%":
        return "100%" if share > 1 - 1e-9 else "over 99.9%"
    return text


def quoted(name: str) -> str:
    """A class name in quotation marks."""
    return f"“{name}”"


def _pictures(count: int) -> str:
    return f"{count:,} picture" + ("" if count == 1 else "s")


def _accuracy(judgement: Judgement) -> str:
    right = sum(row[number] for number, row in enumerate(judgement.confusion))
    low, high = judgement.accuracy_interval
    text = (
        f"{right:,} of {_pictures(judgement.n)} get the right answer: {percent(judgement.accuracy)}, and on other "
        f"pictures of this kind probably between {percent(low)} and {percent(high)}. Always answering "
        f"{quoted(judgement.baseline_class)} would be right for {percent(judgement.baseline)}."
    )
    return f"{text} {_balance(judgement)}"


def _balance(judgement: Judgement) -> str:
    present = [result for result in judgement.per_class if result.support]
    largest = max(present, key=lambda result: result.support)
    smallest = min(present, key=lambda result: result.support)
    if len(present) == 1:
        return "All these pictures are of one class, so accuracy and its recall are the same number."
    if largest.support == smallest.support:
        return "Every class has equally many pictures, so accuracy is a fair summary."
    times = largest.support / smallest.support
    if times < UNBALANCED:
        return "The classes are of similar size, so accuracy is a fair summary."
    return (
        f"The classes are unequal: {quoted(largest.name)} has {times:,.1f} times as many pictures as "
        f"{quoted(smallest.name)}, so accuracy mostly tells how the large classes do. With every class counted the "
        f"same it is {percent(judgement.balanced_accuracy)}."
    )


def _precision(judgement: Judgement) -> str:
    called = [result for result in judgement.per_class if result.predicted]
    text = (
        f"How far an answer can be trusted: {percent(judgement.averages['macro']['precision'])} "
        "of the answers are true, averaged over the classes."
    )
    worst = min(called, key=lambda result: result.precision)
    if worst.precision == 1:
        return text + " No answer was wrong."
    column = [row[judgement.classes.index(worst.name)] for row in judgement.confusion]
    wrong = round(worst.predicted * (1 - worst.precision))
    return (
        f"{text} Trust {quoted(worst.name)} least: of {_pictures(worst.predicted)} called so, "
        f"{wrong:,} ({percent(1 - worst.precision)}) {_are(wrong)} something else"
        f"{_mostly(judgement, column, worst.name, wrong)}.{_never_called(judgement)}"
    )


def _recall(judgement: Judgement) -> str:
    present = [result for result in judgement.per_class if result.support]
    share = sum(result.recall for result in present) / len(present)
    text = f"How much is found: {percent(share)} of the pictures of a class are recognised, averaged over the classes."
    worst = min(present, key=lambda result: result.recall)
    if worst.recall == 1:
        return text + " None was missed."
    missed = round(worst.support * (1 - worst.recall))
    row = judgement.confusion[judgement.classes.index(worst.name)]
    caution = f" Only {_pictures(worst.support)}, so this is rough." if worst.support < FEW else ""
    return (
        f"{text} {quoted(worst.name)} is missed most: {missed:,} of {_pictures(worst.support)} "
        f"({percent(1 - worst.recall)}) {_are(missed)} called something else"
        f"{_mostly(judgement, row, worst.name, missed)}.{caution}"
    )


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _mostly(judgement: Judgement, counts: list[int], own: str, total: int) -> str:
    """Name the class that takes most of the mistakes in `counts`, if one takes at least a third of several."""
    others = [(count, name) for count, name in zip(counts, judgement.classes, strict=True) if name != own]
    count, name = max(others)
    if total < 2 or count * 3 < total:
        return ""
    return f", {'all' if count == total else 'mostly' if count * 2 > total else 'often'} {quoted(name)}"


def _never_called(judgement: Judgement) -> str:
    never = [quoted(result.name) for result in judgement.per_class if result.support and not result.predicted]
    if not never:
        return ""
    more = f" and {len(never) - 3} more" if len(never) > 3 else ""
    return f" It never answers {', '.join(never[:3])}{more}."


def _calibration(judgement: Judgement) -> str:
    before, after = judgement.calibration["before"], judgement.calibration["after"]
    gap = after.mean_confidence - judgement.accuracy
    direction = "over" if gap > 0 else "under"
    if after.error < 0.02:
        verdict = "its confidence can be taken at its word"
    elif abs(gap) < 0.03:
        verdict = "right on average, though a single claim can be off"
    elif after.error < 0.05:
        verdict = f"it is a little {direction}-confident"
    else:
        verdict = f"it is {direction}-confident; treat its percentages with care"
    rough = f" With only {_pictures(judgement.n)} this is rough." if judgement.n < ROUGH else ""
    text = (
        f"On average it claims {percent(after.mean_confidence)} and is right {percent(judgement.accuracy)} of the "
        f"time: {verdict}.{rough}"
    )
    if after.temperature == 1:
        return text
    return (
        f"{text} Temperature {after.temperature:.2f}, learnt on validation, moved the mean gap between claim and truth "
        f"from {100 * before.error:.1f} to {100 * after.error:.1f} percentage points."
    )
