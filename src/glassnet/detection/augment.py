"""Augmentation that moves the boxes along: mosaics, zooming, shifting, mirroring, and colours.

An augmented picture is made of tiles: one, or in a mosaic four, each a rectangle of the output that shows a scaled,
shifted, perhaps mirrored part of one picture. A box goes the way of its picture and is cut at its tile's edges; what is
left of it stays if it is enough to be recognised.

Mosaic: Bochkovskiy et al. 2020, YOLOv4, arXiv:2004.10934, section 3.3. Pictures are resampled bilinearly, tile by tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from glassnet.data.annotations.objects import Objects

LEFT_OF_A_BOX = 0.25
"""Share of a box's area that must be left after cutting, else its object is ignored there: neither object nor
background."""
LEAST_SIDE = 2.0
"""Pixels; thinner boxes are ignored too."""
CENTRE = 0.3
"""A mosaic's middle lies between this and 1 minus this share of width and height."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """The output's rectangle (left, top, right, bottom) in whole pixels, and the way of its picture into it.

    x of the output = `scale` x + `shift[0]`, mirrored before: x of a mirrored picture = width - x.
    """

    picture: int
    area: tuple[int, int, int, int]
    scale: float
    shift: tuple[float, float]
    mirror: tuple[bool, bool]  # left-right, top-bottom


@dataclass(frozen=True, kw_only=True)
class BoxAugment:
    """What is done to training pictures; shares and probabilities in [0, 1].

    flip, flip_vertical: probability of mirroring; mosaic: of putting four pictures together; zoom: a picture is scaled
    by 1 / (1 + zoom) to 1 + zoom, and moved so far that its part in the output is chosen at random; colour: brightness,
    contrast and saturation change by factors of up to 1 + colour.
    """

    flip: float = 0.0
    flip_vertical: float = 0.0
    mosaic: float = 0.0
    zoom: float = 0.0
    colour: float = 0.0

    def layout(
        self, number: int, others: Sequence[int], size: tuple[int, int], generator: np.random.Generator
    ) -> list[Tile]:
        """Return the tiles of one output of `size` (height, width): of `number`, or of three of `others` too."""
        height, width = size
        if len(others) < 3 or generator.random() >= self.mosaic:
            return [self._tile(number, (0, 0, width, height), size, generator)]
        x = round(width * generator.uniform(CENTRE, 1 - CENTRE))
        y = round(height * generator.uniform(CENTRE, 1 - CENTRE))
        areas = [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]
        pictures = [number, *generator.choice(np.asarray(others), 3, replace=False).tolist()]
        return [self._tile(picture, area, size, generator) for picture, area in zip(pictures, areas, strict=True)]

    def _tile(
        self, picture: int, area: tuple[int, int, int, int], size: tuple[int, int], generator: np.random.Generator
    ) -> Tile:
        """Show a random part of a picture of `size` in `area`."""
        scale = float((1 + self.zoom) ** generator.uniform(-1, 1))
        mirror = (bool(generator.random() < self.flip), bool(generator.random() < self.flip_vertical))
        room = (area[2] - area[0] - scale * size[1], area[3] - area[1] - scale * size[0])  # below 0: more than fits
        share = generator.random(2)
        return Tile(
            picture=picture,
            area=area,
            scale=scale,
            shift=(area[0] + float(share[0]) * room[0], area[1] + float(share[1]) * room[1]),
            mirror=mirror,
        )

    def recolour(self, image: Tensor, generator: np.random.Generator) -> Tensor:
        """Return `image` (C, H, W) in [0, 255] brighter or darker, of more or less contrast, and if RGB, saturation."""
        if self.colour == 0:
            return image
        brightness, contrast, saturation = ((1 + self.colour) ** generator.uniform(-1, 1, 3)).tolist()
        grey = image.mean(0, keepdim=True)
        mean = grey.mean()
        image = grey + (image - grey) * saturation
        changed: Tensor = (mean + (image - mean) * contrast) * brightness
        return changed.clamp(0, 255)


def compose(tiles: Sequence[Tile], pictures: NDArray[np.uint8], background: Sequence[int]) -> Tensor:
    """Return the output (C, H, W) float32 in [0, 255] of `tiles`; `pictures` are (N, H, W, C) uint8."""
    _, height, width, channels = pictures.shape
    out = torch.empty(channels, height, width)
    for tile in tiles:
        left, top, right, bottom = tile.area
        source = torch.from_numpy(np.ascontiguousarray(pictures[tile.picture])).permute(2, 0, 1)[None].float()
        x = (torch.arange(left, right) + 0.5 - tile.shift[0]) / tile.scale  # in the picture, mirrored
        y = (torch.arange(top, bottom) + 0.5 - tile.shift[1]) / tile.scale
        inside = ((x >= 0) & (x <= width))[None, :] & ((y >= 0) & (y <= height))[:, None]
        x = width - x if tile.mirror[0] else x
        y = height - y if tile.mirror[1] else y
        grid = torch.stack(torch.meshgrid(2 * x / width - 1, 2 * y / height - 1, indexing="xy"), -1)[None]
        part = F.grid_sample(source, grid, padding_mode="border", align_corners=False)[0]
        fill = torch.tensor(list(background[:channels]), dtype=torch.float32)[:, None, None]
        out[:, top:bottom, left:right] = torch.where(inside, part, fill)
    return out


def move(tiles: Sequence[Tile], objects: Sequence[Objects], size: tuple[int, int]) -> Objects:
    """Return the objects of the output of `tiles`; `objects[tile.picture]` are in pixels of pictures of `size`.

    An object of which too little is left is difficult there.
    """
    height, width = size
    moved = []
    for tile in tiles:
        each = objects[tile.picture]
        boxes = each.boxes.astype(np.float64)
        if tile.mirror[0]:
            boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
        if tile.mirror[1]:
            boxes[:, [1, 3]] = height - boxes[:, [3, 1]]
        boxes = boxes * tile.scale + np.array([*tile.shift, *tile.shift])
        cut = np.clip(boxes, [*tile.area[:2]] * 2, [*tile.area[2:]] * 2)
        sides = cut[:, 2:] - cut[:, :2]
        left = sides.prod(1) / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-9)
        slight = (left < LEFT_OF_A_BOX) | (sides.min(1, initial=np.inf) < LEAST_SIDE)
        visible = sides.min(1, initial=np.inf) > 0
        moved.append(
            Objects.of(cut[visible], each.labels[visible], (each.difficult | slight)[visible], each.crowd[visible])
        )
    return Objects.of(
        np.concatenate([each.boxes for each in moved]),
        np.concatenate([each.labels for each in moved]),
        np.concatenate([each.difficult for each in moved]),
        np.concatenate([each.crowd for each in moved]),
    )
