"""From a description to modules: layer by layer, with the shape at hand, so that what does not fit is found at once."""

from __future__ import annotations

import inspect
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from glassnet.errors import InputError
from glassnet.models.described.blocks import BLOCKS, parameters
from glassnet.models.described.language import (
    KINDS,
    REGULARISERS,
    STYLE,
    TAIL,
    Misfit,
    Places,
    keys_of,
    kind_of,
)
from glassnet.models.described.lines import Path
from glassnet.models.described.norms import NORMS, Shape, shifts
from glassnet.models.described.windows import convolution, maps, pooling
from glassnet.nn.initialise import BIAS_INITIALISERS, INITIALISERS
from glassnet.nn.layers import GlobalAveragePool, GlobalMaxPool
from glassnet.nn.layers.activations import ACTIVATIONS
from glassnet.nn.layers.join import Add, Concat
from glassnet.nn.layers.shortcuts import PaddedShortcut
from glassnet.nn.regularise import ActivityPenalty, regularise

Options = Mapping[str, Any]
Built = tuple[nn.Module, Shape]
Modules = OrderedDict[str, nn.Module]


class Builder:
    """Builds the layers of a checked `description`; raises `InputError` with the place of what does not fit."""

    def __init__(self, description: Options, places: Places) -> None:
        self.layers, self.places = description["layers"], places
        self.defaults: Options = description.get("defaults", {})
        self.kinds: dict[str, Callable[[Options, Path, Shape], Built]] = {
            "conv": self._convolution,
            "dense": self._dense,
            "pool": self._pooling,
            "flatten": self._flatten,
            "tail": self._tail_alone,
            "zero_padded": self._zero_padded,
            "branches": self._branches,
            "layers": self._layers,
            "block": self._block,
        }

    def body(self, shape: Shape) -> tuple[nn.Sequential, int]:
        """Return the stages for pictures of `shape` (C, H, W), and how many features they end in."""
        stages: dict[str, Modules] = {}
        names: Counter[str] = Counter()
        current: str | None = None
        for index, layer in enumerate(self.layers):
            path: Path = ("layers", index)
            module, shape = self.layer(layer, path, shape)
            current = layer.get("stage", current)
            name = current if current is not None else _numbered(_title(layer), names)
            if name in stages and ("stage" in layer or current is None):
                raise self.places.error((*path, "stage"), f"two stages are called {name!r}; each needs its own name")
            if hasattr(nn.Sequential, name):
                raise self.places.error((*path, "stage"), f"no stage can be called {name!r}; choose another name")
            inner = stages.setdefault(name, OrderedDict())
            inner[_numbered(_title(layer), Counter(key.rstrip("0123456789") for key in inner))] = module
        if len(shape) == 3:
            names["flatten"] += 1
            while (name := f"flatten{names['flatten']}") in stages:
                names["flatten"] += 1
            stages[name] = OrderedDict(flatten=nn.Flatten())
        body = OrderedDict((name, _alone_or_in_order(inner)) for name, inner in stages.items())
        return nn.Sequential(body), math.prod(shape)

    def layer(self, layer: Options, path: Path, shape: Shape, *, plain: bool = False) -> Built:
        """Return the module of one layer, as often as it repeats, and the shape behind it; plain: without defaults."""
        modules = []
        for number in range(layer.get("repeat", 1)):
            module, shape = self._once(layer, path, shape, first=number == 0, plain=plain)
            modules.append(module)
        return (modules[0] if len(modules) == 1 else nn.Sequential(*modules)), shape

    def _once(self, layer: Options, path: Path, shape: Shape, *, first: bool, plain: bool) -> Built:
        kind = kind_of(layer)
        options = dict(layer) if plain else self._with_defaults(layer, kind)
        if not first and kind in ("conv", "block"):
            options["stride"] = 1  # the first of a row makes the picture smaller, not all
        try:
            _check_biases(layer, kind, options)
            return self.kinds[kind](options, path, shape)
        except Misfit:
            raise
        except (InputError, ValueError, RuntimeError) as error:
            raise self.places.error(path, f"{_title(layer)} on {_in_words(shape)}: {error}") from error

    def _with_defaults(self, layer: Options, kind: str) -> dict[str, Any]:
        """Return the layer's own keys over its kind's defaults over the general ones, as far as it has such keys."""
        if kind not in ("conv", "dense", "block", "pool"):
            return dict(layer)
        known = keys_of(kind, layer)
        general = {} if kind == "pool" else self.defaults
        merged = {**general, **self.defaults.get(kind, {}), **layer}
        return {key: value for key, value in merged.items() if key in known}

    def sequence(self, layers: Sequence[Options], paths: Sequence[Path], shape: Shape, *, plain: bool) -> Built:
        """Return `layers` one after the other."""
        modules: Modules = OrderedDict()
        names: Counter[str] = Counter()
        for layer, path in zip(layers, paths, strict=True):
            name = _numbered(_title(layer), names)
            modules[name], shape = self.layer(layer, path, shape, plain=plain)
        return _alone_or_in_order(modules), shape

    def _convolution(self, options: Options, path: Path, shape: Shape) -> Built:  # noqa: ARG002 - as all kinds
        conv, shape = convolution(options, shape, bias=_bias(options))
        _prepare(conv, options)
        return nn.Sequential(OrderedDict(conv=conv, **_tail(options, shape))), shape

    def _dense(self, options: Options, path: Path, shape: Shape) -> Built:  # noqa: ARG002
        modules: Modules = OrderedDict()
        if len(shape) == 3:
            modules["flatten"] = nn.Flatten()
        linear = nn.Linear(math.prod(shape), options["dense"], _bias(options))
        _prepare(linear, options)
        shape = (options["dense"],)
        return nn.Sequential(OrderedDict(modules, linear=linear, **_tail(options, shape))), shape

    def _pooling(self, options: Options, path: Path, shape: Shape) -> Built:  # noqa: ARG002
        if options["pool"].startswith("global"):
            maps(shape)
            if windows := [key for key in options if key in KINDS["pool"] and key not in TAIL]:
                raise InputError(f"it takes all positions at once and has no {windows[0]}")
            pool: nn.Module = GlobalAveragePool() if options["pool"] == "global_average" else GlobalMaxPool()
            shape = shape[:1]
        else:
            pool, shape = pooling(options, shape)
        return _followed("pool", pool, _tail(options, shape)), shape

    def _flatten(self, options: Options, path: Path, shape: Shape) -> Built:  # noqa: ARG002
        return nn.Flatten(), (math.prod(shape),)

    def _tail_alone(self, options: Options, path: Path, shape: Shape) -> Built:  # noqa: ARG002
        tail = _tail(options, shape)
        return (next(iter(tail.values())) if len(tail) == 1 else nn.Sequential(tail)), shape

    def _zero_padded(self, options: Options, path: Path, shape: Shape) -> Built:  # noqa: ARG002
        channels, height, width = maps(shape)
        out, stride = options["zero_padded"], options["stride"]
        if out < channels:
            raise InputError(f"shortcut A cannot narrow {channels} channels to {out}; use shortcut B")
        return PaddedShortcut(channels, out, stride), (out, -(-height // stride), -(-width // stride))

    def _branches(self, options: Options, path: Path, shape: Shape) -> Built:
        modules, shapes = [], []
        for index, branch in enumerate(options["branches"]):
            # A block's branches stand nowhere in the file: their place is the block's.
            inside = [
                (*path, "branches", index, number) if not options.get("expanded") else path
                for number in range(len(branch))
            ]
            module, after = self.sequence(branch, inside, shape, plain=bool(options.get("expanded")))
            modules.append(module)
            shapes.append(after)
        add = options.get("join", "concat") == "add"
        shape = _joined(shapes, add)
        join = Add(modules) if add else Concat(modules)
        return _followed("join", join, _tail(options, shape)), shape

    def _layers(self, options: Options, path: Path, shape: Shape) -> Built:
        inside = [(*path, "layers", number) for number in range(len(options["layers"]))]
        return self.sequence(options["layers"], inside, shape, plain=False)

    def _block(self, options: Options, path: Path, shape: Shape) -> Built:
        name, known = options["block"], parameters(options["block"])
        if missing := [key for key, value in known.items() if value is inspect.Parameter.empty and key not in options]:
            raise InputError(f"it needs {missing[0]}")
        chosen = {key: value for key, value in options.items() if key in known or key in STYLE}
        layers = [_expanded(layer) for layer in BLOCKS[name](maps(shape)[0], **chosen)]
        return self.sequence(layers, [path] * len(layers), shape, plain=True)


def head(features: int, classes: int, output: Options) -> nn.Linear:
    """Return the output layer, as [output] describes it."""
    linear = nn.Linear(features, classes)
    _prepare(linear, output)
    return linear


def _expanded(layer: dict[str, Any]) -> dict[str, Any]:
    """Mark the branches of a block, so that no default is applied twice in them."""
    if "branches" not in layer:
        return layer
    return {**layer, "branches": [[_expanded(each) for each in branch] for branch in layer["branches"]], "expanded": 1}


def _prepare(layer: nn.Module, options: Options) -> None:
    """Initialise and regularise a convolution or dense layer."""
    weights = options.get("weights", "torch")
    if isinstance(layer, nn.Conv2d) and _word(weights) in ("identity", "dirac"):
        nn.init.dirac_(layer.weight, layer.groups)  # each group hands its own channels through
    else:
        _call(INITIALISERS, weights, layer.weight)
    if layer.bias is not None:
        _call(BIAS_INITIALISERS, options.get("biases", "torch"), layer.bias)
    regularise(layer, **{key: options[key] for key in REGULARISERS if key in options})


def _check_biases(layer: Options, kind: str, options: Options) -> None:
    """Refuse what a layer itself says of its bias, where it has none."""
    norm = parameters(options["block"])["norm"] if kind == "block" else "none"
    if kind in ("conv", "dense", "block") and not _bias({"norm": norm, **options}):
        for key in ("biases", "bias_l1", "bias_l2"):
            if key in layer:
                raise InputError(
                    f"{key} is given, but there is no bias: a norm's shift takes its place; add bias = true"
                )


def _word(choice: Any) -> str:
    return str(choice["type"] if isinstance(choice, dict) else choice)


def _call(table: Mapping[str, Callable[..., Any]], choice: Any, *given: Any) -> Any:
    """Call what a word, or a table with a type and arguments, means."""
    if isinstance(choice, str):
        return table[choice](*given)
    return table[choice["type"]](*given, **{key: value for key, value in choice.items() if key != "type"})


def _tail(options: Options, shape: Shape) -> Modules:
    """Return what follows a layer: norm, activation, the price of activity, dropout."""
    tail: Modules = OrderedDict()
    if _word(norm := options.get("norm", "none")) != "none":
        tail["norm"] = _call(NORMS, norm, shape)
    if _word(activation := options.get("activation", "none")) != "none":
        tail["act"] = _call(ACTIVATIONS, activation)
    if options.get("activity_l1") or options.get("activity_l2"):
        tail["activity"] = ActivityPenalty(l1=options.get("activity_l1", 0.0), l2=options.get("activity_l2", 0.0))
    if options.get("dropout"):
        tail["dropout"] = nn.Dropout(options["dropout"])
    return tail


def _bias(options: Options) -> bool:
    """Whether a layer has a bias: by its word, else where no norm follows that shifts by itself."""
    return bool(options.get("bias", not shifts(options.get("norm", "none"))))


def _followed(name: str, module: nn.Module, tail: Modules) -> nn.Module:
    return nn.Sequential(OrderedDict({name: module}, **tail)) if tail else module


def _alone_or_in_order(modules: Modules) -> nn.Module:
    return next(iter(modules.values())) if len(modules) == 1 else nn.Sequential(modules)


def _joined(shapes: Sequence[Shape], add: bool) -> Shape:
    """Return the shape behind branches that give `shapes`."""
    same = len(set(shapes)) == 1 if add else len({shape[1:] for shape in shapes}) == 1
    if not same:
        wanted = "added, which takes equal shapes" if add else "concatenated, which takes equal heights and widths"
        raise InputError(f"branches that give {' and '.join(map(_in_words, shapes))} cannot be {wanted}")
    return shapes[0] if add else (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _in_words(shape: Shape) -> str:
    return f"{'x'.join(map(str, shape))} (channels x height x width)" if len(shape) == 3 else f"{shape[0]} features"


def _title(layer: Options) -> str:
    """Return what a layer is called: its kind, its block, or the first thing that stands alone in it."""
    kind = kind_of(layer)
    if kind == "tail":
        return next(key for key in TAIL if key in layer)
    return str(layer["block"]) if kind == "block" else kind


def _numbered(title: str, names: Counter[str]) -> str:
    names[title] += 1
    return f"{title}{names[title]}"
