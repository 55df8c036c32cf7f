"""Questions that everybody asks when building a first network, each with the networks that answer it.

A study is a function that returns its options; its docstring holds the question, what the literature found, and what
would answer it. The networks are descriptions as in docs/networks-in-toml.md: narrow (first width 8), 14x14 behind the
first layer, so that three seeds of five epochs on `fashion-mini` take minutes on two cores.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from glassnet.comparison.options import Option
from glassnet.errors import UnknownName
from glassnet.models.described import ARCHITECTURE

DATA = "fashion-mini"
EPOCHS = 5.0
RATE = 0.1  # for batches of 64, behind batch norm
TRAINING: dict[str, Any] = {"precision": "fp32", "validate_every": 0.0, "select": "last"}
"""Of all studies: the last weights count, so that nothing is chosen on the validation pictures that then compare."""

Layer = dict[str, Any]
STEM: Layer = {"stage": "stem", "conv": 8, "stride": 2, "norm": "batch", "activation": "relu"}  # 14x14
AVERAGE: Layer = {"stage": "pool", "pool": "global_average"}
BATCH_RELU: Layer = {"norm": "batch", "activation": "relu"}


@dataclass(frozen=True, kw_only=True)
class Study:
    """A question, its options, and which pairs of them answer it: (first, second) asks what the second gains."""

    name: str
    question: str
    about: str
    options: tuple[Option, ...]
    pairs: tuple[tuple[str, str], ...]  # empty: every option against the best
    line: bool  # the options are steps along one line


_MAKERS: dict[str, Callable[[], list[Option]]] = {}
_SHAPES: dict[str, tuple[bool, tuple[tuple[str, str], ...]]] = {}


def study(*, line: bool = False, pairs: Sequence[tuple[str, str]] = ()) -> Callable[..., Any]:
    """Register the decorated function as the study of its name. line: each option is compared with the one before."""

    def add(make: Callable[[], list[Option]]) -> Callable[[], list[Option]]:
        _MAKERS[make.__name__] = make
        _SHAPES[make.__name__] = (line, tuple(pairs))
        return make

    return add


def names() -> list[str]:
    """Return the names of all studies."""
    return list(_MAKERS)


def load(name: str) -> Study:
    """Return the study called `name`; raise `UnknownName` with the nearest."""
    if name not in _MAKERS:
        raise UnknownName("study", name, _MAKERS, hint=f"there are {', '.join(_MAKERS)}")
    options = _MAKERS[name]()
    question, _, about = inspect.cleandoc(_MAKERS[name].__doc__ or "").partition("\n")
    line, pairs = _SHAPES[name]
    steps = [option.name for option in options]
    pairs = tuple(itertools.pairwise(steps)) if line else pairs
    return Study(name=name, question=question, about=about.strip(), options=tuple(options), pairs=pairs, line=line)


def option(name: str, layers: Sequence[Layer], *, defaults: Layer | None = None, **changes: Any) -> Option:
    """Return the option `name`: a network of `layers` for 28x28 grey pictures, trained by `quick` with `changes`."""
    own = {"weights": {"type": "he_normal", "fan": "out"}, **(defaults or {})}
    description = {"name": name, "input": [28, 28, 1], "layers": [dict(each) for each in layers], "defaults": own}
    return Option(
        name=name,
        network=ARCHITECTURE,
        arguments={"description": description},
        recipe="quick",
        overrides={"learning_rate": RATE, **TRAINING, **changes},
    )


@study(line=True)
def depth() -> list[Option]:
    """How many layers?

    Literature: two 3x3 layers see as far as one 5x5, with fewer weights and one nonlinearity more; on ImageNet 16 to 19
    layers beat 11 (Simonyan & Zisserman 2014, arXiv:1409.1556). Plain networks stop gaining at some depth.
    Answer: the step behind which one more doubling of the depth gains nothing that the interval shows.
    """

    def stack(repeat: int) -> list[Layer]:
        return [{"stage": "stage1", "conv": 16, "stride": 2, "repeat": repeat, **BATCH_RELU}] if repeat else []

    return [option(_count(n, "convolution"), [STEM, *stack(n - 1), AVERAGE]) for n in (1, 2, 3, 5, 9)]


@study(line=True)
def width() -> list[Option]:
    """How many kernels in each layer?

    Literature: wider networks are better and as quick to train as deeper ones of the same cost, while parameters and
    multiply-adds grow with the square of the width (Zagoruyko & Komodakis 2016, arXiv:1605.07146; Howard et al. 2017,
    arXiv:1704.04861, for the way down).
    Answer: what each doubling of all widths gains, beside four times the multiply-adds.
    """

    def layers(first: int) -> list[Layer]:
        return [
            {**STEM, "conv": first},
            {"stage": "stage1", "conv": first, **BATCH_RELU},
            {"stage": "stage2", "conv": 2 * first, "stride": 2, "repeat": 2, **BATCH_RELU},
            AVERAGE,
        ]

    return [option(f"{first} kernels", layers(first)) for first in (2, 4, 8, 16, 32)]


@study(line=True)
def batch() -> list[Option]:
    """Which batch size?

    Literature: with the learning rate scaled in proportion to the batch, large batches learn as well up to a limit
    (Goyal et al. 2017, arXiv:1706.02677); small ones take more steps through the same pictures and generalise well
    (Masters & Luschi 2018, arXiv:1804.07612). Here the rate is 0.1 for each 64 pictures in a batch.
    Answer: accuracy at the same number of epochs, beside pictures a second.
    """
    layers = [STEM, {"stage": "stage1", "conv": 16, "stride": 2, "repeat": 2, **BATCH_RELU}, AVERAGE]
    return [
        option(f"batch {size}", layers, batch_size=size, learning_rate=RATE * size / 64) for size in (16, 64, 256, 1024)
    ]


@study(
    pairs=[
        *(("none", "LRN"), ("none", "batch norm")),
        *((name, f"{name}, rate x4") for name in ("none", "LRN", "batch norm")),
    ]
)
def lrn() -> list[Option]:
    """Local response normalisation, batch norm, or none?

    Literature: LRN cut AlexNet's top-5 error by 1.2 points (Krizhevsky et al. 2012); VGG found that it does not help
    (Simonyan & Zisserman 2014); batch norm allows larger learning rates and learns in fewer steps (Ioffe & Szegedy
    2015, arXiv:1502.03167).
    Answer: each against none at a low rate, and each at four times that rate: with AlexNet's constants LRN divides by
    2^0.75 in every layer, so at the same rate it takes smaller steps.
    """

    def layers(norm: str) -> list[Layer]:
        tail = {"norm": norm, "activation": "relu"}
        if norm == "lrn":  # AlexNet's order: ReLU first, then the normalisation
            tail = {"activation": "relu"}
        each: list[Layer] = [
            {"stage": "stem", "conv": 8, "stride": 2, **tail},
            {"stage": "stage1", "conv": 16, "stride": 2, **tail},
            {"stage": "stage2", "conv": 16, **tail},
        ]
        normalised = [part for layer in each for part in (layer, {"norm": "lrn"})] if norm == "lrn" else each
        return [*normalised, AVERAGE]

    norms = {"none": "none", "LRN": "lrn", "batch norm": "batch"}
    rates = {"": RATE / 4, ", rate x4": RATE}
    return [
        option(f"{name}{label}", layers(norm), learning_rate=rate)
        for name, norm in norms.items()
        for label, rate in rates.items()
    ]


@study()
def pooling() -> list[Option]:
    """Shrink the maps by max pooling, average pooling, or stride 2?

    Literature: max pooling beats averaging (Scherer, Mueller & Behnke 2010); overlapping windows are a little better
    still (Krizhevsky et al. 2012); a strided convolution in the place of pooling loses nothing, but brings weights of
    its own (Springenberg et al. 2014, arXiv:1412.6806).
    Answer: each against the best, beside multiply-adds: striding the convolution itself costs a quarter.
    """

    def layers(shrink: Sequence[Layer], stride: int = 1) -> list[Layer]:
        stage1 = [{"stage": "stage1", "conv": 16, "stride": stride, **BATCH_RELU}, *shrink]
        stage2 = [{"stage": "stage2", "conv": 32, "stride": stride, **BATCH_RELU}, *shrink]
        return [STEM, *stage1, *_widened(stage2), AVERAGE]

    return [
        option("max 2x2", layers([{"pool": "max"}])),
        option("average 2x2", layers([{"pool": "average"}])),
        option("max 3x3, overlapping", layers([{"pool": "max", "kernel": 3, "stride": 2, "padding": "same"}])),
        option("stride in the convolution", layers([], stride=2)),
        option("one more convolution, strided", layers([{"conv": 16, "stride": 2, **BATCH_RELU}])),
    ]


@study()
def head() -> list[Option]:
    """One, two or three dense layers at the end, or 1x1 convolutions and averaging?

    Literature: most parameters of AlexNet and VGG lie in their dense layers; Network in Network replaces these by 1x1
    convolutions and a global average, with less overfitting (Lin, Chen & Yan 2013, arXiv:1312.4400).
    Answer: each against the best, beside parameters.
    """
    body = [STEM, {"stage": "stage1", "conv": 16, "stride": 2, "repeat": 2, **BATCH_RELU}]  # (16, 7, 7)

    def dense(repeat: int) -> list[Layer]:
        return [{"stage": "dense", "dense": 64, "activation": "relu", "repeat": repeat}] if repeat else []

    flat: Layer = {"stage": "flat", "flatten": True}
    mixed: Layer = {"stage": "mix", "conv": 64, "kernel": 1, **BATCH_RELU}
    return [
        *(option(_count(n, "dense layer"), [*body, flat, *dense(n - 1)]) for n in (1, 2, 3)),
        option("1x1 and average", [*body, mixed, AVERAGE]),
        option("average alone", [*body, AVERAGE]),
    ]


@study(
    pairs=[
        ("plain 20", "plain 56"),
        ("residual 20", "residual 56"),
        ("plain 20", "residual 20"),
        ("plain 56", "residual 56"),
    ]
)
def shortcut() -> list[Option]:
    """What do shortcuts gain as networks grow deeper?

    Literature: of plain networks the one of 56 layers is worse than that of 20, in training too; with shortcuts, depth
    helps again (He et al. 2015, arXiv:1512.03385, figure 6). Here at half the paper's widths, and without its 160
    epochs, so that what is seen is mostly how well they can be optimised.
    Answer: 56 against 20 layers, plain and residual.
    """

    def layers(repeat: int) -> list[Layer]:
        stages = [(8, 1), (16, 2), (32, 2)]
        return [
            STEM,
            *(
                {"stage": f"stage{n}", "block": "residual", "width": wide, "stride": stride, "repeat": repeat}
                for n, (wide, stride) in enumerate(stages, 1)
            ),
            AVERAGE,
        ]

    return [
        option(f"{name} {6 * repeat + 2}", layers(repeat), defaults={"block": {"shortcut": kind}})
        for repeat in (3, 9)
        for name, kind in (("plain", "none"), ("residual", "A"))
    ]


@study()
def padding() -> list[Option]:
    """What to put around the picture: nothing, zeros, its edge, or its mirror image?

    Literature: with zeros the borders look like edges, and networks learn from them where they are (Islam, Jia & Bruce
    2020, arXiv:2001.08248); without padding maps shrink and the borders count less. Differences in accuracy are small.
    Answer: each against the best; valid has smaller maps and so fewer multiply-adds.
    """
    layers = [
        STEM,
        {"stage": "stage1", "conv": 16, **BATCH_RELU},
        {"pool": "max"},
        {"stage": "stage2", "conv": 32, **BATCH_RELU},
        AVERAGE,
    ]
    same = {mode: {"padding": "same", "padding_mode": mode} for mode in ("zeros", "replicate", "reflect")}
    return [
        option("valid", layers, defaults={"padding": "valid"}),
        *(option(mode, layers, defaults={"conv": style}) for mode, style in same.items()),
    ]


def _widened(layers: Sequence[Layer]) -> list[Layer]:
    """Return a stage whose convolutions all have the width of its first."""
    return [{**layer, "conv": layers[0]["conv"]} if "conv" in layer else layer for layer in layers]


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")
