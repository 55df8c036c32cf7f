"""Feature maps: what each channel of a layer answers at each position of one picture, the strongest channels first.

Zeiler & Fergus 2013, "Visualizing and understanding convolutional networks", arXiv:1311.2901, shows them beside what
caused them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from glassnet.errors import InputError
from glassnet.explain.case import Case
from glassnet.explain.choose import AUTO, chosen_map, short
from glassnet.explain.explanation import Explanation, Extent
from glassnet.explain.inside import Inside
from glassnet.nn.trace import Layer

MEASURE = "mean of what is above zero"
"""How strong a channel's answer to a picture is: the mean over all positions, those below zero counting as zero."""

SHOWN = 16

# What never gives a number below zero, and what gives none where it is given none.
_RECTIFIERS = ("ReLU", "ReLU6", "relu", "relu6")
_KEEPS_SIGN = (
    *("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "GlobalAveragePool", "GlobalMaxPool"),
    *("PaddedAvgPool2d", "PaddedMaxPool2d", "LocalResponseNorm", "Dropout", "Dropout2d", "Identity", "Flatten"),
    *("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "dropout", "flatten", "cat", "add", "mean"),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureMaps:
    """The maps of one layer for one picture, the strongest channel first.

    maps: (C, h, w) float32. channels: (C,) int64, the number of each map's channel. strengths: (C,) float32, by
    `MEASURE`. scale: the smallest and the largest number of all maps, for one colour scale. dead: how many channels a
    rectifier keeps at zero everywhere in this picture; None where none rectifies this layer. extent: where the maps lie
    on the picture. note: which layer was chosen, where it was.
    """

    layer: Layer
    maps: npt.NDArray[np.float32]
    channels: npt.NDArray[np.int64]
    strengths: npt.NDArray[np.float32]
    scale: tuple[float, float]
    dead: int | None
    extent: Extent
    note: str = ""

    def __len__(self) -> int:
        return len(self.maps)

    @property
    def title(self) -> str:
        """The layer, its size, and how many of its channels are dead for this picture, in words."""
        words = f"{short(self.layer.name)}: {'x'.join(map(str, self.layer.output_shape))}"
        return words if self.dead is None else f"{words}, {self.dead} of {len(self)} never above zero"


def feature_maps(case: Case, layer: str = AUTO) -> FeatureMaps:
    """Return the maps of `layer` for the case's picture, ordered by `MEASURE`; equal ones keep the network's order.

    Raises `UnknownName` for a layer that is not there, `InputError` for one without positions.
    """
    found, note = chosen_map(case.inside, layer)
    kept = case.inside.play(case.images, keep=[found.name], until=found.name).kept[found.name]
    maps = kept[0].float().cpu()  # (C, h, w)
    strengths = maps.clamp(min=0).mean((1, 2))
    order = strengths.sort(descending=True, stable=True).indices
    return FeatureMaps(
        layer=found,
        maps=maps[order].numpy(),
        channels=order.numpy(),
        strengths=strengths[order].numpy(),
        scale=(float(maps.min()), float(maps.max())),
        dead=int((maps.amax((1, 2)) <= 0).sum()) if is_rectified(case.inside, found) else None,
        extent=case.extent_of(found.name),
        note=note,
    )


def strongest_maps(case: Case, *, layer: str = AUTO, channels: int | None = None) -> Explanation:
    """Explain where a layer answers at all: the mean of its `channels` strongest maps, what is below zero as zero.

    `channels` is 16 by default, or all where there are fewer; which are the strongest is decided by `MEASURE`. No class
    is asked for. Raises as `feature_maps`, and `InputError` for fewer than one channel or more than there are.
    """
    found = feature_maps(case, layer)
    count = min(SHOWN, len(found)) if channels is None else channels
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= len(found):
        raise InputError(
            f"channels is {channels!r}; expected a whole number from 1 to {len(found)}, "
            f"as many as layer {short(found.layer.name)!r} has"
        )
    strongest = found.maps[:count].clip(min=0).mean(0)
    listed = ", ".join(map(str, found.channels[:count][:5]))
    told = f"channels {listed}{', ...' if count > 5 else ''} of {len(found)}"
    return case.explanation(
        strongest,
        method="features",
        title="Strongest maps",
        kind="map",
        unit=f"mean of the {count} strongest maps",
        extent=found.extent,
        layer=found.layer.name,
        of_class=False,
        note="; ".join(filter(None, (found.note, told))),
        channels=count,
    )


def is_rectified(inside: Inside, layer: Layer) -> bool:
    """Tell whether a rectifier decides what is left of `layer`: what it gives is rectified, or all that reads it does.

    A channel that is never above zero is then one that the rest of the network does not see.
    """
    by_name = {other.name: other for other in inside.trace}
    if _is_never_negative(layer, by_name):
        return True
    readers = [other for other in inside.trace if layer.name in other.inputs]
    return bool(readers) and all(reader.kind in _RECTIFIERS for reader in readers)


def _is_never_negative(layer: Layer, by_name: dict[str, Layer]) -> bool:
    if layer.kind in _RECTIFIERS:
        return True
    if layer.kind not in _KEEPS_SIGN or "input" in layer.inputs:
        return False
    if layer.kind == "add" and len(layer.inputs) < 2:  # a constant is added, which may be below zero
        return False
    return all(_is_never_negative(by_name[name], by_name) for name in layer.inputs)
