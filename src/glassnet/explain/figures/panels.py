"""One explanation drawn: the picture, the map over it, a colour bar with its unit, the class and its score in words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from glassnet.explain.choose import short
from glassnet.explain.explanation import Explanation, Kind
from glassnet.explain.figures import style
from glassnet.explain.placing import spread

PANEL = 2.7  # inches; the width of a panel
HEAD, FOOT = 0.58, 0.62  # inches above and below its picture: three lines of words; the colour bar and its unit
LETTERS = 38  # that fit over a panel
NAMED = 6  # classes in the legend of a map of labels
QUALITATIVE = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
"""Paul Tol's "bright" colours, which people who see no red or no green still tell apart."""


def draw(explanation: Explanation, ax: Axes | None = None) -> Axes:
    """Draw an explanation on `ax`, or on the axes of a new figure; return the axes."""
    with style.style():
        if ax is None:
            height, width = explanation.picture.shape[:2]
            ax = alone(height / width)
        shown = {"image": image, "labels": labels}.get(explanation.kind, heat)
        shown(ax, explanation)
        caption(ax, explanation.title, class_line(explanation), layer_line(explanation))
    return ax


def alone(ratio: float) -> Axes:
    """Return the axes of a new figure of one panel whose picture is `ratio` times as high as wide."""
    height = HEAD + PANEL * ratio + FOOT
    figure = Figure(figsize=(PANEL + 0.3, height))
    FigureCanvasAgg(figure)  # so that a notebook or a caller can write it at once
    return figure.add_axes((0.15 / (PANEL + 0.3), FOOT / height, PANEL / (PANEL + 0.3), PANEL * ratio / height))


def original(ax: Axes, explanation: Explanation) -> None:
    """Draw the picture itself, as the network was given it."""
    picture = explanation.picture
    ax.imshow(style.rgb(picture), interpolation=style.smooth(picture), extent=whole(explanation))
    style.bare(ax)
    height, width = picture.shape[:2]
    name = (explanation.path or "").replace("\\", "/").rpartition("/")[2]
    caption(ax, "Picture", style.line(name, LETTERS), f"{height} × {width} px, as the network sees it")


def heat(ax: Axes, explanation: Explanation) -> None:
    """Draw a "map" or "signed" array in colours over the greyed picture."""
    low, high, beyond = style.limits(explanation.array, explanation.kind)
    ax.imshow(overlaid(explanation), interpolation="antialiased", extent=whole(explanation))
    style.bare(ax)
    bar(ax, explanation.unit, low, high, explanation.kind, beyond)


def overlaid(explanation: Explanation) -> npt.NDArray[np.float64]:
    """Return a "map" or "signed" array in colours over the greyed picture, (H, W, 3) in [0, 1].

    A tiny picture is enlarged, so that a map is drawn finer than the picture's own pixels.
    """
    kind, array = explanation.kind, explanation.array
    low, high, _ = style.limits(array, kind)
    height, width = explanation.picture.shape[:2]
    fine = max(1, 224 // max(height, width))
    left, right, top, bottom = (side * fine for side in explanation.extent)
    bigger = spread(array, (left, right, top, bottom), (height * fine, width * fine))
    painted = style.colours(bigger, low, high, kind)
    under = np.repeat(np.repeat(style.faded(explanation.picture), fine, 0), fine, 1)
    return style.over(under, painted)


def image(ax: Axes, explanation: Explanation) -> None:
    """Draw an image of the input space as colours around grey; one that is itself an input as the picture it is."""
    _, edge, beyond = style.limits(explanation.array, "image")
    is_input = len(explanation.mean) > 0
    shown = style.as_picture(explanation) if is_input else style.around_grey(explanation.array, edge)
    left, right, top, bottom = explanation.extent
    ax.imshow(shown, interpolation=style.smooth(shown), extent=(left, right, bottom, top))
    ax.set(xlim=whole(explanation)[:2], ylim=whole(explanation)[2:])
    style.bare(ax)
    if not is_input:
        bar(ax, explanation.unit, -edge, edge, "image", beyond)


def labels(ax: Axes, explanation: Explanation) -> None:
    """Draw numbers of classes as areas of colour, the most frequent ones in a legend.

    The classes' names are `settings["names"]`, {number: name}, where the method gave them.
    """
    numbers, counts = np.unique(explanation.array, return_counts=True)
    frequent = list(numbers[np.argsort(-counts, kind="stable")][:NAMED])
    names = {int(number): str(name) for number, name in dict(explanation.settings.get("names", {})).items()}
    table = {int(number): QUALITATIVE[place] for place, number in enumerate(frequent)}
    painted = np.full((*explanation.array.shape, 4), 0.5)
    painted[..., 3] = 0.55
    for number, colour in table.items():
        painted[explanation.array == number, :3] = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    left, right, top, bottom = explanation.extent
    ax.imshow(style.faded(explanation.picture), extent=whole(explanation), interpolation="antialiased")
    ax.imshow(painted, extent=(left, right, bottom, top), interpolation="nearest")
    ax.set(xlim=whole(explanation)[:2], ylim=whole(explanation)[2:])
    style.bare(ax)
    patches = [Patch(color=colour, alpha=0.7) for colour in table.values()]
    words = [style.line(names.get(number, f"class {number}"), 16) for number in table]
    if len(numbers) > NAMED:
        patches.append(Patch(color="0.5", alpha=0.7))
        words.append(f"{len(numbers) - NAMED} more")
    legend = ax.legend(
        patches, words, loc="upper left", bbox_to_anchor=(-0.02, -0.01), ncols=2, frameon=False, fontsize=7.5,
        handlelength=1, handleheight=0.8, columnspacing=1, labelspacing=0.25, borderpad=0.2,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def bar(ax: Axes, unit: str, low: float, high: float, kind: Kind, beyond: bool) -> None:
    """Draw below `ax` which number has which colour: the very colours, over the grey of a middling picture."""
    inset = ax.inset_axes((0.0, -0.075, 1.0, 0.035))
    inset.imshow(ramp(low, high, kind), aspect="auto", extent=(low, high, 0, 1))
    inset.set_yticks([])
    for spine in inset.spines.values():
        spine.set(visible=True, color=style.RULE)
    inset.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    largest = max(abs(low), abs(high))
    inset.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, largest)))
    inset.tick_params(length=2, width=0.6, color=style.MUTED, labelcolor=style.MUTED, labelsize=7.5, pad=2)
    words = unit + ("; ends clipped" if beyond else "")
    inset.set_xlabel(style.line(words, LETTERS + 8), fontsize=7.5, color=style.MUTED, labelpad=2, parse_math=False)


def ramp(low: float, high: float, kind: Kind) -> npt.NDArray[np.float64]:
    """Return the colours of all numbers from low to high, as they look over a middling grey, (1, 256, 3) in [0, 1]."""
    values = np.linspace(low, high, 256)[None]
    if kind == "image":
        return style.around_grey(values[..., None], high)
    return style.over(np.full((1, 256, 3), 0.72), style.colours(values, low, high, kind))


def number(value: float, largest: float) -> str:
    """Return a tick's number: plain from 0.001 to 100,000, else with an exponent."""
    if value == 0 or abs(value) < 1e-9 * largest:
        return "0"
    if 1e-3 <= largest < 1e5:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")


def caption(ax: Axes, *lines: str, letters: int = LETTERS) -> None:
    """Write up to three lines above a panel from the top down, the first one bold; an empty one leaves no gap."""
    for place, text in enumerate(text for text in lines if text):
        if place == 0:
            style.write(ax, style.line(text, letters - 3), 27.5, fontsize=9.5, fontweight="bold")
        else:
            style.write(ax, style.line(text, letters), 27 - 11 * place, fontsize=8, color=style.MUTED)


def class_line(explanation: Explanation) -> str:
    """Return the class and its score in words: "tabby 87.3 %"."""
    if explanation.label is None:
        return ""
    score = "" if explanation.score is None else f" {share(explanation.score)}"
    return style.line(explanation.label, LETTERS - len(score)) + score


def share(score: float) -> str:
    """Return a probability as people read it."""
    return f"{100 * score:.1f} %" if 0.001 <= score <= 0.999 else ("< 0.1 %" if score < 0.5 else "> 99.9 %")


def layer_line(explanation: Explanation) -> str:
    """Return which layer was looked at, and how fine its map is."""
    if explanation.layer is None:
        return ""
    rows, columns = explanation.array.shape[:2]
    size = "" if explanation.kind == "image" else f", {rows} × {columns}"
    return f"layer {short(explanation.layer)}{size}"


def whole(explanation: Explanation) -> tuple[float, float, float, float]:
    """Return the picture's (left, right, bottom, top), as Matplotlib wants it."""
    height, width = explanation.picture.shape[:2]
    return (0.0, float(width), float(height), 0.0)
