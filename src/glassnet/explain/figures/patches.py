"""The patches of some channels as in the paper: nine crops beside the nine projections of what they did to the channel.

Zeiler & Fergus 2013, arXiv:1311.2901, figure 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from glassnet.errors import InputError
from glassnet.explain.choose import short
from glassnet.explain.figures import style
from glassnet.explain.figures.grids import Tile, fitted, framed, montage, projected, squared
from glassnet.explain.patches import ChannelPatches, Patch

TILE = 72  # pixels
BLOCK, GAP, EDGE = 1.75, 0.3, 0.25  # inches: a square of patches, and between blocks
ACROSS = 3  # channels in a row of the figure
MOST = 64  # channels in one figure


def draw_patches(found: Sequence[ChannelPatches], name: str) -> Figure:
    """Return the figure of some channels of one layer of the network called `name`; raise `InputError` for too many."""
    if len(found) > MOST:
        raise InputError(f"{len(found)} channels are given; one figure shows at most {MOST}")
    across = min(ACROSS, len(found))
    rows = math.ceil(len(found) / across)
    width = 2 * EDGE + across * (2 * BLOCK + 0.06) + (across - 1) * GAP
    width = max(width, 5.2)
    height = 0.95 + rows * (BLOCK + 0.42)
    with style.style():
        figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(figure)
        first = found[0]
        size = "x".join(map(str, first.layer.output_shape))
        title = f"{short(first.layer.name)} of {name}"
        figure.text(EDGE / width, 1 - 0.3 / height, title, fontsize=12, fontweight="bold", parse_math=False)
        letters = int(width * 15)
        told = style.wrapped(
            f"{size}; the strongest of {first.pictures:,} pictures, cut to what the answer depends on; beside them "
            f"what made it answer ({first.rule}, each on its own scale)" + (f"; {first.note}" if first.note else ""),
            letters,
        )
        figure.text(EDGE / width, 1 - 0.42 / height, told, fontsize=8, color=style.MUTED, va="top", parse_math=False)
        for number, channel in enumerate(found):
            left = EDGE + (number % across) * (2 * BLOCK + 0.06 + GAP)
            top = 0.95 + (number // across) * (BLOCK + 0.42)
            _block(figure, channel, left, top)
    return figure


def _block(figure: Figure, channel: ChannelPatches, left: float, top: float) -> None:
    width, height = figure.get_size_inches()
    words = f"channel {channel.channel}"
    if channel.patches:
        values = channel.patches[0].value, channel.patches[-1].value
        words += f"   answers {values[0]:.3g} to {values[1]:.3g}"
    figure.text(left / width, 1 - (top - 0.06) / height, words, fontsize=8.5)
    if not channel.patches:
        figure.text(left / width, 1 - (top + 0.3) / height, "dead: never above zero", fontsize=8.5, color=style.MUTED)
        return
    columns = math.ceil(math.sqrt(len(channel.patches)))
    for place, tiles in enumerate((list(map(crop, channel.patches)), list(map(projection, channel.patches)))):
        x = left + place * (BLOCK + 0.06)
        ax = figure.add_axes((x / width, 1 - (top + BLOCK) / height, BLOCK / width, BLOCK / height))
        ax.imshow(montage(tiles, columns, gap=2), interpolation="antialiased")
        ax.set_anchor("NW")
        style.bare(ax)


def crop(patch: Patch) -> Tile:
    """Return the crop as a square tile; of a whole picture with the projection's support outlined."""
    tile = fitted(patch.pixels, TILE)
    return squared(_outlined(tile, patch), TILE)


def projection(patch: Patch) -> Tile:
    """Return the projection as a square tile."""
    tile = fitted(projected(patch.projection), TILE, nearest=max(patch.pixels.shape[:2]) <= style.SMALL)
    return squared(_outlined(tile, patch), TILE)


def _outlined(tile: Tile, patch: Patch) -> Tile:
    if patch.outline is None:
        return tile
    height, width = patch.box[2] - patch.box[0], patch.box[3] - patch.box[1]
    top, left, bottom, right = patch.outline
    return framed(tile, (top / height, left / width, bottom / height, right / width))
