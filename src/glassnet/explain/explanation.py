"""An explanation: a picture-sized map or image, and what it is a map of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from glassnet.errors import InputError

Pixels = npt.NDArray[np.uint8]
Kind = Literal["map", "signed", "image", "labels"]
"""How `array` is to be read.

"map": (h, w) float, more is more important. "signed": (h, w) float, above zero speaks for the class and below against
it. "image": (H, W, 3) or (H, W, 1) float, shown as colours around grey: in the network's input space, or, where it is a
picture of its own, from -1 (black) to 1 (white). "labels": (h, w) int, numbers of classes.
"""

INPUT = "network input"
"""The unit of an "image" that could be given to the network, and is shown as the picture it stands for."""

Extent = tuple[float, float, float, float]
"""(left, right, top, bottom) of an array on the picture, in pixels of the network's input; edges, not centres."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """What a method found for one picture.

    Attributes:
        array: the map or image; `kind` says how to read it.
        method: the method's name, as in "gradcam"; `title` as people write it: "Grad-CAM".
        label: the class that is explained; None where the map is of a layer and not of a class.
        score: the network's probability of that class for the whole picture, in [0, 1].
        layer: the layer looked at, by the trace's name; None where the method looks at none.
        extent: where on the picture the array lies.
        picture: the picture as the network was given it, (H, W, 3) or (H, W, 1) uint8.
        unit: what the numbers of `array` are, as the colour bar says it.
        note: one sentence that a reader needs, as which layer was chosen and why.
        settings: what the method was set to, as plain data.
        mean, std: of the network's input, a number for each channel, so that an "image" that is itself such an input
            can be shown as a picture; empty where `array` is something else.
    """

    array: npt.NDArray[Any]
    method: str
    title: str
    kind: Kind
    unit: str
    extent: Extent
    picture: Pixels
    label: str | None = None
    score: float | None = None
    layer: str | None = None
    path: str | None = None
    note: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Hold our own methods to what they promise."""
        assert np.isfinite(self.array).all(), f"{self.method} gave numbers that are not finite"
        assert self.array.ndim == (3 if self.kind == "image" else 2), (self.kind, self.array.shape)

    def resized(self) -> npt.NDArray[np.float32]:
        """Return a "map" or "signed" array spread over the picture, (H, W) float32 (see `placing.spread`)."""
        from glassnet.explain.placing import spread

        if self.kind not in ("map", "signed"):
            raise InputError(f"{self.title} gives {self.kind}, not a map that could be spread over the picture")
        return spread(self.array, self.extent, (self.picture.shape[0], self.picture.shape[1]))

    def plot(self, ax: Any = None) -> Any:
        """Draw the picture, the map over it and a colour bar on Matplotlib's `ax` (a new figure's); return the axes."""
        from glassnet.explain.figures.panels import draw

        return draw(self, ax)

    def save(self, path: str | Path) -> Path:
        """Write a figure (.png, .svg, .pdf) or the numbers (.npz: array, extent, picture, facts) to `path`, atomically.

        Raises `InputError` for another ending, `StorageError` where it cannot be written.
        """
        from glassnet.explain.figures.save import save

        return save([self], Path(path))

    def to_dict(self) -> dict[str, Any]:
        """Return everything but picture and array as plain data; of the array its shape and range."""
        return {
            "method": self.method,
            "path": self.path,
            "label": self.label,
            "score": self.score,
            "layer": self.layer,
            "kind": self.kind,
            "unit": self.unit,
            "extent": list(self.extent),
            "shape": list(self.array.shape),
            "range": [float(self.array.min()), float(self.array.max())],
            "note": self.note,
            "settings": dict(self.settings),
        }

    def _repr_html_(self) -> str:
        """Show the figure in a notebook."""
        from glassnet.explain.figures.save import html

        return html(self)
