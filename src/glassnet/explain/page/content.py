"""What the page says, as plain data: gathered in `look.py`, turned into HTML by `html.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A colour bar: a `data:` URI of its colours from `low` to `high`, and what the numbers are."""

    uri: str
    low: str
    high: str
    unit: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A map of the class over the picture: `uri`, its title, the class and layer in words, its scale."""

    title: str
    question: str
    words: str
    uri: str
    scale: Scale | None
    pixelated: bool


@dataclass(frozen=True, kw_only=True)
class LayerView:
    """One layer of the picture.

    maps: a `data:` URI of the strongest maps in a grid. shown: how many of `channels`. words: what the layer is and
    how much of the picture a number sees. inversion: None where it was not asked for; error in words.
    """

    name: str
    kind: str
    shape: str
    words: str
    dead: str
    shown: int
    channels: int
    numbers: str
    maps: str
    scale: Scale
    projection: str
    inversion: str | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class StageView:
    """A stage: its last layer at length, the layers before it on demand."""

    anchor: str
    name: str
    last: LayerView
    inner: Sequence[LayerView] = ()


@dataclass(frozen=True, kw_only=True)
class LookData:
    """Everything on the page. answers: (class, probability) of the likeliest; filters: the first layer's, a URI."""

    network: str
    title: str
    picture: str
    picture_name: str
    pixelated: bool
    label: str
    score: float
    answers: Sequence[tuple[str, float]]
    panels: Sequence[Panel]
    stages: Sequence[StageView]
    layers: int
    parameters: int
    input_shape: tuple[int, ...]
    seconds: float
    version: str
    filters: str | None = None
    filters_words: str = ""
    notes: Sequence[str] = field(default_factory=tuple)
