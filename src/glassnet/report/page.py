"""From `ReportData` to one HTML page that needs nothing else: style, charts and pictures are inside.

Jinja escapes everything that comes from the data; only what is built here or in `svg.py` and `matrix.py`, which escape
for themselves, is passed as safe markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from glassnet.data.problems import KINDS, Problem, count_kinds, printable
from glassnet.evaluation.judgement import ClassCurve, ClassResult
from glassnet.evaluation.sentences import percent
from glassnet.explain.page.html import base_style
from glassnet.report import figures
from glassnet.report.content import ReportData
from glassnet.report.matrix import confusion_html

LISTED_CLASSES = 40
"""With more classes than this the table shows the hardest ones, and the others on demand."""
LISTED_PROBLEMS = 500
OCCLUSION_WORDS = (
    "A grey square was moved over the picture; orange is where the probability of the answer fell with it, blue where "
    "it rose, the stronger the more, each picture on its own scale."
)
SERIES = {"train": ("muted", "training"), "validation": ("accent", "validation")}


def render(data: ReportData) -> str:
    """The whole page, HTML text; about 0.1 MB and its pictures."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {
        "percent": percent,
        "compact": compact,
        "duration": duration,
        "printable": printable,
        "value": value,
        "setting": setting,
        "megabytes": lambda count: f"{count / 1e6:,.0f} MB",
    }
    folder = files("glassnet.report")
    template = environment.from_string((folder / "template.html").read_text(encoding="utf-8"))
    style = base_style() + (folder / "style.css").read_text(encoding="utf-8")
    judgement = data.judgement
    return template.render(
        data=data,
        j=judgement,
        style=Markup(style),
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


Chart = dict[str, Any]
"""{"title": str, "svg": Markup, "legend": [(colour role, text), ...]}."""


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


def problem_groups(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """The problems by kind: what it means, how many, whether they are left out, and the first few hundred."""
    return [
        {
            "kind": kind.replace("_", " "),
            "meaning": KINDS[kind],
            "count": count,
            "items": [problem for problem in problems if problem.kind == kind][:LISTED_PROBLEMS],
        }
        for kind, count in count_kinds(problems).items()
    ]


def compact(number: float) -> str:
    """A large number with three digits and a unit prefix: 416,520 is "417 k", 1.814e9 "1.81 G"."""
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * limit:  # 999,600 rounds to 1 M, not to 1000 k
            return f"{number / limit:.3g} {unit}" if number < 1000 * limit else f"{number / limit:,.0f} {unit}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    """A duration in the unit a person would use: 4.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def setting(item: Any) -> str:
    """A setting as text: as `value`, but a number to six digits, so that an average of 0.9995 does not read 1.000."""
    return f"{item:.6g}" if isinstance(item, float) else value(item)


def value(item: Any) -> str:
    """A measure as text: three decimals at most for a share, "–" for nothing, words for truth."""
    if item is None or item == "":
        return "–"
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, float):
        return f"{item:.3f}" if 0 < abs(item) < 1 and abs(item) >= 0.01 else f"{item:.6g}"
    if isinstance(item, list | tuple):
        return ", ".join(value(part) for part in item)
    return str(item)
