"""Judging methods of explanation on a network of one's own and pictures of one's own, so that one can choose.

Per picture and method: the map, its deletion and insertion curves, and where there are boxes whether it points into
them. On the first few pictures the maps again, with networks that forgot. Beside them two rows of random maps, one
smooth and one of single pixels: scattered holes harm a picture more than one large one, so a fine map deletes well for
a reason of its own, and is to be compared with fine noise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from glassnet.data.pictures import Pictures
from glassnet.data.splits import SPLITS
from glassnet.errors import DataError, InputError, PictureError
from glassnet.explain.case import Case, Progress, no_progress
from glassnet.explain.inside import Inside
from glassnet.explain.judging.curves import Curves, curves
from glassnet.explain.judging.importance import Floats, importance, random_importance
from glassnet.explain.judging.pointing import Boxes, boxes_in_input, hits, mass_inside, upright_size
from glassnet.explain.judging.sanity import randomised, rank_correlation
from glassnet.explain.judging.verdict import Row, Verdict, mean_of, share_of
from glassnet.explain.methods import check_settings, find
from glassnet.models.network import Network
from glassnet.models.prediction import Picture

METHODS = ("gradcam", "gradcam++", "gradient", "guided", "integrated_gradients", "smoothgrad")
"""Judged where nothing else is said: those that take a few forwards, not hundreds."""
RANDOM = {"random": "Random map", "random_pixels": "Random pixels"}
SHARES = (0.0, 0.5, 1.0)
"""Of the layers, from the head down, that forget; at least one."""

Explain = Callable[[Case], Floats]


@dataclass
class _Found:
    """What was measured of one method, picture by picture."""

    curves: list[Curves] = field(default_factory=list)
    points: list[tuple[bool, float]] = field(default_factory=list)
    correlations: dict[float, list[float]] = field(default_factory=dict)  # by the share that forgot
    maps: list[Floats] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def net(self) -> npt.NDArray[np.float64]:
        """Insertion - deletion of each picture, (n,)."""
        return np.array([each.inserted - each.deleted for each in self.curves])


def judge(
    network: Network,
    pictures: Sequence[Picture] | Pictures,
    methods: Sequence[str] = METHODS,
    *,
    labels: Sequence[str | int] | None = None,
    boxes: Sequence[npt.ArrayLike | None] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    at_most: int = 24,
    steps: int = 30,
    sanity: int = 8,
    tolerance: float = 0.0,
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: Progress = no_progress,
) -> Verdict:
    """Return how well `methods` explain `network` on `pictures`; the network stays as it is.

    Args:
        pictures: what a prediction takes, or a data set's decoded pictures, made with this network's preprocess (its
            test split where it has one). Unreadable ones are listed in the verdict.
        labels: the class to explain of each picture; the likeliest where None.
        boxes: of each picture (n, 4) xyxy in its own pixels, where the thing is, or None; for the pointing game.
        settings: what each method is set to, by its name.
        at_most: evenly chosen so many of the pictures are judged.
        steps: of each curve. A method costs its own time and 2 (steps + 1) forwards per picture.
        sanity: on so many pictures the maps are made again with random weights, in three depths; 0 for none.
        tolerance: pixels of the input around a box that still count as a hit.
        progress: told (pictures done, all), networks that forgot included.

    Raises `InputError` for settings out of range and methods that explain no class, `UnknownName`, and `DataError`
    where no picture is left.
    """
    items = _Items(network, pictures, labels, boxes)
    for name, value, least in (("at_most", at_most, 1), ("steps", steps, 1), ("sanity", sanity, 0)):
        if value < least:
            raise InputError(f"{name} is {value}; expected at least {least}")
    if not 0 <= tolerance < np.inf:
        raise InputError(f"tolerance is {tolerance}; expected pixels, at least 0")
    explain = _explainers(methods, settings or {})
    found = {name: _Found() for name in (*explain, *RANDOM)}
    chosen = items.numbers[np.linspace(0, len(items.numbers) - 1, min(at_most, len(items.numbers))).round().astype(int)]
    inside, cases, skipped = Inside.of(network, device=device), [], []
    whole = len(chosen) + len(SHARES) * min(sanity, len(chosen))
    for done, number in enumerate(chosen, 1):
        try:
            case = items.case(int(number), inside)
        except PictureError as error:
            skipped.append((items.name(int(number)), str(error)))
            continue
        cases.append((int(number), case.label))
        _measure(case, explain, found, items.boxes_of(int(number)), steps, tolerance, seed + int(number))
        progress(done, whole)
    if not cases:
        raise DataError(f"none of {len(chosen)} pictures could be read, the first because: {skipped[0][1]}")
    for depth, share in enumerate(SHARES if sanity else (), 1):
        forgetful = randomised(network, share, seed=seed)
        opened = Inside.of(forgetful, device=device)
        for place, (number, label) in enumerate(cases[:sanity]):
            case = items.case(number, opened, network=forgetful, label=label)
            for name, function in explain.items():
                alike = rank_correlation(found[name].maps[place], function(case))
                found[name].correlations.setdefault(share, []).append(alike)
            progress(len(chosen) + (depth - 1) * min(sanity, len(cases)) + place + 1, whole)
    said = {"steps": steps, "sanity": sanity, "tolerance": tolerance, "seed": seed, **(settings or {})}
    return Verdict(
        network=network.title,
        pictures=len(cases),
        rows=tuple(_row(name, found, seed) for name in found),
        skipped=tuple(skipped),
        settings=said,
    )


def _explainers(methods: Sequence[str], settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Explain]:
    """Return for each method a function from a case to how important each pixel is."""
    if not methods:
        raise InputError(f"no methods were named; expected some, as {', '.join(METHODS[:3])}")
    for name in settings:
        if name not in methods:
            raise InputError(f"settings are given for {name}, which is not among the methods: {', '.join(methods)}")

    def explainer(name: str) -> Explain:
        method, given = find(name), dict(settings.get(name, {}))
        check_settings(method, given)
        return lambda case: importance(method.function(case, **given))

    return {name: explainer(name) for name in methods}


def _measure(
    case: Case,
    explain: Mapping[str, Explain],
    found: Mapping[str, _Found],
    boxes: Boxes | None,
    steps: int,
    tolerance: float,
    seed: int,
) -> None:
    """Explain one picture by every method and write down how well."""
    maps: dict[str, Floats] = {}
    for name, function in explain.items():
        begun = time.perf_counter()
        maps[name] = function(case)
        found[name].seconds.append(time.perf_counter() - begun)
    maps |= {name: random_importance(case.size, coarse=name == "random", seed=seed) for name in RANDOM}
    for name, important in maps.items():
        mine = found[name]
        mine.curves.append(curves(case, important, steps=steps, seed=seed))
        mine.maps.append(important)
        if boxes is not None and len(boxes):
            mine.points.append((hits(important, boxes, tolerance=tolerance), mass_inside(important, boxes)))


def _row(name: str, found: Mapping[str, _Found], seed: int) -> Row:
    mine = found[name]
    chance = max((found[random].net for random in RANDOM), key=lambda net: float(net.mean()))
    return Row(
        method=name,
        title=RANDOM[name] if name in RANDOM else find(name).title,
        deletion=mean_of([each.deleted for each in mine.curves], seed=seed),
        insertion=mean_of([each.inserted for each in mine.curves], seed=seed),
        net=mean_of(mine.net, seed=seed),
        over_random=None if name in RANDOM else mean_of(mine.net - chance, seed=seed),
        pointing=share_of([hit for hit, _ in mine.points]) if mine.points else None,
        inside=mean_of([share for _, share in mine.points], seed=seed) if mine.points else None,
        correlations=tuple(float(np.mean(alike)) for alike in mine.correlations.values()) or None,
        seconds=float(np.mean(mine.seconds)) if mine.seconds else 0.0,
    )


class _Items:
    """The pictures that may be judged, by number, whatever they came as."""

    def __init__(
        self,
        network: Network,
        pictures: Sequence[Picture] | Pictures,
        labels: Sequence[str | int] | None,
        boxes: Sequence[npt.ArrayLike | None] | None,
    ) -> None:
        self.network, self.pictures, self.labels, self.boxes = network, pictures, labels, boxes
        if isinstance(pictures, Pictures) and pictures.preprocess != network.preprocess:
            raise InputError("these pictures were decoded for another network; load them with this one's preprocess")
        if isinstance(pictures, str | Path | bytes):
            raise InputError(f"one picture came ({str(pictures)[:40]!r}); expected several, in a list")
        self.numbers = self._numbers()
        if not len(self.numbers):
            raise DataError("there is no picture to judge the methods on")
        for name, given in (("labels", labels), ("boxes", boxes)):
            if given is not None and len(given) != len(pictures):
                raise InputError(f"{len(given)} {name} for {len(pictures)} pictures; expected one for each")

    def _numbers(self) -> npt.NDArray[np.int64]:
        if isinstance(self.pictures, Pictures):
            index = self.pictures.index
            split = next((split for split in reversed(SPLITS) if index.has(split)), None)
            return index.select(split) if split else np.arange(len(self.pictures))
        return np.arange(len(self.pictures))

    def case(self, number: int, inside: Inside, *, network: Network | None = None, label: str | None = None) -> Case:
        """Return the case of a picture, of this network or of a copy that forgot, about `label` where given."""
        about = label if label is not None else self.labels[number] if self.labels is not None else "top"
        chosen = network or self.network
        device = inside.device
        if isinstance(self.pictures, Pictures):
            pixels = torch.from_numpy(np.array(self.pictures.pool[number : number + 1]))
            return Case.of_intermediate(chosen, pixels, label=about, inside=inside, device=device)
        return Case.of(chosen, self.pictures[number], label=about, inside=inside, device=device)

    def boxes_of(self, number: int) -> Boxes | None:
        """Return a picture's boxes in pixels of the network's input, or None."""
        mine = None if self.boxes is None else self.boxes[number]
        if mine is None:
            return None
        pictures = self.pictures
        if isinstance(pictures, Pictures):
            height, width = pictures.index.sizes[number].tolist()
            return boxes_in_input(mine, (height, width), self.network.preprocess)
        return boxes_in_input(mine, upright_size(pictures[number]), self.network.preprocess)

    def name(self, number: int) -> str:
        """Return what to call a picture: its path, or its number."""
        picture = None if isinstance(self.pictures, Pictures) else self.pictures[number]
        return str(picture) if isinstance(picture, str | Path) else f"picture {number}"
