"""Look at every layer of a network for one picture: maps, projection, inversion; and at the maps of its class."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from glassnet import __version__
from glassnet.errors import InputError
from glassnet.explain.case import Case, Progress, no_progress
from glassnet.explain.choose import is_map, short, stages
from glassnet.explain.explanation import Explanation
from glassnet.explain.features import FeatureMaps, feature_maps
from glassnet.explain.figures import panels, style
from glassnet.explain.figures.first_layer import filter_tiles, first_filters
from glassnet.explain.figures.grids import fitted, map_tile, montage, projected
from glassnet.explain.inversion import invert, pixels_of
from glassnet.explain.methods import METHODS
from glassnet.explain.page import uris
from glassnet.explain.page.content import LayerView, LookData, Panel, Scale, StageView
from glassnet.explain.page.html import render
from glassnet.explain.projections import deconvnet
from glassnet.models.network import Network
from glassnet.models.prediction import Picture
from glassnet.nn.trace import Layer

STEPS = 80
"""Of an inversion: enough to see what a layer keeps; `glassnet explain --method inversion` takes more."""
MAPS, COLUMNS, TILE = 32, 8, 64  # maps shown of a layer, in a row of the grid, and pixels of one
PICTURE = 224  # pixels; a smaller picture's projections are enlarged to it
CLASS_MAPS = ("occlusion", "gradcam", "integrated_gradients", "guided")
NAMED = 5  # classes in the head's answer


def look_at(
    network: Network,
    picture: Picture,
    *,
    label: str | int = "top",
    layer: str | None = None,
    all_layers: bool = False,
    steps: int = STEPS,
    device: str = "auto",
    progress: Progress = no_progress,
) -> str:
    """Return the page as HTML.

    Args:
        label: the class whose maps are shown.
        layer: show only this layer, or stage's last layer, and every channel of it.
        all_layers: invert every layer and not only the stages' last ones.
        steps: of each inversion.

    Raises `PictureError`, `UnknownName` for the class or layer, `InputError` for `steps` or a network without maps.
    """
    started = time.perf_counter()
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise InputError(f"steps is {steps!r}; expected a whole number of at least 1")
    case = Case.of(network, picture, label=label, device=device)
    groups = _groups(case, layer)
    work = _Work(case, steps, progress, groups, all_layers=all_layers or layer is not None, every=layer is not None)
    found = [work.stage(group) for group in groups]
    data = LookData(
        network=network.title,
        title=network.card.architecture,
        picture=_shown(case),
        picture_name=(case.path or "picture").replace("\\", "/").rpartition("/")[2],
        pixelated=max(case.size) <= style.SMALL,
        label=case.label,
        score=float(case.probabilities[case.target]),
        answers=_answers(case),
        panels=[work.panel(name) for name in CLASS_MAPS],
        stages=found,
        layers=len(case.inside.trace.layers),
        parameters=case.inside.trace.parameters,
        input_shape=tuple(case.images.shape[1:]),
        seconds=time.perf_counter() - started,
        version=__version__,
        **_filters(case),
    )
    return render(data)


def _groups(case: Case, name: str | None) -> list[list[Layer]]:
    """Return the layers with positions by stage; the last of each is the stage's own."""
    maps = [layer for layer in case.inside.trace if is_map(layer)]
    if name is not None:
        found = case.inside.layer(name)
        if not is_map(found):
            raise InputError(
                f"layer {name!r} has no positions to look at; choose one before, as {short(maps[-1].name)!r}"
            )
        return [[found]]
    if not maps:
        raise InputError("no layer of this network has positions to look at; every output is one vector")
    ends = {layer.name for layer in stages(case.inside)}
    cuts = [0, *(place + 1 for place, layer in enumerate(maps) if layer.name in ends)]
    return [maps[start:end] for start, end in pairwise(cuts) if end > start]


class _Work:
    """Makes the views of the layers, and tells how far it is."""

    def __init__(
        self, case: Case, steps: int, progress: Progress, groups: Sequence[Sequence[Layer]], *, all_layers: bool,
        every: bool,
    ) -> None:  # fmt: skip
        self.steps, self.all_layers, self.every = steps, all_layers, every
        self.case, self.progress = case, progress
        layers = sum(map(len, groups))
        self.done, self.total = 0, layers + len(CLASS_MAPS) + steps * (layers if all_layers else len(groups))

    def stage(self, layers: Sequence[Layer]) -> StageView:
        """Return a stage; inverted is its last layer, or each."""
        views = [self.layer(layer, inverted=self.all_layers or layer is layers[-1]) for layer in layers]
        name = views[-1].name if self.every else views[-1].name.split(".")[0]
        return StageView(anchor=f"layer-{name}", name=name, last=views[-1], inner=views[:-1])

    def layer(self, layer: Layer, *, inverted: bool) -> LayerView:
        """Return what a layer makes of the picture."""
        maps = feature_maps(self.case, layer.name)
        projection = deconvnet(self.case, layer=layer.name)
        self._tell(1)
        view = view_of(layer, maps, projection, every=self.every)
        if not inverted:
            return view
        inversion, error = self._inverted(layer)
        return replace(view, inversion=inversion, error=error)

    def _inverted(self, layer: Layer) -> tuple[str | None, str]:
        """Return the inversion and its error in words; of a layer that gives only zeros, none and a sentence."""
        before = self.done
        try:
            found = invert(
                self.case.inside,
                self.case.images,
                layer.name,
                preprocess=self.case.network.preprocess,
                steps=self.steps,
                progress=lambda done, _: self._tell(before + done - self.done),
            )
        except InputError as error:
            self._tell(self.steps)
            return None, str(error)
        pixels = pixels_of(found, self.case.network.preprocess)[0].numpy()
        left = f"error {found.errors[0]:.2f} of the layer's answer"
        return uris.jpeg(fitted(pixels, max(PICTURE, *pixels.shape[:2]))), left

    def panel(self, name: str) -> Panel:
        """Return what a method says about the class."""
        method = METHODS[name]
        try:
            found = method.function(self.case)
        except InputError as error:
            return Panel(title=method.title, question=method.question, words=str(error), uri="", scale=None,
                         pixelated=False)  # fmt: skip
        finally:
            self._tell(1)
        words = ", ".join(filter(None, (panels.class_line(found), panels.layer_line(found))))
        return panel_of(found, method.question, words)

    def _tell(self, more: int) -> None:
        self.done += more
        self.progress(self.done, self.total)


def panel_of(found: Explanation, question: str, words: str) -> Panel:
    """Return an explanation as the page shows it."""
    low, high, _ = style.limits(found.array, found.kind)
    if found.kind == "image":
        pixels = fitted(projected(found.array), max(PICTURE, *found.array.shape[:2]))
    else:
        pixels = uris.to_pixels(panels.overlaid(found))
    ends = panels.number(low, max(abs(low), high)), panels.number(high, max(abs(low), high))
    scale = Scale(uri=uris.png(uris.to_pixels(panels.ramp(low, high, found.kind))), low=ends[0], high=ends[1],
                  unit=found.unit)  # fmt: skip
    return Panel(title=found.title, question=question, words=words, uri=uris.jpeg(pixels), scale=scale, pixelated=False)


def view_of(layer: Layer, maps: FeatureMaps, projection: Explanation, *, every: bool = False) -> LayerView:
    """Return a layer's maps in a grid with one scale, and its projection."""
    count = len(maps) if every else min(MAPS, len(maps))
    low, high = min(0.0, maps.scale[0]), maps.scale[1]
    tiles = [map_tile(values, low, high, TILE) for values in maps.maps[:count]]
    edge = max(abs(low), abs(high)) or 1.0
    ends = (-edge, edge) if low < 0 else (0.0, edge)
    ramp = np.linspace(*ends, 256, dtype=np.float32)[None]
    rows, columns = layer.receptive_field
    shown = projected(projection.array)
    return LayerView(
        name=short(layer.name),
        kind=layer.kind,
        shape=" × ".join(map(str, layer.output_shape)),
        words=f"each number sees {rows} × {columns} pixels",
        dead="" if maps.dead is None else f"{maps.dead} of {len(maps)} dead for this picture",
        shown=count,
        channels=len(maps),
        numbers=", ".join(map(str, maps.channels[:count])),
        maps=uris.png(montage(tiles, min(COLUMNS, count), gap=3, paper=128)),
        scale=Scale(
            uri=uris.png(map_tile(ramp, low, high, 256)),
            low=panels.number(ends[0], edge),
            high=panels.number(ends[1], edge),
            unit="answer",
        ),
        projection=uris.jpeg(fitted(shown, max(PICTURE, *shown.shape[:2]))),
    )


def _shown(case: Case) -> str:
    pixels = case.pixels if case.pixels.shape[2] == 3 else np.repeat(case.pixels, 3, 2)
    return uris.png(pixels) if max(case.size) <= style.SMALL else uris.jpeg(pixels)


def _answers(case: Case) -> list[tuple[str, float]]:
    values, order = case.probabilities.sort(descending=True)
    named = [(case.network.classes[int(n)], float(p)) for p, n in zip(values[:NAMED], order[:NAMED], strict=True)]
    return (
        named
        if any(name == case.label for name, _ in named)
        else [*named, (case.label, float(values[order == case.target][0]))]
    )


def _filters(case: Case) -> dict[str, str]:
    """Return the first layer's filters; nothing for a network without a convolution."""
    try:
        found = first_filters(case.inside)
    except InputError:
        return {}
    tiles = filter_tiles(found, 40)[:256]
    words = f"{short(found.layer)}: {found.title}" + (f"; {found.note}" if found.note else "")
    return {"filters": uris.png(montage(tiles, min(16, len(tiles)), gap=3)), "filters_words": words}
