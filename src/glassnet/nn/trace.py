"""The trace: a network as a graph of layers, each with shapes, parameters, multiply-adds and receptive field.

torch.fx writes down the graph, and one pass on the meta device (shapes without numbers) measures it; no weight is
copied and no picture computed, so even VGG is traced in a moment.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.fx
from torch import Tensor, nn

from glassnet.errors import InputError
from glassnet.nn.arithmetic import ReceptiveField, same_padding
from glassnet.nn.fuse import layer_graph
from glassnet.nn.layers import Conv2dSame

Shape = tuple[int, ...]
Fields = tuple[ReceptiveField, ReceptiveField]


@dataclass(frozen=True)
class Layer:
    """One layer of a trace. Shapes are of one picture, without the batch: (C, H, W) or (D,).

    `name` is the module's path, or the operation's name in the graph; `kind` the class or function; `inputs` the names
    of the layers it reads ("input" for the pictures). `parameters` are counted where a layer is first used.
    `receptive_field` is (height, width) in pixels of the input, also where it exceeds the picture, and `stride` the
    pixels between neighbouring outputs.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    input_shape: Shape
    output_shape: Shape
    parameters: int
    multiply_adds: int
    receptive_field: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True)
class Trace:
    """A network's layers in the order they are computed, for one picture of `input_shape` (C, H, W)."""

    input_shape: Shape
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        """Trained numbers in all layers, frozen ones included."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Weight multiplications of all convolutions and dense layers, for one picture."""
        return sum(layer.multiply_adds for layer in self.layers)

    def __iter__(self) -> Iterator[Layer]:
        """Go through the layers."""
        return iter(self.layers)

    def __getitem__(self, name: str) -> Layer:
        """Return the layer called `name`; KeyError where there is none."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    def table(self) -> list[dict[str, str]]:
        """Return one row of text per layer: layer, kind, output, parameters, multiply-adds, receptive field."""
        return [
            {
                "layer": layer.name,
                "kind": layer.kind,
                "output": "x".join(map(str, layer.output_shape)),
                "parameters": f"{layer.parameters:,}",
                "multiply-adds": f"{layer.multiply_adds:,}",
                "receptive field": "x".join(map(str, layer.receptive_field)),
            }
            for layer in self.layers
        ]


def trace(module: nn.Module, input_shape: Shape) -> Trace:
    """Return the trace of `module` for one picture of `input_shape` (C, H, W); `module` is untouched.

    Raises `InputError` where the module cannot take that shape.
    """
    graph_module = layer_graph(_on_meta(module).eval())
    walk = _Walk(graph_module)
    try:
        walk.run(torch.empty(1, *input_shape, device="meta"))
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{type(module).__name__} cannot take a picture of {input_shape} (channels, height, width): {error}"
        ) from error
    return Trace(input_shape, tuple(walk.layers))


def _on_meta(module: nn.Module) -> nn.Module:
    """Return a copy of `module` whose tensors have shapes but no memory."""
    stand_ins: dict[int, Any] = {id(p): nn.Parameter(p.to("meta"), p.requires_grad) for p in module.parameters()}
    stand_ins |= {id(buffer): buffer.to("meta") for buffer in module.buffers()}
    return copy.deepcopy(module, stand_ins)


class _Walk(torch.fx.Interpreter):
    """Runs the graph once and writes down a `Layer` for every node that computes something."""

    def __init__(self, graph_module: torch.fx.GraphModule) -> None:
        super().__init__(graph_module)
        self.layers: list[Layer] = []
        self._shapes: dict[torch.fx.Node, Shape] = {}
        self._fields: dict[torch.fx.Node, Fields] = {}
        self._counted: set[int] = set()

    def run_node(self, n: torch.fx.Node) -> Any:
        """Compute node `n` and record it."""
        result = super().run_node(n)
        if isinstance(result, Tensor) and n.op != "output":
            self._shapes[n] = tuple(result.shape[1:])
            self._fields[n] = self._field(n)
            if n.op not in ("placeholder", "get_attr"):
                self.layers.append(self._layer(n))
        return result

    def _layer(self, node: torch.fx.Node) -> Layer:
        sources = self._sources(node)
        called = self.fetch_attr(str(node.target)) if node.op == "call_module" else None
        fields = self._fields[node]
        return Layer(
            name=str(node.target) if called is not None else node.name,
            kind=type(called).__name__ if called is not None else getattr(node.target, "__name__", str(node.target)),
            inputs=tuple("input" if source.op == "placeholder" else _name(source) for source in sources),
            input_shape=self._shapes[sources[0]] if sources else (),
            output_shape=self._shapes[node],
            parameters=self._count(called),
            multiply_adds=_multiply_adds(called, self._shapes[node]),
            receptive_field=(fields[0].size, fields[1].size),
            stride=(fields[0].jump, fields[1].jump),
        )

    def _sources(self, node: torch.fx.Node) -> list[torch.fx.Node]:
        return [source for source in node.all_input_nodes if source in self._shapes]

    def _count(self, called: Any) -> int:
        """Count the parameters of a module that were not counted before."""
        if not isinstance(called, nn.Module):
            return 0
        fresh = [parameter for parameter in called.parameters() if id(parameter) not in self._counted]
        self._counted.update(map(id, fresh))
        return sum(parameter.numel() for parameter in fresh)

    def _field(self, node: torch.fx.Node) -> Fields:
        """Return the receptive field (height, width) of `node`'s output."""
        sources = self._sources(node)
        if not sources:
            return ReceptiveField(), ReceptiveField()
        called = self.fetch_attr(str(node.target)) if node.op == "call_module" else None
        before, after = self._shapes[sources[0]], self._shapes[node]
        axes = []
        for axis in (0, 1):
            field = self._fields[sources[0]][axis]
            for source in sources[1:]:
                field = field.join(self._fields[source][axis])
            axes.append(_through(called, field, axis, before, after))
        return axes[0], axes[1]


def _name(node: torch.fx.Node) -> str:
    return str(node.target) if node.op == "call_module" else node.name


def _through(called: Any, field: ReceptiveField, axis: int, before: Shape, after: Shape) -> ReceptiveField:
    """Return `field` after a layer: its window's, or the whole map's where the layer leaves no positions."""
    if isinstance(called, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        kernel, stride, padding, dilation = (_of_axis(called, name, axis) for name in _WINDOW)
        if isinstance(called, Conv2dSame):
            padding = same_padding(before[axis + 1], kernel, stride, dilation)[0]
        return field.through(kernel, stride, padding, dilation)
    if len(before) == 3 and len(after) == 1:  # flattened or pooled over all positions
        return field.through(before[axis + 1], stride=before[axis + 1])
    if isinstance(called, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d) and before != after:
        size, out = before[axis + 1], after[axis + 1]
        return field.through(max(1, -(-size // out)), max(1, size // out))
    return field


_WINDOW = ("kernel_size", "stride", "padding", "dilation")


def _of_axis(layer: nn.Module, name: str, axis: int) -> int:
    value = getattr(layer, name, 1)  # AvgPool2d has no dilation
    if name == "padding" and isinstance(value, str):  # torch takes these words at stride 1 only
        reach = _of_axis(layer, "dilation", axis) * (_of_axis(layer, "kernel_size", axis) - 1)
        return reach // 2 if value == "same" else 0
    return int(value[axis] if isinstance(value, tuple) else value)


def _multiply_adds(called: Any, output: Shape) -> int:
    """Weight multiplications of a layer whose output, for one picture, has shape `output`.

    A layer of ours that is neither torch's convolution nor its dense layer counts them itself.
    """
    if (own := getattr(called, "multiply_adds", None)) is not None:
        return int(own(output))
    if isinstance(called, nn.Conv2d):
        return called.weight.numel() * math.prod(output[1:])
    if isinstance(called, nn.Linear):
        return called.weight.numel() * math.prod(output[:-1])
    return 0
