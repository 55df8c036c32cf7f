"""What the pages of all reports share: the templates' environment, the style, and how numbers become words.

Jinja escapes everything that comes from the data; only what is built here or in `svg.py` and `matrix.py`, which escape
for themselves, is passed as safe markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from glassnet.data.problems import KINDS, Problem, count_kinds, printable
from glassnet.evaluation.sentences import percent
from glassnet.explain.page.html import base_style

LISTED_CLASSES = 40
"""With more classes than this the table shows the hardest ones, and the others on demand."""
LISTED_PROBLEMS = 500

Chart = dict[str, Any]
"""{"title": str, "svg": Markup, "legend": [(colour role, text), ...]}."""


def template(name: str) -> jinja2.Template:
    """Return the page template at `name` below this folder; "parts.html" has the macros that all can import."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "percent": percent,
        "compact": compact,
        "duration": duration,
        "printable": printable,
        "value": value,
        "setting": setting,
        "megabytes": lambda count: f"{count / 1e6:,.0f} MB",
    }
    return environment.get_template(name)


def style(*names: str) -> Markup:
    """Return the style of all our pages and of all reports, and then that of the files `names` below this folder."""
    return Markup(base_style() + "".join(map(_read, ("style.css", *names))))


def _read(name: str) -> str:
    return files("glassnet.report").joinpath(*name.split("/")).read_text(encoding="utf-8")


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
