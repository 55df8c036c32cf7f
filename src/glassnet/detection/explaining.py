"""Why one box? Grad-CAM and occlusion of the score of a single detection.

A detector scores A places (positions of its grids) for K classes. A detection was made at one place, and its score is
that place's logit for the class, so the methods of classification apply with this logit in the place of the class's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from glassnet.boxes import box_iou
from glassnet.detection.detections import Detections
from glassnet.errors import InputError, UnknownName
from glassnet.explain.case import Progress, no_progress, shown
from glassnet.explain.explanation import Explanation, Extent, Kind
from glassnet.explain.occlusion.grid import make_grid
from glassnet.explain.occlusion.occluders import Colour, cover
from glassnet.models.prediction import Picture
from glassnet.placement import Placement
from glassnet.preprocess import Preprocess

METHODS = ("gradcam", "hirescam", "occlusion")
AUTO = "auto"
SAME_OBJECT = 0.5  # IoU from which a box found on a covered picture still counts as the one explained
SHARE = 14  # the occluder's side is so small a part of the picture's shorter side, and at least 4 pixels
BATCH = 8  # covered pictures computed at a time

Side = int | Sequence[int] | None


class Detector(Protocol):
    """What is needed of a detector: its module scores places, and `detect` gives what is left of them."""

    @property
    def module(self) -> nn.Module:
        """In evaluation, images (N, 3, H, W) -> `scores` (N, A, K) logits, `boxes` (N, A, 4) xyxy of the input.

        `grids` has the (height, width) of each grid for the last input; a place per cell, or several, grid after grid.
        """

    @property
    def preprocess(self) -> Preprocess:
        """From a picture to its input."""

    def detect(self, images: Any, *, threshold: float | Mapping[str, float] | None = None) -> list[Detections]:
        """Return what is found in each picture, boxes in pixels of the picture."""


def explain_detection(
    detector: Detector,
    picture: Picture,
    *,
    which: int = 0,
    method: str = "gradcam",
    threshold: float | Mapping[str, float] | None = None,
    found: Detections | None = None,
    layer: str = AUTO,
    size: Side = None,
    stride: Side = None,
    occluder: Colour = "grey",
    seed: int = 0,
    progress: Progress = no_progress,
) -> Explanation:
    """Explain detection number `which` of a picture, the surest being 0; the map lies on the network's input.

    Args:
        method: "gradcam": relu(sum over k of w_k A_k), w_k the mean over positions of d logit / d A_k, for the maps A
            that the box's grid is read from (Selvaraju et al. 2017, arXiv:1610.02391). One weight for a whole map means
            that other objects that look alike light up too. "hirescam": relu(sum over k of (d logit / d A_k) A_k),
            position by position, so only what this one box was read from (Draelos & Carin 2020, arXiv:2011.08891).
            "occlusion": how far the score falls with a square over each part of the picture; with the square in place,
            the score is the best one of a box of the class that overlaps the explained one by an IoU of 0.5.
        threshold, found: what counts as found, as in `detect`; or what was found already.
        layer: for the two CAMs, a module's name, as in "backbone"; "auto" is the neck's output, or the backbone's.
        size, stride: of the occluder, pixels of the input, by default a fourteenth of its shorter side, side by side.
        occluder, seed: what covers (see `explain.occlusion.occluders.cover`).

    `settings["box"]` is the box explained, xyxy in pixels of the input. Raises `PictureError`, `UnknownName` for a
    method or layer, `InputError` for a number that no detection has and for settings that cannot be.
    """
    if method not in METHODS:
        raise UnknownName("method", method, METHODS, hint=f"there are: {', '.join(METHODS)}")
    if method == "occlusion" and layer != AUTO:
        raise InputError(f"layer is of the class maps; occlusion looks at none, and {layer!r} came")
    if method != "occlusion" and (size, stride, occluder, seed) != (None, None, "grey", 0):
        raise InputError(f"size, stride, occluder and seed are of occlusion; {method} takes none of them")
    case = _Case.of(detector, picture, which, threshold, found)
    with _evaluating(detector.module):
        if method == "occlusion":
            return _occlusion(case, size, stride, occluder, seed, progress)
        return _class_map(case, method, layer)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Case:
    """One detection: the input that it was made from, its box there, its class, and the place that made it."""

    detector: Detector
    images: Tensor  # (1, C, H, W)
    pixels: Any  # (H, W, C) uint8, what the input shows
    found: Detections
    which: int
    box: Tensor  # (4,) xyxy, pixels of the input
    target: int

    @classmethod
    def of(
        cls,
        detector: Detector,
        picture: Picture,
        which: int,
        threshold: float | Mapping[str, float] | None,
        found: Detections | None,
    ) -> _Case:
        preprocess = detector.preprocess
        intermediate = torch.from_numpy(preprocess.intermediate(picture)[None])  # raises for a broken picture
        if found is None:
            (found,) = detector.detect([picture], threshold=threshold)
        if not isinstance(which, int) or isinstance(which, bool) or not 0 <= which < len(found):
            there = (
                f"{len(found)} were found, numbered from 0" if len(found) else "nothing was found: lower the threshold"
            )
            raise InputError(f"there is no detection number {which!r} in this picture; {there}")
        assert found.size is not None
        box = Placement.of(preprocess, found.size).to_input(torch.from_numpy(found.boxes[which]))
        device = next((weight.device for weight in detector.module.parameters()), torch.device("cpu"))
        return cls(
            detector=detector,
            images=preprocess.finish(intermediate).to(device),
            pixels=shown(preprocess, intermediate),
            found=found,
            which=which,
            box=box,
            target=int(found.labels[which]),
        )

    def explanation(self, array: Any, *, kind: Kind, extent: Extent | None = None, **facts: Any) -> Explanation:
        settings = {"box": [round(side, 2) for side in self.box.tolist()], "which": self.which}
        height, width = self.images.shape[2:]
        return Explanation(
            array=array,
            kind=kind,
            extent=extent or (0.0, float(width), 0.0, float(height)),
            picture=self.pixels,
            label=self.found.classes[self.target],
            score=float(self.found.scores[self.which]),
            path=self.found.path,
            settings={**settings, **facts.pop("settings", {})},
            **facts,
        )


def _class_map(case: _Case, method: str, layer: str) -> Explanation:
    """Return Grad-CAM or HiResCAM of the logit of the place that made the box."""
    module = case.detector.module
    watched = _layers(module, layer)
    with torch.enable_grad(), _outputs(watched) as outputs:
        raw = module(case.images.detach().clone().requires_grad_(True))
        place = _place_of(raw, case)
        grid = _grid_of(place, module.grids, raw.scores.shape[1])  # type: ignore[arg-type]  # a list, by the contract
        name, maps = _maps_of(outputs, grid, layer)
        (slopes,) = torch.autograd.grad(raw.scores[0, place, case.target], maps)
    maps, slopes = maps.detach()[0].float().cpu(), slopes[0].float().cpu()  # (C, h, w)
    weights = slopes.mean((1, 2), keepdim=True) if method == "gradcam" else slopes
    values = (weights * maps).sum(0).clamp_min(0)  # (h, w)
    note = f"maps of {name}, {grid[0]} x {grid[1]}: what the box was read from"
    if not values.any():
        note += "; nothing in these maps speaks for the box"
    return case.explanation(
        values.numpy(),
        kind="map",
        method=method,
        title={"gradcam": "Grad-CAM", "hirescam": "HiResCAM"}[method],
        unit="weight for the box's class",
        layer=name,
        note=note,
    )


def _occlusion(
    case: _Case, size: Side, stride: Side, occluder: Colour, seed: int, progress: Progress
) -> Explanation:  # fmt: skip
    """Return how far the box's score falls with each part of the input covered, averaged over the covers of a pixel."""
    height, width = case.images.shape[2:]
    side = min(max(4, round(min(height, width) / SHARE)), height, width)
    grid = make_grid((height, width), side if size is None else size, (size or side) if stride is None else stride)
    ground = cover(case.images, case.detector.preprocess, occluder, seed)
    (high, wide), positions = grid.size, grid.positions
    scores = []
    with torch.inference_mode():
        whole = float(_best_scores(case, case.images)[0])
        for start in range(0, len(positions), BATCH):
            part = positions[start : start + BATCH].tolist()
            covered = case.images.repeat(len(part), 1, 1, 1)
            for image, (y, x) in zip(covered, part, strict=True):
                image[:, y : y + high, x : x + wide] = ground[0, :, y : y + high, x : x + wide]
            scores.append(_best_scores(case, covered))
            progress(min(start + BATCH, len(positions)), len(positions))
    falls = (whole - torch.cat(scores)).double().numpy().reshape(grid.shape)
    words = {"size": list(grid.size), "stride": list(grid.stride), "positions": len(positions)}
    words |= {"occluder": occluder if isinstance(occluder, str) else list(occluder)}
    words |= {"seed": seed} if occluder == "noise" else {}
    return case.explanation(
        grid.averaged(falls).astype(np.float32),
        kind="signed",
        method="occlusion",
        title="Occlusion",
        unit="fall of the box's score",
        note=f"occluder {high}x{wide}, every {grid.stride[0]} pixels: {len(positions)} positions",
        settings=words,
    )


def _best_scores(case: _Case, images: Tensor) -> Tensor:
    """Return for each of `images` the best score of the class among boxes that overlap the explained one, (N,)."""
    raw = case.detector.module(images)
    count, places = raw.scores.shape[:2]
    overlap = box_iou(raw.boxes.reshape(-1, 4).float(), case.box[None].to(raw.boxes).float()).reshape(count, places)
    scores = raw.scores[:, :, case.target].float().sigmoid()
    best: Tensor = torch.where(overlap >= SAME_OBJECT, scores, 0.0).amax(1).cpu()
    return best


def _place_of(raw: Any, case: _Case) -> int:
    """Return the place whose box, as the picture cuts it off, is the explained one; the surest of equal ones."""
    assert case.found.size is not None
    placement = Placement.of(case.detector.preprocess, case.found.size)
    height, width = case.found.size
    boxes = placement.to_picture(raw.boxes[0].detach().float().cpu())  # (A, 4)
    limits = boxes.new_tensor([width, height, width, height])
    boxes = torch.minimum(boxes.clamp_min(0), limits)
    away = (boxes - torch.from_numpy(case.found.boxes[case.which])).abs().amax(1)  # pixels
    score = raw.scores[0, :, case.target].detach().float().cpu()
    return int((away.clamp_min(0.5) - 1e-3 * score.sigmoid()).argmin())


def _grid_of(place: int, grids: Sequence[tuple[int, int]], places: int) -> tuple[int, int]:
    """Return the (height, width) of the grid that place number `place` of `places` belongs to."""
    cells = [height * width for height, width in grids]
    each, rest = divmod(places, sum(cells))
    assert rest == 0, f"{places} places on grids of {cells} cells"
    ends = np.cumsum(cells) * each
    return grids[int(np.searchsorted(ends, place, side="right"))]


def _layers(module: nn.Module, layer: str) -> dict[str, nn.Module]:
    """Return the modules whose outputs may be the maps, the preferred one first."""
    parts = {name: getattr(module, name, None) for name in ("neck", "backbone")}
    usual = {name: part for name, part in parts.items() if isinstance(part, nn.Module)}
    if layer == AUTO:
        return usual
    known = {**dict(module.named_modules()), **usual}
    if layer not in known or not layer:
        raise UnknownName("layer", layer, filter(None, known), hint='name a part of the module, as "backbone"')
    return {layer: known[layer]}


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Hold a module in evaluation mode, and put every part back into its own afterwards."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


@contextmanager
def _outputs(watched: Mapping[str, nn.Module]) -> Iterator[dict[str, list[Tensor]]]:
    """Give the maps (N, C, h, w) that modules put out while the block runs; the hooks are removed in any case."""
    kept: dict[str, list[Tensor]] = {name: [] for name in watched}

    def keeper(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG001 - as torch calls it
            kept[name] += _tensors(output)

        return keep

    handles = [part.register_forward_hook(keeper(name)) for name, part in watched.items()]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _tensors(output: Any) -> list[Tensor]:
    """Return the maps in what a module put out: a tensor, or any nesting of lists, tuples and dicts of them."""
    if isinstance(output, Tensor):
        return [output] if output.ndim == 4 else []
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _maps_of(outputs: Mapping[str, list[Tensor]], grid: tuple[int, int], layer: str) -> tuple[str, Tensor]:
    """Return the maps with the positions of `grid`, or, of a layer that was asked for, its last ones."""
    for name, tensors in outputs.items():
        same = [tensor for tensor in tensors if tuple(tensor.shape[2:]) == tuple(grid)]
        if same or (layer != AUTO and tensors):
            return name, (same or tensors)[-1]
    seen = {name: [tuple(tensor.shape[1:]) for tensor in tensors] for name, tensors in outputs.items()}
    raise InputError(f"no maps of {grid[0]} x {grid[1]} positions were found, only {seen}; name a layer with maps")
