"""A network drawn to scale as an SVG: every map a box as high and wide as the map and as thick as its channels.

Where maps shrink too far for one scale (224 pixels to 7), lengths are square roots, and the picture says so. Colours
follow the reader's choice of light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from glassnet.nn.trace import Shape, Trace
from glassnet.nn.trace.alternatives import short
from glassnet.report.slabs import Slab, Stage, stages

TALLEST, THICKEST = 200.0, 36.0  # pixels of the highest map, and of that with the most channels
SLANT = (0.36, -0.22)  # how far a map's width runs to the right and up, for each pixel of it
TOP, MARGIN, LETTER = 106.0, 34.0, 5.9  # LETTER: the width of one at 11 px
STYLE = """
  text { font-family: "Helvetica Neue", Helvetica, Arial, sans-serif; fill: var(--ink); font-size: 11px; }
  .title { font-size: 21px; font-weight: 600; } .name { font-size: 12.5px; font-weight: 600; }
  .muted { fill: var(--muted); }
  .paper { fill: var(--paper); } .flow { stroke: var(--muted); fill: none; stroke-width: 1.3; }
  .road { stroke: var(--road); fill: none; stroke-width: 1.5; } .dashed { stroke-dasharray: 4 3; }
  .sum { fill: var(--paper); stroke: var(--road); stroke-width: 1.3; } .tip { fill: var(--muted); }
  .box path { stroke-width: .8; stroke-linejoin: round; }
  .input { --front: #c9ced6; --top: #dfe3e9; --side: #eef0f4; --edge: #7c8594; }
  .conv { --front: #5b8fd1; --top: #86b0e3; --side: #b4d0f0; --edge: #2f5d99; }
  .other { --front: #7fb0e0; --top: #a5c9ec; --side: #cfe2f6; --edge: #2f5d99; }
  .pool { --front: #e08a5b; --top: #efb08c; --side: #f7d3bf; --edge: #a8552a; }
  .dense { --front: #5aa98a; --top: #85c6ac; --side: #b7e0cf; --edge: #2c7357; }
  .front { fill: var(--front); stroke: var(--edge); } .top { fill: var(--top); stroke: var(--edge); }
  .side { fill: var(--side); stroke: var(--edge); }
  svg { --ink: #1d2430; --muted: #5d6675; --paper: #ffffff; --road: #b0475f; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e8ebf0; --muted: #a3acba; --paper: #14181f; --road: #f08aa0; }
    .input { --front: #6b7483; --top: #8a93a1; --side: #a9b1bd; --edge: #14181f; }
    .conv { --front: #3f73b8; --top: #5f92d3; --side: #86b1e6; --edge: #10233d; }
    .other { --front: #5c92cf; --top: #7fade0; --side: #a4c8ef; --edge: #10233d; }
    .pool { --front: #bb6a3e; --top: #d78a60; --side: #eaae8b; --edge: #3d1c0b; }
    .dense { --front: #3e8a6c; --top: #5ca98a; --side: #84c7ab; --edge: #0d2c20; }
  }
"""


@dataclass(frozen=True)
class _Scale:
    """How long things are drawn; `linear` says whether heights and widths are, or their square roots."""

    linear: bool
    largest: int
    channels: int
    vector: int

    def side(self, size: int) -> float:
        share = size / self.largest
        return TALLEST * (share if self.linear else math.sqrt(share))

    def box(self, shape: Shape) -> tuple[float, float, float]:
        """Return thickness, height and depth of the box for a map or a vector."""
        if len(shape) == 1 or math.prod(shape[1:]) == 1:
            return 7.0, max(10.0, 0.8 * TALLEST * math.sqrt(shape[0] / self.vector)), 9.0
        channels, height, width = math.prod(shape[:-2]), shape[-2], shape[-1]
        return max(2.5, THICKEST * math.sqrt(channels / self.channels)), self.side(height), self.side(width)


@dataclass(frozen=True)
class _Box:
    """A slab in its place: the left edge of its front, its three lengths."""

    slab: Slab
    left: float
    thick: float
    high: float
    deep: float

    @property
    def shift(self) -> tuple[float, float]:
        return SLANT[0] * self.deep, SLANT[1] * self.deep

    @property
    def right(self) -> float:
        return self.left + self.thick + self.shift[0]

    @property
    def top(self) -> float:
        """How far the back edge of its lid lies above the axis."""
        return self.high / 2 - self.shift[1] / 2

    @property
    def middle(self) -> float:
        return self.left + (self.thick + self.shift[0]) / 2


def draw(traced: Trace, title: str) -> str:
    """Return the drawing of a network as the text of an SVG file."""
    shown = stages(traced)
    scale = _scale(shown)
    axis = TOP + TALLEST / 2 + 22
    boxes, labels, x = [], [], MARGIN
    for stage in shown:
        placed, x = _place(stage, scale, x)
        boxes.append(placed)
        labels += list(_label(stage, placed, axis + TALLEST / 2 + 52))
    flat = [box for group in boxes for box in group]
    below = max(y for _, _, y, _ in labels)
    width, height = max(x + MARGIN - 26, 660), below + 66
    about = (
        f"{short(traced.parameters)} parameters, {short(traced.multiply_adds)} multiply-adds "
        f"for a picture of {' × '.join(map(str, traced.input_shape))}"
    )
    body = [
        f'<rect class="paper" width="{width:.0f}" height="{height:.0f}"/>',
        f'<text class="title" x="{MARGIN}" y="42">{escape(title)}</text>',
        f'<text class="muted" x="{MARGIN}" y="62" style="font-size:12.5px">{escape(about)}</text>',
        *_boxes(boxes, axis),
        *_roads(flat, axis),
        *(
            f'<text class="{c}" x="{cx:.1f}" y="{y:.1f}" text-anchor="middle">{escape(t)}</text>'
            for t, cx, y, c in labels
        ),
        *_legend(flat, scale, height - 24),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title, quote=True)}">\n'
        f"<style>{STYLE}</style>\n" + "\n".join(body) + "\n</svg>\n"
    )


def _scale(shown: Sequence[Stage]) -> _Scale:
    shapes = [slab.shape for stage in shown for slab in stage.slabs]
    sides = [side for shape in shapes if len(shape) > 1 for side in shape[-2:]]
    maps = [math.prod(shape[:-2]) for shape in shapes if len(shape) > 1 and math.prod(shape[-2:]) > 1]
    vectors = [math.prod(shape) for shape in shapes if len(shape) == 1 or math.prod(shape[1:]) == 1]
    return _Scale(max(sides) <= 8 * min(sides), max(sides), max(maps), max(vectors, default=1))


def _place(stage: Stage, scale: _Scale, x: float) -> tuple[list[_Box], float]:
    """Return the boxes of a stage from `x` on, centred over its label, and where the next stage begins."""
    boxes: list[_Box] = []
    at = 0.0
    for slab in stage.slabs:
        for _ in range(min(slab.times, 3)):
            thick, high, deep = scale.box(slab.shape)
            boxes.append(_Box(slab, at, thick, high, deep))
            at += thick + (5 if len(stage.slabs) < 8 else 3.5)
    wide = max(box.right for box in boxes)
    room = max(wide, LETTER * max(len(line) for line, _ in _lines(stage)) + 4)
    shift = x + (room - wide) / 2
    placed = [_Box(box.slab, box.left + shift, box.thick, box.high, box.deep) for box in boxes]
    return placed, x + room + 26


def _lines(stage: Stage) -> list[tuple[str, str]]:
    """Return what stands below a stage, each line with its class: its name, then what makes which shape."""
    lines = [(stage.name, "name")]
    steps: list[tuple[str, Shape, int]] = []
    for slab in stage.slabs:
        count = slab.times if slab.what != "residual block" or slab.road else 0  # a block counts where it ends
        if steps and steps[-1][0] == slab.what and (steps[-1][1] == slab.shape or slab.what == "residual block"):
            steps[-1] = (slab.what, slab.shape, steps[-1][2] + count)
        else:
            steps.append((slab.what, slab.shape, count))
    for number, (what, shape, count) in enumerate(steps):
        sign = " " if what.endswith("block") else " × "
        words = f"{count}{sign}{what}{'s' * what.endswith('block')}" if count > 1 else what
        lines.append((words.replace("global average pool", "average of all"), "muted"))
        if number + 1 == len(steps) or steps[number + 1][1] != shape:
            lines.append((" × ".join(map(str, shape)), ""))
    return lines


def _label(stage: Stage, placed: Sequence[_Box], y: float) -> Iterator[tuple[str, float, float, str]]:
    """Yield (text, centre, baseline, class) of the lines below a stage."""
    centre = (placed[0].left + max(box.right for box in placed)) / 2
    for text, kind in _lines(stage):
        yield text, centre, y, kind
        y += {"name": 16, "muted": 14}.get(kind, 19)


def _boxes(groups: Sequence[Sequence[_Box]], axis: float) -> Iterator[str]:
    """Yield the boxes from left to right, so that each covers the one behind it, and the arrows between stages."""
    before: _Box | None = None
    for group in groups:
        if before is not None:
            start, end = before.right - before.shift[0] / 2, group[0].left - 2
            yield f'<path class="flow" d="M{start:.1f} {axis:.1f} H{end - 5:.1f}"/>'
            yield f'<path class="tip" d="M{end:.1f} {axis:.1f} l-7 -3.2 v6.4 z"/>'
        for box in group:
            yield _cuboid(box, axis)
        before = group[-1]


def _cuboid(box: _Box, axis: float) -> str:
    dx, dy = box.shift
    foot = axis + box.high / 2 - dy / 2  # the front's lower edge
    parts = box.slab.parts or (1,)
    faces, left = [], box.left
    for number, part in enumerate(parts):
        thick, lid = box.thick * part / sum(parts), foot - box.high
        kind = box.slab.kind if number % 2 == 0 else "other"
        faces += [
            f'<g class="box {kind}">',
            f'<path class="front" d="M{left:.1f} {foot:.1f} V{lid:.1f} h{thick:.1f} V{foot:.1f} z"/>',
            f'<path class="top" d="M{left:.1f} {lid:.1f} l{dx:.1f} {dy:.1f} h{thick:.1f} l{-dx:.1f} {-dy:.1f} z"/>',
        ]
        if number + 1 == len(parts):
            right = left + thick
            faces.append(
                f'<path class="side" d="M{right:.1f} {foot:.1f} V{lid:.1f} l{dx:.1f} {dy:.1f} v{box.high:.1f} z"/>'
            )
        faces.append("</g>")
        left += thick
    return "".join(faces)


def _roads(boxes: Sequence[_Box], axis: float) -> Iterator[str]:
    """Yield the roads around residual blocks: from the box before them to the sum on their last one."""
    for number, box in enumerate(boxes):
        if not box.slab.road:
            continue
        first = boxes[max(number - box.slab.span, 0)]
        between = boxes[max(number - box.slab.span, 0) : number + 1]
        peak = axis - max(each.top for each in between) - 20
        start, end = first.middle + first.shift[0] / 4, box.middle + box.shift[0] / 4
        low, high = axis - first.top, axis - box.top - 5
        dashed = " dashed" if box.slab.road == "projection" else ""
        yield (
            f'<path class="road{dashed}" d="M{start:.1f} {low:.1f} C{start:.1f} {peak:.1f} {start:.1f} {peak:.1f} '
            f'{(start + end) / 2:.1f} {peak:.1f} S{end:.1f} {peak:.1f} {end:.1f} {high:.1f}"/>'
            f'<circle class="sum" cx="{end:.1f}" cy="{high:.1f}" r="4.6"/>'
            f'<path class="road" d="M{end - 2.6:.1f} {high:.1f} h5.2 M{end:.1f} {high - 2.6:.1f} v5.2"/>'
        )


def _legend(boxes: Sequence[_Box], scale: _Scale, y: float) -> Iterator[str]:
    """Yield what the colours and lengths mean, for those that occur."""
    meanings = {"conv": "convolution", "pool": "pooling", "dense": "dense"}
    x = MARGIN
    for kind, meaning in meanings.items():
        if any(box.slab.kind == kind for box in boxes):
            yield f'<g class="box {kind}"><path class="front" d="M{x:.1f} {y:.1f} v-10 h14 v10 z"/></g>'
            yield f'<text x="{x + 20:.1f}" y="{y - 1:.1f}">{meaning}</text>'
            x += 34 + LETTER * len(meaning)
    for road, meaning in (("identity", "shortcut"), ("projection", "shortcut through a 1x1 convolution")):
        if any(box.slab.road == road for box in boxes):
            dashed = " dashed" if road == "projection" else ""
            yield f'<path class="road{dashed}" d="M{x:.1f} {y - 4:.1f} h22"/>'
            yield f'<text x="{x + 28:.1f}" y="{y - 1:.1f}">{meaning}</text>'
            x += 42 + LETTER * len(meaning)
    if any(box.slab.parts for box in boxes):
        for kind, at in (("conv", x), ("other", x + 9)):
            yield f'<g class="box {kind}"><path class="front" d="M{at:.1f} {y:.1f} v-10 h9 v10 z"/></g>'
        yield f'<text x="{x + 24:.1f}" y="{y - 1:.1f}">joined branches</text>'
        x += 38 + LETTER * len("joined branches")
    notes = f"heights and widths {'to scale' if scale.linear else 'as square roots'}; thickness as the root of channels"
    notes += "; three boxes stand for more blocks" * any(box.slab.times > 3 for box in boxes)
    yield f'<text class="muted" x="{x:.1f}" y="{y - 1:.1f}">{notes}</text>'
