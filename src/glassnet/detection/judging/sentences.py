"""What a detector's numbers mean for these pictures, in plain words, and what to do about them.

The kind of mistake whose repair would raise mAP50 most is named with a reason and a remedy: more training does not find
what is too small to be seen, and no threshold helps against boxes that fit badly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassnet.evaluation.sentences import percent, quoted

if TYPE_CHECKING:
    from glassnet.detection.judging.judgement import ClassResult, DetectionJudgement

FEW_PICTURES = 30
"""With fewer pictures than this, an interval over them is rough itself."""
FEW_OBJECTS = 20
"""With fewer objects than this, one of them moves a class's recall by more than 5 percentage points."""
LITTLE = 0.01
"""A kind of mistake that costs less mAP50 than this is not worth a remedy."""
LOOSE = 0.3
"""From this fall of mAP between IoU 0.50 and 0.75 on, boxes fit loosely; typical detectors lose 0.1 to 0.25."""
SIZES = {"small": "up to 32 x 32 pixels", "medium": "up to 96 x 96 pixels", "large": "above 96 x 96 pixels"}


def sentences(judgement: DetectionJudgement) -> list[str]:
    """Return what there is to say, the most important first; each ends with a full stop."""
    said = [_headline(judgement), _map(judgement), _lost(judgement), _weakest(judgement), _loose(judgement)]
    return [text for text in [*said, _absent(judgement), _left_out(judgement)] if text]


def _headline(judgement: DetectionJudgement) -> str:
    found = sum(judgement.confusion[label][label] for label in range(len(judgement.classes)))
    boxes = sum(result.predicted for result in judgement.per_class)
    where = (
        "at the thresholds chosen on validation pictures"
        if judgement.thresholds_from == "card"
        else "at a threshold of 0.5 for every class, because none was chosen on validation pictures"
    )
    if not boxes:
        return f"Nothing is found: none of {_count(judgement.objects, 'object')}, {where}."
    return (
        f"Of {_count(judgement.objects, 'object')} {found:,} {_are(found)} found "
        f"({percent(found / judgement.objects)}), and of {_count(boxes, 'box')} {found:,} {_are(found)} right "
        f"({percent(found / boxes)}), {where}."
    )


def _map(judgement: DetectionJudgement) -> str:
    text = f"mAP50 is {judgement.map50:.3f}"
    if judgement.map50_interval:
        low, high = judgement.map50_interval
        text += f", and on other pictures of this kind probably between {low:.2f} and {high:.2f}"
    text += f". COCO's mAP, which also asks how tightly boxes fit, is {judgement.map:.3f}."
    if judgement.n < FEW_PICTURES:
        text += f" With only {_count(judgement.n, 'picture')} this is rough."
    return text


def _lost(judgement: DetectionJudgement) -> str:
    """Name the mistake that costs most, and a remedy."""
    kind = max(judgement.cost, key=lambda name: judgement.cost[name])
    cost = judgement.cost[kind]
    if judgement.map50 > 1 - LITTLE / 2:
        return "Next to nothing is lost at IoU 0.50."
    if cost < LITTLE:
        return f"No kind of mistake stands out: to put one right would raise mAP50 by {cost:.3f} at most."
    what, remedy = {
        "missed": _missed,
        "localisation": _localisation,
        "class": _class,
        "duplicate": _duplicate,
        "both": _both,
        "background": _background,
    }[kind](judgement)
    part = "Most" if 2 * cost > 1 - judgement.map50 else "The largest part"
    return f"{part} of what is lost is {what}; without these mistakes mAP50 would be {cost:.3f} higher. {remedy}"


def _missed(judgement: DetectionJudgement) -> tuple[str, str]:
    lost = {size: all_ - found for size, (found, all_) in judgement.found_by_size.items()}
    total = sum(lost.values())
    count = judgement.errors["missed"]
    size = max(lost, key=lambda name: lost[name])
    if total < 2 or lost[size] * 2 < total or size != "small":
        often = (
            f" {_count(lost[size], 'object')} of the {total:,} that are not found {_are(lost[size])} {size}."
            if total > 1
            else ""
        )
        return (
            f"missed objects: {_count(count, 'object')} of {judgement.objects:,} without a box on them",
            f"Add pictures that show such objects, or train longer.{often}",
        )
    return (
        f"missed small objects: {_count(count, 'object')} of {judgement.objects:,} {_have(count)} no box, and "
        f"{lost['small']:,} of the {total:,} that are not found are small ({SIZES['small']})",
        "A larger input shows them larger; tiles cut from the pictures do the same.",
    )


def _localisation(judgement: DetectionJudgement) -> tuple[str, str]:
    return (
        f"boxes that fit badly: {_count(judgement.errors['localisation'], 'box')} on an object of the right class, but "
        "with an IoU below 0.50",
        "Look whether the annotations are drawn alike and tightly; a larger input or longer training makes boxes fit.",
    )


def _class(judgement: DetectionJudgement) -> tuple[str, str]:
    names = judgement.classes
    pairs = [
        (judgement.confusion[true][called], names[true], names[called])
        for true in range(len(names))
        for called in range(len(names))
        if true != called
    ]
    count, true, called = max(pairs, default=(0, "", ""))
    often = (
        f", most often {quoted(true)} called {quoted(called)} ({count:,})"
        if 5 * count > judgement.errors["class"]
        else ""
    )
    return (
        f"wrong names: {_count(judgement.errors['class'], 'box')} placed well, but called another class{often}",
        "Look through these pictures for wrong annotations first; then add pictures of the classes that are confused.",
    )


def _duplicate(judgement: DetectionJudgement) -> tuple[str, str]:
    return (
        f"objects found twice: {_count(judgement.errors['duplicate'], 'box')} on an object that a surer box has found",
        "Suppress overlapping boxes from a lower IoU on.",
    )


def _both(judgement: DetectionJudgement) -> tuple[str, str]:
    return (
        f"boxes that fit badly and have the wrong name: {_count(judgement.errors['both'], 'box')}",
        "Train longer; if it stays so, more pictures are needed.",
    )


def _background(judgement: DetectionJudgement) -> tuple[str, str]:
    return (
        f"boxes on nothing: {_count(judgement.errors['background'], 'box')} on no annotated object",
        "Look through the worst pictures for objects that nobody annotated; then add pictures without objects that "
        "look like what it falls for.",
    )


def _weakest(judgement: DetectionJudgement) -> str:
    present = [(result.ap50, result) for result in judgement.per_class if result.ap50 is not None]
    if len(present) < 2:
        return ""
    lowest, weakest = min(present, key=lambda pair: pair[0])
    highest, best = max(present, key=lambda pair: pair[0])
    if highest - lowest < 0.05:
        return f"The classes are found about equally well: AP50 from {lowest:.3f} to {highest:.3f}."
    rough = f" Only {_count(weakest.support, 'object')}, so this is rough." if weakest.support < FEW_OBJECTS else ""
    return (
        f"{quoted(weakest.name)} is found worst (AP50 {lowest:.3f}{_trouble(weakest)}), {quoted(best.name)} best "
        f"({highest:.3f}).{rough}"
    )


def _trouble(result: ClassResult) -> str:
    """Whether a class is overlooked or claimed too often."""
    if not result.predicted:
        return "; never found at its threshold"
    if result.recall < result.precision - 0.05:
        return f"; {percent(1 - result.recall)} of its {_count(result.support, 'object')} not found"
    if result.precision < result.recall - 0.05:
        return f"; {percent(1 - result.precision)} of its {_count(result.predicted, 'box')} wrong"
    return ""


def _loose(judgement: DetectionJudgement) -> str:
    if judgement.map50 - judgement.map75 < LOOSE:
        return ""
    return (
        f"The boxes fit loosely: mAP falls from {judgement.map50:.3f} at IoU 0.50 to {judgement.map75:.3f} at 0.75. "
        "Annotations that are not drawn tightly, or a small input, do that."
    )


def _absent(judgement: DetectionJudgement) -> str:
    absent = [quoted(result.name) for result in judgement.per_class if not result.support]
    if not absent:
        return ""
    more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
    return f"There is no object of {', '.join(absent[:3])}{more} here, so nothing is known about finding it."


def _left_out(judgement: DetectionJudgement) -> str:
    count = len(judgement.left_out)
    return (
        f"{_count(count, 'picture')} {_are(count)} not judged, because of problems with {_it(count)}." if count else ""
    )


def _count(count: int, what: str) -> str:
    plural = "boxes" if what == "box" else f"{what}s"
    return f"{count:,} {what if count == 1 else plural}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _it(count: int) -> str:
    return "it" if count == 1 else "them"
