"""What a network's tricks save: the cost of each beside that of the plain layer that would do the same.

Four tricks, found in a trace: a depthwise-separable pair for a convolution (Howard et al. 2017, arXiv:1704.04861), a
1x1 bottleneck before a wide filter (Szegedy et al. 2014, arXiv:1409.4842), a stack of 3x3 filters for a larger one
(Simonyan, Zisserman 2014, arXiv:1409.1556), and dense layers that read a map where an average over its positions would
do (Lin et al. 2013, arXiv:1312.4400): there the alternative is the cheaper one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from glassnet.nn.arithmetic import conv_multiply_adds, linear_parameters
from glassnet.nn.trace.tracing import Layer, Trace

SEPARABLE, BOTTLENECK, STACK, DENSE = "depthwise-separable", "bottleneck", "stack", "dense head"


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """A trick of `layers`, which together do what `instead` would do in one.

    `cost` and `plain_cost` are multiply-adds, but parameters for a dense head, where those are what counts.
    """

    trick: str
    layers: tuple[str, ...]
    what: str
    instead: str
    cost: int
    plain_cost: int


def alternatives(traced: Trace) -> list[Alternative]:
    """Return every trick found in `traced`, in the order of its layers."""
    found: list[Alternative] = []
    for number, layer in enumerate(traced.layers):
        for pattern in (_separable, _bottleneck, _stack, _dense):
            found += pattern(traced, number, layer)
    return found


def sentences(found: Sequence[Alternative]) -> list[str]:
    """Return a sentence or two for each trick among `found`: where it changes most, and all together."""
    said = []
    for trick in dict.fromkeys(one.trick for one in found):
        same = [one for one in found if one.trick == trick]
        most = max(same, key=lambda one: abs(one.plain_cost - one.cost))
        unit = "weights" if trick == DENSE else "multiply-adds"
        sentence = (
            f"{_place(most.layers)}: {most.what}: {short(most.cost)} {unit}; "
            f"{most.instead}: {short(most.plain_cost)} ({_times(most.cost, most.plain_cost)})."
        )
        if len(same) > 1:
            cost, plain = sum(one.cost for one in same), sum(one.plain_cost for one in same)
            sentence += f" All {len(same)} like it: {short(cost)} instead of {short(plain)}."
        said.append(sentence)
    return said


def short(count: float) -> str:
    """Return 672 as "672", 12443648 as "12.4M", 1.8e9 as "1.81G".

    >>> short(2160), short(12_443_648), short(120_422_400), short(1_814_073_344)
    ('2,160', '12.4M', '120.4M', '1.81G')
    """
    if count >= 1e9:
        return f"{count / 1e9:.2f}G"
    return f"{count / 1e6:.1f}M" if count >= 1e6 else f"{count:,.0f}"


def _times(cost: int, plain: int) -> str:
    return f"{plain / cost:.1f} times as many" if plain >= cost else f"{cost / plain:.0f} times fewer"


def _place(layers: Sequence[str]) -> str:
    """Return the module that the layers share, or the first and the last of them."""
    paths = [name.removeprefix("body.").split(".") for name in layers]
    shared = [parts[0] for parts in itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))]
    return ".".join(shared or paths[0]) + ("" if shared else f" to {'.'.join(paths[-1])}")


def _separable(traced: Trace, number: int, layer: Layer) -> Iterator[Alternative]:
    """Each channel filtered by itself, then mixed by a 1x1 convolution."""
    if not _convolves(layer) or not 1 < layer.groups == layer.input_shape[0] or _kernel(layer) == (1, 1):
        return
    for mixing in (traced.layers[i] for i in _behind(traced, number, _convolves)):
        if _kernel(mixing) == (1, 1) and mixing.groups == 1:
            yield _alternative(SEPARABLE, (layer, mixing), f"a depthwise {_by(layer)} and a 1x1 convolution", layer)


def _bottleneck(traced: Trace, number: int, layer: Layer) -> Iterator[Alternative]:
    """A 1x1 convolution to fewer channels, so that the wide filter behind it reads less."""
    narrow = layer.output_shape[0]
    if not _convolves(layer) or _kernel(layer) != (1, 1) or narrow >= layer.input_shape[0] or layer.groups > 1:
        return
    for wide in (traced.layers[i] for i in _behind(traced, number, _convolves)):
        if math.prod(_kernel(wide)) > 1 and wide.groups == 1:
            what = f"{_by(wide)} behind a 1x1 bottleneck of {narrow}"
            yield _alternative(BOTTLENECK, (layer, wide), what, wide)


def _stack(traced: Trace, number: int, layer: Layer) -> Iterator[Alternative]:
    """Two or more 3x3 of one width: as wide a view as one larger filter, for fewer weights."""
    chain = [number]
    while len(following := [i for i in _behind(traced, chain[-1], _convolves) if _stacks(traced.layers[i])]) == 1:
        chain += following
    if _stacks(layer) and len(chain) > 1 and not _is_in_a_stack(traced, number):
        side, channels = 2 * len(chain) + 1, layer.output_shape[0]
        yield Alternative(
            trick=STACK,
            layers=tuple(traced.layers[i].name for i in chain),
            what=f"{len(chain)} stacked 3x3 of {channels} channels",
            instead=f"one {side}x{side}, which sees as far",
            cost=sum(traced.layers[i].multiply_adds for i in chain),
            plain_cost=conv_multiply_adds(channels, channels, side, _map(layer)),
        )


def _dense(traced: Trace, number: int, layer: Layer) -> Iterator[Alternative]:
    """A dense layer with a weight for every position of a map, where one for each channel could do."""
    if len(layer.output_shape) != 1 or len(layer.input_shape) != 3 or math.prod(layer.input_shape[1:]) == 1:
        return
    if layer.output_shape[0] != math.prod(layer.input_shape):  # pooled, not flattened
        return
    for dense in (traced.layers[i] for i in _behind(traced, number, lambda one: one.kind == "Linear")):
        outputs, shape = dense.output_shape[0], "x".join(map(str, layer.input_shape))
        yield Alternative(
            trick=DENSE,
            layers=(dense.name,),
            what=f"a dense layer reads all {shape} values",
            instead="on their averages over all positions",
            cost=linear_parameters(layer.output_shape[0], outputs, bias=False),
            plain_cost=linear_parameters(layer.input_shape[0], outputs, bias=False),
        )


def _alternative(trick: str, pair: tuple[Layer, Layer], what: str, filters: Layer) -> Alternative:
    """The pair beside one convolution with the kernel of `filters`, from the first's input to the second's output."""
    ins, outs, kernel = pair[0].input_shape[0], pair[1].output_shape[0], _kernel(filters)
    return Alternative(
        trick=trick,
        layers=(pair[0].name, pair[1].name),
        what=what,
        instead=f"a plain {_by(filters)}, {ins} -> {outs} channels",
        cost=pair[0].multiply_adds + pair[1].multiply_adds,
        plain_cost=conv_multiply_adds(ins, outs, kernel, _map(pair[1])),
    )


def _behind(traced: Trace, number: int, wanted: Callable[[Layer], bool]) -> list[int]:
    """Return the places of the wanted layers that read layer `number`, with at most norms and activations between."""
    found = []
    for place, layer in enumerate(traced.layers[number + 1 :], start=number + 1):
        if layer.reads == (number,):
            if wanted(layer):
                found.append(place)
            elif layer.window is None and layer.multiply_adds == 0 and layer.output_shape == layer.input_shape:
                found += _behind(traced, place, wanted)
    return found


def _is_in_a_stack(traced: Trace, number: int) -> bool:
    """Tell whether the layer stands behind another that stacks, so that the stack begins there."""
    return any(_stacks(traced.layers[i]) and number in _behind(traced, i, _convolves) for i in range(number))


def _convolves(layer: Layer) -> bool:
    return layer.window is not None and layer.multiply_adds > 0 and len(layer.output_shape) == 3


def _stacks(layer: Layer) -> bool:
    same = layer.input_shape == layer.output_shape
    return same and _convolves(layer) and _kernel(layer) == (3, 3) and layer.groups == 1


def _kernel(layer: Layer) -> tuple[int, int]:
    return layer.window.kernel if layer.window else (0, 0)


def _by(layer: Layer) -> str:
    return "x".join(map(str, _kernel(layer)))


def _map(layer: Layer) -> tuple[int, int]:
    return layer.output_shape[1], layer.output_shape[2]
