"""From `LookData` to one HTML page that needs nothing else; Jinja escapes everything that comes from the data."""

from __future__ import annotations

from importlib.resources import files

import jinja2
from markupsafe import Markup

from glassnet.data.problems import printable
from glassnet.explain.figures.panels import share
from glassnet.explain.page.content import LookData


def base_style() -> str:
    """Return the style that all our pages share: colours, light and dark, and type."""
    return (files("glassnet.explain.page") / "base.css").read_text(encoding="utf-8")


def render(data: LookData) -> str:
    """Return the whole page, HTML text."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"printable": printable, "share": share}
    folder = files("glassnet.explain.page")
    template = environment.from_string((folder / "template.html").read_text(encoding="utf-8"))
    style = base_style() + (folder / "look.css").read_text(encoding="utf-8")
    return template.render(data=data, style=Markup(style))
