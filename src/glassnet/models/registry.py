"""The registry of networks, and the one shape they share: a body that describes a picture, a head that judges it.

A family's file registers its variants; `create` builds one by name. A seed before `create` fixes every weight.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from glassnet.errors import InputError, UnknownName, nearest
from glassnet.nn.shapes import shapes_only
from glassnet.preprocess import Preprocess

IMAGENET_224 = Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""The preprocess of the networks trained on ImageNet: shortest side to 256, centre 224, channel mean and deviation."""


class Classifier(nn.Module):
    """A network that names what a picture shows: `head(body(images))`.

    `body` is an `nn.Sequential` of named stages, images (N, C, H, W) -> features (N, features_size); `head` is a linear
    layer, features -> logits (N, classes). `input_size` is the (C, H, W) it was designed for.
    """

    input_size: tuple[int, int, int]

    def __init__(self, body: nn.Sequential, head: nn.Linear) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) of `images` (N, C, H, W) float, as the preprocess makes them."""
        features = self.body(images)  # (N, D)
        logits: Tensor = self.head(features)  # (N, K)
        return logits

    @property
    def features_size(self) -> int:
        """How many numbers the body says about a picture."""
        return self.head.in_features

    @property
    def in_channels(self) -> int:
        """How many channels a picture has."""
        return self.input_size[0]

    @property
    def changed_arguments(self) -> dict[str, Any]:
        """Arguments with which `create` builds what this has become, where they are not those it was built with."""
        return {}

    def linearise_head(self) -> None:
        """Make the logits linear in the features, for a linear probe; most heads are so already."""

    def replace_head(self, classes: int) -> None:
        """Put a fresh head for `classes` in place of the old one, with small random weights."""
        old = self.head.weight
        head = self._fresh_head(_positive("classes", classes)).to(old.device, old.dtype)
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)
        self.head = head

    def _fresh_head(self, classes: int) -> nn.Linear:
        return nn.Linear(self.features_size, classes)


Builder = Callable[..., Classifier]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One registered network: how to build it, and the preprocess and number of classes it was designed for.

    `preprocess` may be a function of the network's arguments, where the input size depends on them.
    """

    name: str
    title: str
    paper: str
    build: Builder
    preprocess: Preprocess | Callable[..., Preprocess]
    classes: int
    listed: bool = True

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments it takes beside `classes` and `in_channels`, with their defaults."""
        parameters = inspect.signature(self.build).parameters.items()
        return {name: p.default for name, p in parameters if name not in ("classes", "in_channels")}


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a reader wants to know of a network before choosing it, with the number of classes it was designed for."""

    name: str
    title: str
    paper: str
    input_size: tuple[int, int, int]
    parameters: int
    preprocess: Preprocess
    arguments: dict[str, Any]


_ENTRIES: dict[str, Entry] = {}


def register(
    name: str,
    *,
    title: str,
    paper: str,
    preprocess: Preprocess | Callable[..., Preprocess] = IMAGENET_224,
    classes: int = 1000,
    listed: bool = True,
) -> Callable[[Builder], Builder]:
    """Register the decorated `build(classes, in_channels, **arguments)` as `name`; a name is taken only once.

    `preprocess` and `classes` are those of the data it was designed for; `describe` counts parameters with them. One
    that is not `listed` is nothing without its arguments, and found by its name only.
    """

    def add(build: Builder) -> Builder:
        if name in _ENTRIES:
            raise InputError(f"a network called {name!r} is already registered; choose another name")
        _ENTRIES[name] = Entry(
            name=name, title=title, paper=paper, build=build, preprocess=preprocess, classes=classes, listed=listed
        )
        return build

    return add


def entry(name: str) -> Entry:
    """Return the entry called `name`, or of the network in the file `name`.toml; raise `UnknownName` with the nearest.

    Raises `InputError` with the line of what is wrong in such a file.
    """
    if str(name).endswith(".toml"):
        return _entry_in(name)
    if name not in _ENTRIES:
        hint = "see `glassnet networks`, or name a .toml file that describes one"
        raise UnknownName("network", name, names(), hint=hint)
    return _ENTRIES[name]


def _entry_in(path: str) -> Entry:
    """Return an entry for the network that the file at `path` describes."""
    architecture, arguments = resolve(path)
    found, description = _ENTRIES[architecture], arguments["description"]

    def build(classes: int, in_channels: int) -> Classifier:
        return found.build(classes, in_channels, **arguments)

    return dataclasses.replace(
        found,
        name=path,
        title=str(description["name"]),
        paper=f"described in {path}",
        build=build,
        preprocess=default_preprocess(architecture, **arguments),
    )


def resolve(network: str, arguments: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    """Return the architecture and arguments that a registered name or a description's .toml path mean.

    They are plain data for the card, and `create(architecture, **arguments)` builds the network without the file.
    Raises `InputError` for arguments beside a description, which holds all it needs, and for what is wrong in it.
    """
    network, given = str(network), dict(arguments or {})
    if not network.endswith(".toml"):
        return network, given
    from glassnet.models.described import ARCHITECTURE, read  # it registers itself here, so it cannot come first

    if given:
        raise InputError(
            f"{network} takes no arguments ({', '.join(given)}): what it is stands in the file; change that"
        )
    return ARCHITECTURE, {"description": read(network)}


def names(pattern: str | None = None) -> list[str]:
    """Return the registered names, sorted; `pattern` keeps those that contain it or match it as a wildcard."""
    wildcard = pattern if pattern and any(mark in pattern for mark in "*?[") else f"*{pattern or ''}*"
    listed = (name for name, found in _ENTRIES.items() if found.listed)
    return sorted(name for name in listed if fnmatch.fnmatchcase(name, wildcard.lower()))


def create(name: str, *, classes: int = 1000, in_channels: int | None = None, **arguments: Any) -> Classifier:
    """Build the network `name`, or the one that the file `name`.toml describes, its weights a function of torch's seed.

    in_channels: None is 3 for a registered network, and what a description says.
    Raises `UnknownName` for the name and `InputError` for an argument it does not take.
    """
    found = entry(name)
    _check_arguments(found, arguments)
    in_channels = 3 if in_channels is None and found.listed else in_channels
    preprocess = _preprocess_of(found, in_channels, arguments)
    _positive("classes", classes)
    try:
        network = found.build(classes, preprocess.channels, **arguments)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError) or not arguments:
            raise
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise InputError(f"{name} cannot be built with {given}: {error}") from error
    network.input_size = (preprocess.channels, preprocess.height, preprocess.width)
    return network


def default_preprocess(name: str, *, in_channels: int | None = None, **arguments: Any) -> Preprocess:
    """Return the preprocess the network `name` was designed for, at its own or another number of channels."""
    found = entry(name)
    _check_arguments(found, arguments)
    return _preprocess_of(found, in_channels, arguments)


def _preprocess_of(found: Entry, in_channels: int | None, arguments: Mapping[str, Any]) -> Preprocess:
    preprocess = found.preprocess if isinstance(found.preprocess, Preprocess) else found.preprocess(**arguments)
    return preprocess if in_channels is None else with_channels(preprocess, in_channels)


def with_channels(preprocess: Preprocess, channels: int) -> Preprocess:
    """Return `preprocess` for pictures of `channels`; each new one has the old ones' average mean and std."""
    if _positive("in_channels", channels) == preprocess.channels:
        return preprocess
    mean = sum(preprocess.mean) / len(preprocess.mean)
    std = sum(preprocess.std) / len(preprocess.std)
    return dataclasses.replace(preprocess, channels=channels, mean=(mean,) * channels, std=(std,) * channels)


def describe(name: str) -> Description:
    """Return what is known of the network `name`; its parameters are counted without allocating any."""
    found = entry(name)
    preprocess = default_preprocess(name)
    with shapes_only():
        network = create(name, in_channels=preprocess.channels, classes=found.classes)
    return Description(
        name=name,
        title=found.title,
        paper=found.paper,
        input_size=network.input_size,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        preprocess=preprocess,
        arguments=found.arguments,
    )


def _check_arguments(found: Entry, arguments: Mapping[str, Any]) -> None:
    known = found.arguments
    for name in arguments:
        if name not in known:
            near = nearest(name, known)
            choices = f"it takes: {', '.join(known)}" if known else "it takes none"
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{found.name} takes no argument {name!r}; {choices}{hint}")
    for name, value in arguments.items():
        expected = _expected(known[name], value)
        if expected:
            raise InputError(f"{found.name}'s {name} is {value!r}; expected {expected}")


def _expected(default: Any, value: Any) -> str:
    """Say what is expected where `value` is of another kind than `default`; "" where it will do.

    Without this, the word "False" would count as true.
    """
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, int | float):
        return "" if isinstance(value, int | float) and not isinstance(value, bool) else "a number"
    return "a word" if isinstance(default, str) and not isinstance(value, str) else ""


def _positive(what: str, value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{what} is {value!r}; expected a whole number of at least 1")
    return value
