"""Occlusion maps: the class's probability, the most probable class and a feature map's activity, by where the cover is.

Paper: Zeiler, Fergus 2013, "Visualizing and understanding convolutional networks", arXiv:1311.2901, section 4.2 and
figure 7: a grey square is moved over the picture, and the network's answer is a function of its position. Where the
probability of the class falls, there was what the network went by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glassnet.errors import InputError
from glassnet.explain.case import Case
from glassnet.explain.choose import chosen_map, short
from glassnet.explain.explanation import Explanation
from glassnet.explain.occlusion.engine import DEFAULT_MEMORY, Engine, Found
from glassnet.explain.occlusion.grid import Grid, make_grid
from glassnet.explain.occlusion.occluders import Colour, cover
from glassnet.explain.occlusion.plan import Ints

Side = int | Sequence[int] | None


def occlusion(
    case: Case,
    *,
    size: Side = None,
    stride: Side = None,
    occluder: Colour = "grey",
    seed: int = 0,
    memory: float = DEFAULT_MEMORY,
) -> Explanation:
    """Return how much less likely the class is where the picture is covered: above zero speaks for the class.

    The array (H, W) has for each pixel the fall of the class's probability (of the whole picture minus of the covered
    one), averaged over all positions of the occluder that cover the pixel.

    Args:
        case: network, picture, class.
        size: the occluder's side in pixels of the network's input, or (height, width); by default a fourteenth of the
            picture's shorter side.
        stride: pixels from one position to the next; by default half of `size`. The last ones are at the border.
        occluder: "grey", "mean", "blur", "noise", "#rrggbb" or (r, g, b) (see `occluders.cover`).
        seed: of the noise.
        memory: MB for kept activations and working windows.

    Raises `InputError` for settings that cannot be, `UnknownName` for an unknown occluder.
    """
    setting = _Setting.of(case, size, stride, occluder, seed)
    found = setting.run(case, Engine(case.inside, case.images, memory=memory))
    falls = float(case.probabilities[case.target]) - case.to_probabilities(found.logits)[:, case.target]
    return case.explanation(
        setting.grid.averaged(falls.double().numpy().reshape(setting.grid.shape)).astype(np.float32),
        method="occlusion",
        title="Occlusion",
        kind="signed",
        unit="fall of the probability",
        note=setting.sentence(size is None or stride is None),
        **setting.words,
    )


@dataclass(frozen=True, kw_only=True)
class OcclusionStudy:
    """What the network says as a function of the occluder's position, as the paper's figure 7 has it.

    Each map is picture-sized: a pixel shows what is said with the occluder's centre nearest to it.

    Attributes:
        probabilities: for each class asked for, its probability, "map".
        likeliest: the number of the most probable class, "labels".
        activity: the sum over all positions of one feature map, "map"; None where no layer was asked for.
        logits: the logits at every position, (rows, columns, K).
        grid: the positions.
    """

    probabilities: tuple[Explanation, ...]
    likeliest: Explanation
    activity: Explanation | None
    logits: Tensor
    grid: Grid


def study(
    case: Case,
    labels: Sequence[str | int] | None = None,
    *,
    layer: str | None = None,
    channel: int | None = None,
    size: Side = None,
    stride: Side = None,
    occluder: Colour = "grey",
    seed: int = 0,
    memory: float = DEFAULT_MEMORY,
) -> OcclusionStudy:
    """Return what the network says of the picture with the occluder at each position.

    labels: classes by name, number or "top"; by default the case's own. layer: whose feature map's activity is shown
    ("auto": the last with positions), channel: which of its maps; by default the one that is most active in the whole
    picture. The rest is as in `occlusion`. All come from one pass. Raises `UnknownName` for a class or layer, and
    `InputError` for a channel that the layer does not have.
    """
    setting = _Setting.of(case, size, stride, occluder, seed)
    cases = [case.about(label) for label in labels] if labels is not None else [case]
    watched = _watched(case, layer, channel)
    watch = [(watched.layer, watched.channel)] if watched else []
    found = setting.run(case, Engine(case.inside, case.images, watch=watch, memory=memory))
    grid, probabilities = setting.grid, case.to_probabilities(found.logits)
    note = setting.sentence(size is None or stride is None)
    return OcclusionStudy(
        probabilities=tuple(_probability_map(each, setting, probabilities, note) for each in cases),
        likeliest=_label_map(case, setting, found, note),
        activity=_activity_map(case, setting, watched, found) if watched else None,
        logits=found.logits.reshape(*grid.shape, -1),
        grid=grid,
    )


@dataclass(frozen=True)
class _Setting:
    """What covers the picture, and where."""

    grid: Grid
    cover: Tensor
    words: dict[str, Any]

    @classmethod
    def of(cls, case: Case, size: Side, stride: Side, occluder: Colour, seed: int) -> _Setting:
        """Check and complete the settings."""
        grid = make_grid(case.size, size, stride)
        words = {"size": list(grid.size), "stride": list(grid.stride), "positions": len(grid.positions)}
        words["occluder"] = occluder if isinstance(occluder, str) else list(occluder)
        if occluder == "noise":
            words["seed"] = seed
        return cls(grid, cover(case.images, case.network.preprocess, occluder, seed), words)

    def run(self, case: Case, engine: Engine) -> Found:
        """Cover every position."""
        positions, (height, width) = self.grid.positions, self.grid.size
        windows = self.cover[0].to(engine.images).unfold(1, height, 1).unfold(2, width, 1)  # (C, H', W', h, w), a view

        def content(numbers: Ints) -> Tensor:
            where = torch.from_numpy(positions[numbers])
            return windows[:, where[:, 0], where[:, 1]].transpose(0, 1)

        found = engine.run(positions, self.grid.size, content, progress=case.progress)
        return Found(found.logits.float().cpu(), found.sums.float().cpu())

    def sentence(self, chosen: bool) -> str:
        """Say what was moved where."""
        (height, width), (down, across) = self.grid.size, self.grid.stride
        steps = f"{down}" if down == across else f"{down} down and {across} across"
        said = f"occluder {height}x{width}, every {steps} pixels: {len(self.grid.positions)} positions"
        return f"{said}; chosen by the picture's size" if chosen else said


@dataclass(frozen=True)
class _Watched:
    """A feature map: layer by its full name and channel; and how it was chosen."""

    layer: str
    channel: int
    note: str


def _watched(case: Case, layer: str | None, channel: int | None) -> _Watched | None:
    if layer is None:
        if channel is not None:
            raise InputError(f"channel is {channel}, and no layer is given; say which layer's, or layer='auto'")
        return None
    found, note = chosen_map(case.inside, layer)
    channels = found.output_shape[0]
    if channel is None:
        kept = case.inside.play(case.images, keep=[found.name]).kept[found.name]
        channel = int(kept[0].sum((1, 2)).argmax())
        note = "; ".join(filter(None, [note, f"channel {channel}, chosen: the most active one"]))
    if not isinstance(channel, int) or not 0 <= channel < channels:
        raise InputError(f"channel is {channel!r}; layer {short(found.name)} has {channels}, numbered from 0")
    return _Watched(found.name, channel, note or f"layer {short(found.name)}, channel {channel}")


def _probability_map(case: Case, setting: _Setting, probabilities: Tensor, note: str) -> Explanation:
    values = probabilities[:, case.target].numpy().reshape(setting.grid.shape)
    return case.explanation(
        setting.grid.nearest(values),
        method="occlusion",
        title="Probability by occluder",
        kind="map",
        unit="probability",
        note=note,
        **setting.words,
    )


def _label_map(case: Case, setting: _Setting, found: Found, note: str) -> Explanation:
    numbers = found.logits.argmax(1).numpy().reshape(setting.grid.shape)
    return case.explanation(
        setting.grid.nearest(numbers),
        method="occlusion",
        title="Most probable class by occluder",
        kind="labels",
        unit="class",
        of_class=False,
        note=note,
        **setting.words,
    )


def _activity_map(case: Case, setting: _Setting, watched: _Watched, found: Found) -> Explanation:
    values = found.sums[:, 0].numpy().reshape(setting.grid.shape)
    return case.explanation(
        setting.grid.nearest(values),
        method="occlusion",
        title="Activity by occluder",
        kind="map",
        unit=f"sum of channel {watched.channel}",
        layer=watched.layer,
        of_class=False,
        note=watched.note,
        channel=watched.channel,
        **setting.words,
    )
