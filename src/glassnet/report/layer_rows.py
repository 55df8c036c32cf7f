"""The layers of a trace as rows that a person reads: a tree of stages and blocks, repeated blocks told once.

Norms, activations, dropout and the like are told with the layer before them, as papers do, unless every layer is asked
for; a block's row sums up what is below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from glassnet.nn.trace import Layer, Trace

HEADINGS = 2  # stages and blocks have rows of their own; what is deeper is told by its path inside the block


_PLAIN = {
    "Conv2d": "conv",
    "Conv2dSame": "conv",
    "Linear": "dense",
    "MaxPool2d": "max pool",
    "AvgPool2d": "average pool",
    "AdaptiveAvgPool2d": "average pool",
    "GlobalAveragePool": "global average pool",
    "GlobalMaxPool": "global max pool",
    "BatchNorm1d": "batch norm",
    "BatchNorm2d": "batch norm",
    "LocalResponseNorm": "local response norm",
    "Flatten": "flatten",
    "Dropout": "dropout",
}


@dataclass(frozen=True)
class Row:
    """One row: `level` deep in the tree; a `heading` sums up the rows below it; it stands for `times` blocks in a row.

    Counts of a row with `times` are for all of them, those below it for one.
    """

    label: str
    level: int
    layers: tuple[Layer, ...]
    heading: bool = False
    times: int = 1

    @property
    def main(self) -> Layer | None:
        """The layer that a row is about; None for a heading."""
        return None if self.heading else self.layers[0]

    @property
    def what(self) -> str:
        """What the layer does, in words; empty for a heading."""
        if self.main is None:
            return ""
        return f"{_PLAIN.get(self.main.kind, self.main.kind)} {self.main.setting}".strip()

    @property
    def last(self) -> Layer:
        """The layer whose output the row shows."""
        return self.layers[-1]

    @property
    def parameters(self) -> int:
        """Of all its layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Of all its layers."""
        return sum(layer.multiply_adds for layer in self.layers)


@dataclass
class _Branch:
    """A module with parts: branches and layers, in the order they are first computed."""

    parts: list[tuple[str, _Branch | Layer]] = field(default_factory=list)

    def branch(self, name: str) -> _Branch:
        for known, part in self.parts:
            if known == name and isinstance(part, _Branch):
                return part
        fresh = _Branch()
        self.parts.append((name, fresh))
        return fresh


def rows(traced: Trace, *, depth: int | None = None, full: bool = False) -> list[Row]:
    """Return the rows of `traced`, down to `depth` levels of the tree; `full` gives every layer a row of its own.

    The parts of `body` stand at the top, since that is what their names are known by.
    """
    tree = _Branch()
    for layer in traced:
        *path, name = layer.name.removeprefix("body.").split(".")
        branch = tree
        for part in path:
            branch = branch.branch(part)
        branch.parts.append((name, layer))
    return _rows(tree, 0, depth, full)


def _rows(branch: _Branch, level: int, depth: int | None, full: bool) -> list[Row]:
    groups: list[list[Row]] = []  # each part's rows: its own and those below it
    for name, part in branch.parts:
        if isinstance(part, _Branch):
            groups.append(_of_branch(name, part, level, depth, full))
        elif not full and part.kind == "Identity":
            continue
        elif groups and not full and _accompanies(part, groups[-1][-1]):
            groups[-1] = _joined(groups[-1], part)
        else:
            groups.append([Row(name, level, (part,))])
    return [row for group in (groups if full else _told_once(groups)) for row in group]


def _of_branch(name: str, branch: _Branch, level: int, depth: int | None, full: bool) -> list[Row]:
    inner, only = branch.parts[0]
    if len(branch.parts) == 1 and isinstance(only, _Branch):  # a block in a block is no step of its own
        return _of_branch(f"{name}.{inner}", only, level, depth, full)
    if level >= HEADINGS:
        below = _rows(branch, level, None, full)
        return [replace(row, label=name if len(below) == 1 else f"{name}.{row.label}") for row in below]
    below = _rows(branch, level + 1, depth, full)
    if len(below) == 1 and not full and not below[0].heading:
        # A convolution with its norm and activation is one row, under the block's name.
        return [replace(below[0], label=name, level=level)]
    heading = Row(name, level, tuple(_layers(branch)), heading=True)
    return [heading] if depth is not None and level + 1 >= depth else [heading, *below]


def _layers(branch: _Branch) -> Iterator[Layer]:
    for _, part in branch.parts:
        yield from _layers(part) if isinstance(part, _Branch) else (part,)


def _accompanies(layer: Layer, row: Row) -> bool:
    """Tell whether a layer works on each value of the row before it by itself: a norm, an activation, dropout."""
    alone = layer.window is None and layer.multiply_adds == 0 and layer.output_shape == layer.input_shape
    return alone and not row.heading and layer.inputs == (row.last.name,)


def _joined(group: list[Row], layer: Layer) -> list[Row]:
    """Count `layer` with the row before it, and with the heading above that row."""
    *before, row = (replace(row, layers=(*row.layers, layer)) if row.heading else row for row in group)
    return [*before, replace(row, layers=(*row.layers, layer))]


def _told_once(groups: Sequence[list[Row]]) -> list[list[Row]]:
    """Fold groups that follow each other and are alike into one that says how many they are."""
    told: list[list[Row]] = []
    run = 0
    for number, group in enumerate(groups):
        run = run + 1 if number and _alike(groups[number - 1], group) else 1
        if run == 1 or (len(group) == 1 and not group[0].heading):
            told.append(group)
            continue
        first = told.pop()[0]
        layers = (*first.layers, *group[0].layers)
        label = f"{first.label.split(' ')[0]} to {group[0].label}"
        told.append([replace(group[0], label=label, layers=layers, times=run), *group[1:]])
    return told


def _alike(one: Sequence[Row], other: Sequence[Row]) -> bool:
    return [_signature(row) for row in one] == [_signature(row) for row in other]


def _signature(row: Row) -> tuple[object, ...]:
    layers = [(layer.kind, layer.setting, layer.output_shape) for layer in row.layers]
    return (row.level, row.heading, row.times, *([] if row.heading else [row.label]), *layers)
