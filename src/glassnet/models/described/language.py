"""The language in which a network is described: its keys, what each may be, and mistakes with the line they are in.

A description is plain data, as TOML gives it: `name`, `input`, `defaults`, `layers`, `output`. This file checks words
and types; whether the layers fit each other is found where they are built.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from glassnet.errors import InputError, nearest
from glassnet.models.described.blocks import BLOCKS, parameters
from glassnet.models.described.lines import Path
from glassnet.models.described.norms import NORMS
from glassnet.nn.initialise import BIAS_INITIALISERS, INITIALISERS
from glassnet.nn.layers.activations import ACTIVATIONS
from glassnet.nn.layers.padded import MODES

LARGEST = 65_536  # of a width, a picture's side: beyond it a number is a slip
HUGE = 1e9  # of any other number
MOST_REPEATS = 1000
DEEPEST = 12  # of layers in layers

Check = Callable[[Any], str | None]
"""Returns what was expected instead of a value, None where the value is fine."""


class Misfit(InputError):  # noqa: N818 - reads as the sentence it raises
    """A mistake in a description whose message begins with its place."""


@dataclass(frozen=True)
class Places:
    """Says where in a description something is: its file and line where it was read from one, and which layer."""

    file: str = ""
    lines: Mapping[Path, int] = field(default_factory=dict)

    def error(self, path: Path, message: str) -> Misfit:
        """Return the error that `message` is at `path`."""
        return Misfit(f"{self.at(path)}: {message}")

    def at(self, path: Path) -> str:
        """Return "my.toml line 12 (layer 3)", or "layer 3" where there is no file."""
        words = in_words(path)
        if not self.file:
            return words or (f"[{path[0]}]" if path and path[0] in ("defaults", "output") else "the description")
        known = next((path[:end] for end in range(len(path), 0, -1) if path[:end] in self.lines), None)
        line = f" line {self.lines[known]}" if known is not None else ""
        return f"{self.file}{line}{f' ({words})' if words else ''}"


def in_words(path: Path) -> str:
    """Return which layer `path` leads to: "layer 3, branch 2, layer 1"; "" where to none."""
    words, rest = [], list(path)
    while len(rest) > 1:
        part, index = rest.pop(0), rest[0]
        if part == "layers" and isinstance(index, int):
            words.append(f"layer {index + 1}")
        elif part == "branches" and isinstance(index, int):
            words.append(f"branch {index + 1}")
            rest[0] = "layers"  # a branch is a list of layers
            continue
    return ", ".join(words)


def whole(least: int, most: int = LARGEST) -> Check:
    """A whole number in a range."""

    def check(value: Any) -> str | None:
        fine = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return None if fine else f"a whole number from {least} to {most}"

    return check


def number(least: float, below: float = HUGE) -> Check:
    """A number in a range, the upper end excluded."""

    def check(value: Any) -> str | None:
        fine = isinstance(value, int | float) and not isinstance(value, bool) and least <= value < below
        return None if fine else f"a number of at least {least:g}" + (f" and below {below:g}" if below < HUGE else "")

    return check


def pair(least: int) -> Check:
    """A whole number, or [height, width] of them."""
    single = whole(least)

    def check(value: Any) -> str | None:
        values = value if isinstance(value, list) and len(value) == 2 else [value]
        return "a whole number or [height, width]" + f", at least {least}" if any(map(single, values)) else None

    return check


def word(*choices: str) -> Check:
    """One of some words."""

    def check(value: Any) -> str | None:
        if isinstance(value, str) and value in choices:
            return None
        near = nearest(value, choices, 1) if isinstance(value, str) else []
        return f"one of {', '.join(choices)}" + (f"; did you mean {near[0]!r}?" if near else "")

    return check


def flag(value: Any) -> str | None:
    """True or false."""
    return None if isinstance(value, bool) else "true or false"


def only_true(value: Any) -> str | None:
    """True; anything else would say nothing."""
    return None if value is True else "true (leave the layer out otherwise)"


def padding(value: Any) -> str | None:
    """A word, or rows and columns."""
    if isinstance(value, str):
        return word("valid", "same", "half")(value)
    values = value if isinstance(value, list) and len(value) in (2, 4) else [value]
    if any(map(whole(0), values)):
        return "valid, same, half, a whole number, [vertical, horizontal] or [top, bottom, left, right]"
    return None


def depth(value: Any) -> str | None:
    """Groups."""
    return None if value == "depthwise" else whole(1)(value) and "'depthwise' or a whole number of at least 1"


def identifier(value: Any) -> str | None:
    """A stage's name, which becomes part of the tensors' names."""
    return None if isinstance(value, str) and value.isidentifier() else "a name of letters, digits and _"


def widths(value: Any) -> str | None:
    """A list of channels; a pair is a reduction and what follows it."""
    single = whole(0)
    flat: list[Any] = []
    for each in value if isinstance(value, list) else [None]:
        flat.extend(each if isinstance(each, list) and len(each) == 2 else [each])
    return "a list of whole numbers" if not flat or any(map(single, flat)) else None


def text(value: Any) -> str | None:
    """Any words."""
    return None if isinstance(value, str) and value else "a name in quotes"


def named(table: Mapping[str, Callable[..., Any]]) -> Check:
    """A word of `table`, or a table { type = word, argument = value }."""

    def check(value: Any) -> str | None:
        if isinstance(value, str):
            return word(*table)(value)
        if not isinstance(value, dict) or "type" not in value:
            return f"one of {', '.join(table)}; or {{ type = ..., with arguments }}"
        if expected := word(*table)(value["type"]):
            return f"type to be {expected}"
        return _arguments(table[value["type"]], value)

    return check


def _arguments(function: Callable[..., Any], value: Mapping[str, Any]) -> str | None:
    """Check the arguments of a named choice against the signature of its function."""
    own = inspect.signature(function).parameters.values()
    defaults = {each.name: each.default for each in own if each.kind is inspect.Parameter.KEYWORD_ONLY}
    for name, given in value.items():
        if name == "type":
            continue
        if name not in defaults:
            return f"{value['type']} to have " + (f"only {', '.join(defaults)}" if defaults else "no arguments")
        if isinstance(defaults[name], str):
            fine, kind = isinstance(given, str), "a word"
        else:
            fine = isinstance(given, int | float) and not isinstance(given, bool) and abs(given) < HUGE
            fine, kind = fine and (isinstance(given, int) or isinstance(defaults[name], float)), "a number"
            kind = "a whole number" if isinstance(defaults[name], int) else kind
        if not fine:
            return f"{name} to be {kind}"
    return None


REGULARISERS = ("weight_l1", "weight_l2", "bias_l1", "bias_l2")
ACTIVITY = ("activity_l1", "activity_l2")
WEIGHTS = ("bias", "weights", "biases", *REGULARISERS)
TAIL = ("norm", "activation", *ACTIVITY, "dropout")
ANYWHERE = ("stage", "repeat")
STYLE = ("padding", "padding_mode", *WEIGHTS, "norm", "activation", *ACTIVITY)
"""What a block hands on to its convolutions."""

KEYS: dict[str, Check] = {
    **{name: whole(1) for name in ("conv", "dense", "width", "zero_padded")},
    **{name: pair(1) for name in ("kernel", "stride", "dilation")},
    **{name: number(0) for name in (*REGULARISERS, *ACTIVITY)},
    **dict.fromkeys(("bias", "ceil_mode", "count_include_pad"), flag),
    "padding": padding,
    "padding_mode": word(*MODES),
    "groups": depth,
    "weights": named(INITIALISERS),
    "biases": named(BIAS_INITIALISERS),
    "norm": named(NORMS),
    "activation": named(ACTIVATIONS),
    "dropout": number(0, 1),
    "pool": word("max", "average", "global_max", "global_average"),
    "flatten": only_true,
    "join": word("concat", "add"),
    "block": word(*BLOCKS),
    "expansion": whole(1, 64),
    "shortcut": word("A", "B", "C", "none"),
    "widths": widths,
    "repeat": whole(1, MOST_REPEATS),
    "stage": identifier,
}
"""Every key of a layer; `layers` and `branches` hold layers themselves."""

KINDS: dict[str, tuple[str, ...]] = {
    "conv": ("kernel", "stride", "padding", "padding_mode", "dilation", "groups", *WEIGHTS, *TAIL),
    "dense": (*WEIGHTS, *TAIL),
    "pool": ("kernel", "stride", "padding", "dilation", "ceil_mode", "count_include_pad", *TAIL),
    "flatten": (),
    "branches": ("join", *TAIL),
    "layers": (),
    "zero_padded": ("stride",),
    "block": (),  # each block's own; see `keys_of`
    "tail": (),  # a norm, activation or dropout that stands alone
}
"""The keys of each kind of layer beside the one that names it."""
WRITTEN = tuple(kind for kind in KINDS if kind not in ("zero_padded", "tail"))
"""The kinds that a file can name; a shortcut of zeros exists inside blocks only."""


def kind_of(layer: Mapping[str, Any]) -> str:
    """Return the kind of a checked layer."""
    return next((kind for kind in KINDS if kind in layer), "tail")


def keys_of(kind: str, layer: Mapping[str, Any]) -> tuple[str, ...]:
    """Return all keys that a layer of this kind may have."""
    if kind == "tail":
        return (*TAIL, *ANYWHERE)
    if kind == "block":
        return ("block", *parameters(layer["block"]), *STYLE, *ANYWHERE)
    return (kind, *KINDS[kind], *ANYWHERE)


def check(description: Any, places: Places) -> None:
    """Raise `InputError`, with its place, for a word that is unknown or a value of the wrong kind."""
    if not isinstance(description, dict):
        raise places.error((), f"a {type(description).__name__}; expected a table with input and layers")
    _known(description, ("name", "input", "defaults", "layers", "output"), (), "the file", places)
    if "name" in description:
        _value("name", description["name"], ("name",), text, places)
    _check_input(description, places)
    _check_defaults(description.get("defaults", {}), places)
    _check_table("output", description.get("output", {}), ("weights", "biases", *REGULARISERS), ("output",), places)
    if not description.get("layers"):
        raise places.error(
            ("layers",), "there are no layers; write a [[layers]] table for each, or a list layers = [ ]"
        )
    _check_layers(description["layers"], ("layers",), places)


def _check_input(description: Mapping[str, Any], places: Places) -> None:
    if "input" not in description:
        raise places.error((), "input is missing; expected input = [height, width, channels], for example [28, 28, 1]")
    given = description["input"]
    if not isinstance(given, list) or len(given) != 3 or any(map(whole(1), given)):
        raise places.error(("input",), f"input is {given!r}; expected [height, width, channels] of whole numbers")


def _check_defaults(defaults: Any, places: Places) -> None:
    own = {kind: KINDS[kind] for kind in ("conv", "dense", "pool")}
    own["block"] = tuple(dict.fromkeys([*STYLE, *(key for name in BLOCKS for key in parameters(name))]))
    common = tuple(dict.fromkeys([*own["conv"], *own["dense"], *own["block"]]))
    _table(defaults, ("defaults",), places)
    for kind, known in own.items():
        if kind in defaults:
            _check_table(f"defaults.{kind}", defaults[kind], known, ("defaults", kind), places)
    rest = {key: value for key, value in defaults.items() if key not in own}
    _check_table("defaults", rest, common, ("defaults",), places)


def _check_layers(layers: Any, path: Path, places: Places) -> None:
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        what = path[-1] if isinstance(path[-1], str) else "a branch"
        raise places.error(path, f"{what} is {layers!r:.60}; expected a list of layers")
    if path.count("layers") + path.count("branches") > DEEPEST:
        raise places.error(path, f"layers lie in layers more than {DEEPEST} deep")
    for number_, layer in enumerate(layers):
        _check_layer(layer, (*path, number_), places)


def _check_layer(layer: dict[str, Any], path: Path, places: Places) -> None:
    kinds = [kind for kind in WRITTEN if kind in layer]
    if len(kinds) > 1:
        raise places.error((*path, kinds[1]), f"a layer is one thing, and this is both {kinds[0]} and {kinds[1]}")
    if not kinds and not any(key in layer for key in TAIL):
        near = nearest(next(iter(layer), ""), [*WRITTEN, *TAIL], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise places.error(path, f"it says {', '.join(layer) or 'nothing'}, not what the layer is{hint}; {_choices()}")
    kind = kinds[0] if kinds else "tail"
    if kind == "block":
        _value("block", layer["block"], (*path, "block"), KEYS["block"], places)
    if "stage" in layer and len(path) > 2:
        raise places.error((*path, "stage"), "a stage begins at an outer layer, not inside of one")
    name = layer["block"] + " block" if kind == "block" else f"{kind if kind != 'tail' else 'norm or activation'} layer"
    _known(layer, keys_of(kind, layer), path, f"{'an' if name[0] in 'aeiou' else 'a'} {name}", places)
    for key, value in layer.items():
        if key in KEYS:
            one_number = kind == "block" and key == "stride"  # a shortcut knows no others
            _value(key, value, (*path, key), whole(1) if one_number else KEYS[key], places)
    if kind == "layers":
        _check_layers(layer["layers"], (*path, "layers"), places)
    if kind == "branches":
        if not isinstance(layer["branches"], list) or len(layer["branches"]) < 2:
            raise places.error((*path, "branches"), "branches are at least two lists of layers; [] is the identity")
        for index, branch in enumerate(layer["branches"]):
            _check_layers(branch, (*path, "branches", index), places)


def _choices() -> str:
    return f"one of {', '.join(WRITTEN)}, norm, activation, dropout"


def _check_table(what: str, table: Any, known: Iterable[str], path: Path, places: Places) -> None:
    _table(table, path, places)
    _known(table, tuple(known), path, f"[{what}]", places)
    for key, value in table.items():
        _value(key, value, (*path, key), KEYS[key], places)


def _table(value: Any, path: Path, places: Places) -> None:
    if not isinstance(value, dict):
        raise places.error(path, f"{path[-1]} is {value!r:.60}; expected a table [{'.'.join(map(str, path))}]")


def _known(table: Mapping[str, Any], known: tuple[str, ...], path: Path, what: str, places: Places) -> None:
    for key in table:
        if key in ("name", "input", "layers") and path in (("defaults",), ("output",)):
            raise places.error(
                (*path, key), f"{key} stands behind {what} and so belongs to it; move it above that line"
            )
        if key not in known:
            near = nearest(key, known)
            hint = f"nearest: {', '.join(near)}" if near else f"it has {', '.join(known)}"
            raise places.error((*path, key), f"{what} has no key {key!r}; {hint}")


def _value(key: str, value: Any, path: Path, check_: Check, places: Places) -> None:
    if expected := check_(value):
        raise places.error(path, f"{key} is {value!r:.80}; expected {expected}")
