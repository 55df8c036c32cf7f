"""What a network is and what it costs, found without computing a picture: the trace, the memory, the alternatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from glassnet.errors import InputError
from glassnet.models import registry
from glassnet.models.network import load_network
from glassnet.nn.shapes import shapes_only
from glassnet.nn.trace import Layer, Trace, trace
from glassnet.nn.trace.alternatives import Alternative, alternatives, sentences
from glassnet.nn.trace.memory import Memory, memory_of_network


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network to look at: what it is called, the module, and the (C, H, W) it was designed for."""

    name: str
    title: str
    module: nn.Module
    input_shape: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A network looked at with pictures of one size."""

    name: str
    title: str
    trace: Trace
    memory: Memory
    alternatives: list[Alternative]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data; sizes in bytes, counts for one picture."""
        return {
            "network": self.name,
            "title": self.title,
            "input_shape": list(self.trace.input_shape),
            "parameters": self.trace.parameters,
            "multiply_adds": self.trace.multiply_adds,
            "memory": self.memory.to_dict(),
            "layers": [_layer(layer) for layer in self.trace],
            "alternatives": [vars(one) | {"layers": list(one.layers)} for one in self.alternatives],
            "sentences": sentences(self.alternatives),
        }


def inspect_network(
    target: str | Path,
    *,
    size: tuple[int, int] | None = None,
    arguments: Mapping[str, Any] | None = None,
    batch_size: int = 32,
) -> Inspection:
    """Return what `target` (see `find_subject`) costs for pictures of `size`, (height, width), or of its own size.

    Memory for training is for batches of `batch_size` pictures and SGD with momentum. Raises `InputError` where the
    pictures are too small for the network, or the batch for its batch norms.
    """
    return inspect_subject(find_subject(target, arguments or {}), size=size, batch_size=batch_size)


def inspect_subject(subject: Subject, *, size: tuple[int, int] | None = None, batch_size: int = 32) -> Inspection:
    """Return what a module costs, as `inspect_network` does."""
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; expected at least 1")
    channels, height, width = subject.input_shape
    traced = trace(subject.module, (channels, *(size or (height, width))))
    return Inspection(
        name=subject.name,
        title=subject.title,
        trace=traced,
        memory=memory_of_network(subject.module, traced, batch_size=batch_size),
        alternatives=alternatives(traced),
    )


def find_subject(target: str | Path, arguments: Mapping[str, Any]) -> Subject:
    """Return the network that `target` means: a name with `arguments`, a .toml description, a run folder, or a file.

    `arguments` are those of `create`: the network's own, `classes` and `in_channels`. A registered network is built
    without weights. Raises `UnknownName`, `NetworkFileError`, or `InputError` for arguments beside a file.
    """
    path = Path(target)
    if (str(target) not in registry.names() and path.suffix != ".toml") or path.is_dir():
        network = load_network(path)
        if arguments:
            raise InputError(f"{str(target)!r} is a file that says how it was built; arguments are for names")
        title = registry.entry(network.card.architecture).title
        return Subject(name=str(target), title=title, module=network.module, input_shape=network.module.input_size)
    name, given = str(target), dict(arguments)
    entry = registry.entry(name)
    classes = given.pop("classes", entry.classes)
    own = {key: value for key, value in given.items() if key != "in_channels"}
    in_channels = given.get("in_channels", registry.default_preprocess(name, **own).channels)
    with shapes_only():
        module = registry.create(name, classes=classes, in_channels=in_channels, **own)
    return Subject(name=name, title=entry.title, module=module, input_shape=module.input_size)


def _layer(layer: Layer) -> dict[str, Any]:
    """Return a layer as plain data."""
    return {
        "name": layer.name,
        "kind": layer.kind,
        "setting": layer.setting,
        "inputs": list(layer.inputs),
        "output_shape": list(layer.output_shape),
        "parameters": layer.parameters,
        "multiply_adds": layer.multiply_adds,
        "memory": layer.memory,
        "receptive_field": list(layer.receptive_field),
        "stride": list(layer.stride),
        "start": list(layer.start),
    }
