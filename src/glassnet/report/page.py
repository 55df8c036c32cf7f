"""From `ReportData` to one HTML page that needs nothing else: style, charts and pictures are inside.

`parts.py` and `parts.html` have what it shares with the reports of other tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

from glassnet.evaluation.judgement import ClassCurve, ClassResult
from glassnet.evaluation.sentences import percent
from glassnet.report import figures
from glassnet.report.content import ReportData
from glassnet.report.matrix import confusion_html
from glassnet.report.parts import LISTED_CLASSES, LISTED_PROBLEMS, Chart, problem_groups, style, template, value

OCCLUSION_WORDS = (
    "A grey square was moved over the picture; orange is where the probability of the answer fell with it, blue where "
    "it rose, the stronger the more, each picture on its own scale."
)
SERIES = {"train": ("muted", "training"), "validation": ("accent", "validation")}


def render(data: ReportData) -> str:
    """The whole page, HTML text; about 0.1 MB and its pictures."""
    judgement = data.judgement
    return template("template.html").render(
        data=data,
        j=judgement,
        style=style(),
        sentences=judgement.sentences(),
        learning=learning(data),
        matrix=Markup(confusion_html(judgement.confusion, judgement.classes)),
        curves=curves(data),
        reliability=reliability(data),
        classes=class_rows(data),
        problem_groups=problem_groups(data.problems),
        listed_classes=LISTED_CLASSES,
        listed_problems=LISTED_PROBLEMS,
        occlusion_words=OCCLUSION_WORDS,
        created=data.created.replace("T", " ")[:16],
        year=datetime.fromisoformat(data.created).year,
    )


def learning(data: ReportData) -> list[Chart]:
    """Loss and accuracy over the epochs; none where validation was looked at only once."""
    charts = []
    for measure, share in (("loss", False), ("accuracy", True)):
        found = {which: data.series(f"{which}_{measure}") for which in SERIES}
        lines = [(SERIES[which][0], points) for which, points in found.items() if points]
        if not any(len(points) > 1 for _, points in lines):
            continue
        title = f"{measure.capitalize()} over the epochs"
        svg = figures.learning_curve(f"learning-{measure}", title, lines, share=share)
        legend = [SERIES[which] for which, points in found.items() if points]
        charts.append({"title": measure.capitalize(), "svg": Markup(svg), "legend": legend})
    return charts


def curves(data: ReportData) -> list[Chart]:
    """Precision-recall and ROC curves, the hardest classes in colour."""
    drawn = data.judgement.precision_recall
    hardest = sorted((curve for curve in drawn if curve.area is not None), key=lambda curve: curve.area or 0.0)
    chosen = [curve.name for curve in hardest[: len(figures.HIGHLIGHTS)]]
    return [
        _curve_chart("Precision and recall", "average precision", "pr", drawn, chosen),
        _curve_chart("Receiver operating characteristic", "area", "roc", data.judgement.roc, chosen),
    ]


def _curve_chart(title: str, area: str, name: str, drawn: Sequence[ClassCurve], chosen: Sequence[str]) -> Chart:
    areas = {curve.name: curve.area for curve in drawn}
    legend = [
        (role, f"{label}, {area} {value(areas[label])}")
        for role, label in zip(figures.HIGHLIGHTS, chosen, strict=False)
    ]
    if len(drawn) > len(chosen):
        legend.append(("line", f"{len(drawn) - len(chosen)} more"))
    svg = figures.class_curves(name, title, drawn, chosen, roc=name == "roc")
    return {"title": title, "svg": Markup(svg), "legend": legend}


def reliability(data: ReportData) -> list[Chart]:
    """Reliability before and after temperature scaling; only one where the temperature is 1."""
    before, after = data.judgement.calibration["before"], data.judgement.calibration["after"]
    shown = [("before", f"After temperature {after.temperature:.2f}", after, "accent")]
    if after.temperature != 1:
        shown = [("raw", "Before temperature scaling", before, "second"), *shown]
    else:
        shown = [("raw", "As the network says it", before, "accent")]
    return [
        {
            "title": title,
            "svg": Markup(figures.reliability_diagram(f"reliability-{name}", title, result, role)),
            "legend": [(role, f"calibration error {percent(result.error)}")],
        }
        for name, title, result, role in shown
    ]


def class_rows(data: ReportData) -> list[ClassResult]:
    """The classes as the table shows them: in their own order while they are few, else the hardest first."""
    rows = data.judgement.per_class
    return rows if len(rows) <= LISTED_CLASSES else sorted(rows, key=lambda row: (row.support == 0, row.f1))
