"""From a `DetectionReport` or a `LocalisationReport` to one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from markupsafe import Markup

from glassnet.detection.judging.judgement import ClassResult, Curve, DetectionJudgement
from glassnet.evaluation.judgement import ClassCurve
from glassnet.report import figures
from glassnet.report.detection import figures as own_figures
from glassnet.report.detection.content import BoxReport, DetectionReport, LocalisationReport
from glassnet.report.detection.scenes import WORDS, found_svg, summary, truth_svg
from glassnet.report.matrix import confusion_html
from glassnet.report.parts import LISTED_CLASSES, LISTED_PROBLEMS, Chart, problem_groups, style, template, value

BACKGROUND = "(background)"
SHOWN_SCENES = 6
"""Pictures that are open on the page; the others are one click away."""
ERRORS = {
    "localisation": "a box of the right class that fits its object too badly (IoU below 0.50)",
    "class": "a box on an object that has another class",
    "both": "another class, and a box that fits too badly",
    "duplicate": "one more box on an object that was found already",
    "background": "a box where there is no object",
    "missed": "an object without any box",
}
SIZES = {"small": "up to 32 × 32 px", "medium": "up to 96 × 96 px", "large": "above 96 × 96 px"}
SERIES = {"train_loss": ("muted", "training"), "validation_loss": ("accent", "validation")}
SCORES = {"validation_map": ("accent", "mAP"), "validation_map50": ("second", "mAP at IoU 0.50")}
LOCALISED = {"validation_accuracy": ("accent", "class and box right"), "validation_mean_iou": ("second", "mean IoU")}


def render(data: DetectionReport) -> str:
    """Return the whole page, HTML text; a few megabytes with its pictures."""
    judgement = data.judgement
    return template("detection/template.html").render(
        **shared(data),
        j=judgement,
        learning=learning(data, "Mean average precision on validation", SCORES),
        matrix=Markup(confusion_html(judgement.confusion, [*judgement.classes, BACKGROUND])),
        curves=curves(judgement),
        classes=class_rows(judgement),
        errors=error_rows(judgement),
        sizes=size_rows(judgement),
        words=WORDS,
    )


def render_localisation(data: LocalisationReport) -> str:
    """Return the page of a localiser's run: the same but for the numbers."""
    charts = learning(data, "Accuracy and mean IoU on validation", LOCALISED)
    return template("detection/localisation.html").render(**shared(data), j=data.judgement, learning=charts)


def shared(data: BoxReport) -> dict[str, Any]:
    """Return what both pages are made of."""
    return {
        "data": data,
        "style": style("detection/style.css"),
        "listed_classes": LISTED_CLASSES,
        "listed_problems": LISTED_PROBLEMS,
        "scenes": scene_rows(data),
        "shown_scenes": SHOWN_SCENES,
        "box_sizes": box_sizes(data),
        "problem_groups": problem_groups(data.problems),
        "created": data.created.replace("T", " ")[:16],
        "year": datetime.fromisoformat(data.created).year,
    }


def learning(data: BoxReport, title_of_scores: str, scores: Mapping[str, tuple[str, str]]) -> list[Chart]:
    """Return the charts of loss and scores over the epochs; none where there are fewer than two points."""
    charts = []
    for title, lines, share in (("Loss", SERIES, False), (title_of_scores, scores, True)):
        found = {key: data.series(key) for key in lines}
        drawn = [(lines[key][0], points) for key, points in found.items() if points]
        if any(len(points) > 1 for _, points in drawn):
            svg = figures.learning_curve(
                f"learning-{title[:4].lower()}", f"{title} over the epochs", drawn, share=share
            )
            charts.append({"title": title, "svg": Markup(svg), "legend": [lines[key] for key in found if found[key]]})
    return charts


def curves(judgement: DetectionJudgement) -> list[Chart]:
    """Return the precision-recall curves, the hardest classes in colour."""
    drawn = [_thin(curve) for curve in judgement.precision_recall]
    hardest = sorted((c for c in drawn if c.area is not None), key=lambda curve: curve.area or 0.0)
    chosen = [curve.name for curve in hardest[: len(figures.HIGHLIGHTS)]]
    areas = {curve.name: curve.area for curve in drawn}
    legend = [
        (role, f"{name}, AP50 {value(areas[name])}") for role, name in zip(figures.HIGHLIGHTS, chosen, strict=False)
    ]
    if len(drawn) > len(chosen):
        legend.append(("line", f"{len(drawn) - len(chosen)} more"))
    title = "Precision and recall at IoU 0.50"
    svg = figures.class_curves("pr", title, drawn, chosen, roc=False)
    return [{"title": title, "svg": Markup(svg), "legend": legend}]


def _thin(curve: Curve) -> ClassCurve:
    return ClassCurve(name=curve.name, x=curve.x, y=curve.y, area=curve.area)


def class_rows(judgement: DetectionJudgement) -> list[ClassResult]:
    """Return the classes as the table shows them: in their own order while they are few, else the hardest first."""
    rows = judgement.per_class
    return rows if len(rows) <= LISTED_CLASSES else sorted(rows, key=lambda row: (row.ap is None, row.ap or 0.0))


def error_rows(judgement: DetectionJudgement) -> list[dict[str, Any]]:
    """Return the kinds of error: what each means, how many there are, and what they cost; the dearest first."""
    kinds = [kind for kind in ERRORS if kind in judgement.errors]
    kinds += [kind for kind in judgement.errors if kind not in ERRORS]
    largest = max([*judgement.cost.values(), 1e-9])
    rows = [
        {
            "kind": kind,
            "word": WORDS.get(kind, kind),
            "meaning": ERRORS.get(kind, ""),
            "count": judgement.errors[kind],
            "cost": judgement.cost.get(kind),
            "share": 100 * max(0.0, judgement.cost.get(kind) or 0.0) / largest,
        }
        for kind in kinds
    ]
    return sorted(rows, key=lambda row: (-(row["cost"] or 0.0), -row["count"]))


def size_rows(judgement: DetectionJudgement) -> list[dict[str, Any]]:
    """Return how well small, medium and large objects are found; `found` and `objects` None where nobody counted."""
    rows = []
    for name, limits in SIZES.items():
        found, objects = judgement.found_by_size.get(name, (None, None))
        rows.append(
            {"name": name, "limits": limits, "ap": judgement.by_size.get(name), "found": found, "objects": objects}
        )
    return rows


def scene_rows(data: BoxReport) -> list[dict[str, Any]]:
    """Return the pictures as drawn: truth and found side by side."""
    rows = []
    for number, scene in enumerate(data.scenes):
        name = f"picture-{number}"
        row: dict[str, Any] = {
            "id": name,
            "path": scene.result.path,
            "summary": summary(scene.result),
            "error": scene.error,
        }
        if not scene.error:
            row |= {"truth": Markup(truth_svg(scene, name)), "found": Markup(found_svg(scene, name))}
            row["again"] = Markup(truth_svg(scene, name, again=True))
        row |= {"objects": len(scene.result.truth), "boxes": len(scene.result.found)}
        rows.append(row)
    return rows


def box_sizes(data: BoxReport) -> list[Chart]:
    """Return the chart of box sizes: the three classes with the most boxes, and all others together."""
    filled = sorted(
        ((name, list(sides)) for name, sides in data.sides.items() if sides), key=lambda each: -len(each[1])
    )
    if not filled:
        return []
    kept = len(own_figures.ROLES) - 1
    groups = filled[:kept]
    if others := [side for _, sides in filled[kept:] for side in sides]:
        groups.append((f"{len(filled) - kept} more", others))
    legend = [(role, f"{name}, {len(sides):,}") for role, (name, sides) in zip(own_figures.ROLES, groups, strict=False)]
    title = "Sizes of the boxes to train on"
    lines = [(role, sides) for role, (_, sides) in zip(own_figures.ROLES, groups, strict=False)]
    return [{"title": title, "svg": Markup(own_figures.box_sizes("box-sizes", title, lines)), "legend": legend}]
