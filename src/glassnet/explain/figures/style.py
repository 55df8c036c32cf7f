"""One look for all figures: ink, fonts, and how numbers become colours.

Matplotlib's objects are used and never pyplot, so that nothing needs a screen and nothing stays open.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.text import Text

from glassnet.data.problems import printable
from glassnet.explain.explanation import Explanation, Kind, Pixels

INK, MUTED, RULE = "#24292f", "#656d76", "#d8dee4"
SMALL = 64  # px; up to here a picture is enlarged in square pixels
DPI = 150
_STYLE: Any = {"font.size": 9, "font.family": "sans-serif", "axes.linewidth": 0.6, "text.color": INK}

_DARKENING = mpl.colormaps["inferno_r"](np.linspace(0.2, 0.95, 6))  # (6, 4) RGBA
STRENGTH = LinearSegmentedColormap.from_list("strength", ["#f4f4f2", *map(tuple, _DARKENING)])
"""From paper through orange and violet to nearly black: lightness falls steadily, so that darker is more."""
FOR_AND_AGAINST = LinearSegmentedColormap.from_list(
    "for and against", ["#0b3c6f", "#3f87c4", "#f4f4f2", "#d9703f", "#7f2008"]
)
"""Orange speaks for the class, blue against it: equal lightness at equal strength, light at zero."""


@contextmanager
def style() -> Iterator[None]:
    """Set what a figure must be built and written under; a letter that the font lacks is drawn as a box."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def limits(array: npt.NDArray[Any], kind: Kind) -> tuple[float, float, bool]:
    """Return the smallest and largest number that get a colour of their own, and whether there are numbers beyond.

    "signed" and "image": the same to both sides of zero. Where there is an array element for each of many pixels, one
    in 200 may lie beyond: a single outlier would leave the rest without colour. "map": from zero, or from the smallest
    where that is negative or over half the largest.
    """
    values = np.asarray(array, np.float64)
    if kind == "map":
        low, high = float(values.min()), float(values.max())
        low = 0.0 if 0 <= low <= 0.5 * high or low == high > 0 else low
        return low, high if high > low else low + 1.0, False
    size = np.abs(values)
    largest = float(size.max())
    edge = float(np.quantile(size, 0.995)) if values.size > SMALL * SMALL else largest
    edge = edge or largest or 1.0
    return -edge, edge, largest > edge * (1 + 1e-6)


def colours(array: npt.NDArray[Any], low: float, high: float, kind: Kind) -> npt.NDArray[np.float64]:
    """Return numbers as colours to lay over a picture, (..., 4) RGBA in [0, 1]: little is nearly transparent."""
    share = np.clip((np.asarray(array, np.float64) - low) / (high - low), 0, 1)
    if kind == "signed":
        painted = FOR_AND_AGAINST(share)
        painted[..., 3] = 0.25 + 0.7 * np.abs(2 * share - 1)
        return painted
    painted = STRENGTH(0.25 + 0.75 * share)
    painted[..., 3] = 0.06 + 0.8 * share
    return painted


def over(picture: npt.NDArray[np.float64], painted: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return colours (H, W, 4) laid over a picture (H, W, 3), both in [0, 1]."""
    alpha = painted[..., 3:]
    return painted[..., :3] * alpha + picture * (1 - alpha)


def faded(picture: Pixels) -> npt.NDArray[np.float64]:
    """Return a picture in light grey, (H, W, 3) in [0, 1]: what a map is laid over, so that only the map has colour."""
    grey = rgb(picture) @ np.array([0.299, 0.587, 0.114])
    return np.repeat(0.3 + 0.68 * grey[..., None], 3, -1)


def rgb(picture: Pixels) -> npt.NDArray[np.float64]:
    """Return a picture (H, W, 1 or 3) uint8 as (H, W, 3) in [0, 1]."""
    whole = picture if picture.shape[2] == 3 else np.repeat(picture[:, :, :1], 3, 2)
    return whole / 255.0


def around_grey(image: npt.NDArray[Any], edge: float) -> npt.NDArray[np.float64]:
    """Return an image (H, W, 1 or 3) of numbers from -edge to edge as colours around grey, (H, W, 3) in [0, 1]."""
    shown = np.clip(0.5 + 0.5 * np.asarray(image, np.float64) / edge, 0, 1)
    return shown if shown.shape[2] == 3 else np.repeat(shown[:, :, :1], 3, 2)


def as_picture(explanation: Explanation) -> npt.NDArray[np.float64]:
    """Return an image that is an input of the network as the picture it stands for, (H, W, 3) in [0, 1]."""
    channels = explanation.array.shape[2]
    scaled = np.asarray(explanation.array, np.float64) * explanation.std[:channels] + explanation.mean[:channels]
    shown = np.clip(scaled, 0, 1)
    return shown if channels == 3 else np.repeat(shown[:, :, :1], 3, 2)


def smooth(picture: npt.NDArray[Any]) -> str:
    """Return the interpolation for a picture (H, W, ...): none for tiny ones, whose pixels shall be seen."""
    return "nearest" if max(picture.shape[:2]) <= SMALL else "antialiased"


def line(text: str, letters: int) -> str:
    """Return `text` as one line of at most so many letters, safe to print."""
    text = printable(text)
    return text if len(text) <= letters else text[: letters - 1].rstrip(" ,") + "…"


def wrapped(text: str, letters: int) -> str:
    """Return `text` in lines of at most so many letters."""
    return "\n".join(textwrap.wrap(printable(text), letters)) or ""


def write(ax: Axes, text: str, points: float, **choices: Any) -> Text:
    """Write `text` so many points above the upper left corner of `ax`; a $ in it stays a $."""
    written: Text = ax.annotate(
        text, (0, 1), xytext=(0, points), xycoords="axes fraction", textcoords="offset points", va="baseline", **choices
    )
    written.set_parse_math(False)
    return written


def bare(ax: Axes) -> None:
    """Take ticks and frame away."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
