"""The trace: a network as a graph of layers, each with shapes, parameters, multiply-adds and receptive field.

torch.fx writes down the graph, and one pass on the meta device (shapes without numbers) measures it; no weight is
copied and no picture computed, so even VGG is traced in a moment.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.fx
from torch import Tensor, nn

from glassnet.errors import InputError
from glassnet.nn.fuse import layer_graph
from glassnet.nn.shapes import ShapeRules
from glassnet.nn.trace.costs import multiply_adds
from glassnet.nn.trace.fields import AT_THE_PICTURE, Call, Fields, fields_of, positions
from glassnet.nn.trace.nodes import all_reads, constants, function_of, memory_of, peak_memory, sources_of, weights_of
from glassnet.nn.trace.windows import Window, window_of, window_of_call
from glassnet.nn.trace.words import setting_of, setting_of_call

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One layer of a trace. Shapes are of one picture, without the batch: (C, H, W) or (D,).

    `name` is the module's path, or that of the module that calls the function, and the function; `kind` the class or
    function; `setting` what it is set to, in words. `inputs` names the layers it reads ("input" for the pictures),
    `reads` gives their places in the trace (-1 for the pictures). `parameters` are counted where they are first used.
    `memory` is what its output takes, in bytes, and 0 where it overwrites its input or only looks at it in another
    shape. `receptive_field` is (height, width) in pixels of the input, also where it exceeds the picture, `stride` the
    pixels between the windows of neighbouring outputs, `start` the pixel (row, column) at the centre of the first one.
    `window` is what it slides over the map, in `groups` of channels, where it does.
    """

    name: str
    kind: str
    setting: str
    inputs: tuple[str, ...]
    reads: tuple[int, ...]
    input_shape: Shape
    output_shape: Shape
    parameters: int
    multiply_adds: int
    memory: int
    receptive_field: tuple[int, int]
    stride: tuple[float, float]
    start: tuple[float, float]
    window: Window | None
    groups: int


@dataclass(frozen=True)
class Trace:
    """A network's layers in the order they are computed, for one picture of `input_shape` (C, H, W).

    `peak_memory` is the most that pictures and outputs take at one time, in bytes, where each is let go after its last
    use: what inference needs beside the weights.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]
    peak_memory: int

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

    Raises `InputError` where the module cannot take that shape, naming the layer that cannot, and where its forward
    decides by what the pictures hold, so that it is not one graph.
    """
    return walk(graph_of(on_meta(module).eval()), input_shape, type(module).__name__).trace


def graph_of(module: nn.Module) -> torch.fx.GraphModule:
    """Return `layer_graph(module)`; raise `InputError` for a module that is not one fixed graph."""
    try:
        return layer_graph(module)
    except (torch.fx.proxy.TraceError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{type(module).__name__} cannot be traced: its forward decides by the size or the values of what passes "
            f"through it ({_first_line(error)}); make the decision in __init__, or in a layer listed in LEAVES"
        ) from error


def walk(graph_module: torch.fx.GraphModule, input_shape: Shape, name: str) -> Walk:
    """Measure `graph_module`, whose tensors are on the meta device; `name` is what errors call it."""
    measured = Walk(graph_module, input_shape)
    try:
        with ShapeRules():
            measured.run(torch.empty(1, *input_shape, device="meta"))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise InputError(
            f"{name} cannot take a picture of {input_shape} (channels, height, width): {measured.complaint(error)}"
        ) from error
    return measured


def on_meta(module: nn.Module) -> nn.Module:
    """Return a copy of `module` whose tensors have shapes but no memory."""
    stand_ins: dict[int, Any] = {id(p): nn.Parameter(p.to("meta"), p.requires_grad) for p in module.parameters()}
    stand_ins |= {id(buffer): buffer.to("meta") for buffer in module.buffers()}
    return copy.deepcopy(module, stand_ins)


class Walk(torch.fx.Interpreter):
    """Runs a graph once and writes down a `Layer` for every node that computes something from the pictures."""

    def __init__(self, graph_module: torch.fx.GraphModule, input_shape: Shape) -> None:
        super().__init__(graph_module, garbage_collect_values=False)  # memory is told apart by where it lies
        self.extra_traceback = False
        self.input_shape = input_shape
        self.layers: list[Layer] = []
        self.nodes: list[torch.fx.Node] = []  # the layers' nodes
        self.results: dict[torch.fx.Node, Tensor] = {}  # of the pictures and of every layer
        self._fields: dict[torch.fx.Node, Fields] = {}
        self._counted: set[int] = set()
        self._names: Counter[str] = Counter()
        self._at: torch.fx.Node | None = None

    @property
    def trace(self) -> Trace:
        """What was written down."""
        return Trace(self.input_shape, tuple(self.layers), peak_memory(self.results))

    def shape(self, node: torch.fx.Node) -> Shape:
        """Return the shape of a layer's output, for one picture."""
        return tuple(self.results[node].shape[1:])

    def sources(self, node: torch.fx.Node) -> list[torch.fx.Node]:
        """Return the layers and pictures that `node` reads."""
        return sources_of(node, self.results)

    def run_node(self, n: torch.fx.Node) -> Any:
        """Compute node `n` and record it."""
        self._at = n
        if n.op not in ("call_module", "call_function", "call_method"):
            result = super().run_node(n)
            if n.op == "placeholder":
                self.results[n], self._fields[n] = result, AT_THE_PICTURE
            return result
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        called = self._module(n)
        window = window_of(called) if called is not None else window_of_call(function_of(n), args, kwargs)
        sources = self.sources(n)
        if window is not None and sources:
            _check_fit(window, self.shape(sources[0]))
        result = super().run_node(n)
        if isinstance(result, Tensor) and sources:  # else a size, a tuple or a constant: its readers see through it
            self.results[n] = result
            self._record(n, called, window, args, sources)
        return result

    def _record(
        self,
        node: torch.fx.Node,
        called: nn.Module | None,
        window: Window | None,
        args: tuple[Any, ...],
        sources: list[torch.fx.Node],
    ) -> None:
        function = "" if called is not None else function_of(node)
        shapes, output = [self.shape(source) for source in sources], self.shape(node)
        read = [(self._fields[source], shape) for source, shape in zip(sources, shapes, strict=True)]
        height, width = fields_of(Call(called, function, args, window, read, output))
        self._fields[node] = height, width
        places = tuple(self.nodes.index(source) if source in self.nodes else -1 for source in sources)
        self.layers.append(
            Layer(
                name=self._name(node),
                kind=type(called).__name__ if called is not None else function,
                setting=self._setting(node, called, window, args),
                inputs=tuple("input" if place < 0 else self.layers[place].name for place in places),
                reads=places,
                input_shape=shapes[0],
                output_shape=output,
                parameters=self._count(node),
                multiply_adds=multiply_adds(called, function, args, output, lambda: super(Walk, self).run_node(node)),
                memory=self._new_bytes(node, sources),
                receptive_field=(height.size, width.size),
                stride=(height.jump, width.jump),
                start=(height.start, width.start),
                window=window,
                groups=int(getattr(called, "groups", 1)),
            )
        )
        self.nodes.append(node)

    def _module(self, node: torch.fx.Node) -> nn.Module | None:
        return self.fetch_attr(str(node.target)) if node.op == "call_module" else None

    def _setting(
        self, node: torch.fx.Node, called: nn.Module | None, window: Window | None, args: tuple[Any, ...]
    ) -> str:
        if called is not None:
            return setting_of(called)
        # A map may be joined with itself, so these are all that it reads, not each once.
        channels = [self.shape(source)[0] for source in all_reads(node) if source in self.results]
        return setting_of_call(function_of(node), window, channels, self.shape(node)[0], args)

    def _name(self, node: torch.fx.Node) -> str:
        """Return a module's path; for a function that of the module that calls it, and which call of it this is."""
        if node.op == "call_module":
            return str(node.target)
        scope = next(reversed(node.meta.get("nn_module_stack", {})), "")
        name = f"{scope}.{function_of(node)}" if scope else function_of(node)
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}_{self._names[name]}"

    def _count(self, node: torch.fx.Node) -> int:
        """Count the parameters that `node` reads, its module's or by name, and that were not counted before."""
        parameters = [
            weight for each in [node, *constants(node, self.results)] for weight in weights_of(self._fetch(each))
        ]
        fresh = {id(weight): weight.numel() for weight in parameters if id(weight) not in self._counted}
        self._counted.update(fresh)
        return sum(fresh.values())

    def _fetch(self, node: torch.fx.Node) -> Any:
        return self.fetch_attr(str(node.target)) if node.op in ("call_module", "get_attr") else None

    def _new_bytes(self, node: torch.fx.Node, sources: list[torch.fx.Node]) -> int:
        mine = memory_of(self.results[node])
        return 0 if mine in [memory_of(self.results[source]) for source in sources] else mine[1]

    def complaint(self, error: Exception) -> str:
        """Return what went wrong at the node that is being computed: its name, its setting, the size it was given."""
        node = self._at
        if node is None or node.op == "placeholder" or not self.sources(node):
            return _first_line(error)
        called, shape = self._module(node), self.shape(self.sources(node)[0])
        kind = type(called).__name__ if called is not None else "a function"
        setting = setting_of(called) if called is not None else ""
        reason = _mismatch(called, shape) or _first_line(error)
        return (
            f"layer {self._name(node)!r} ({', '.join(filter(None, (kind, setting)))}) is given "
            f"{' x '.join(map(str, shape))}, and {reason}"
        )


def _check_fit(window: Window, shape: Shape) -> None:
    """Raise `InputError` where `window` does not fit a map of `shape`."""
    for axis in (0, 1):
        if size := positions(shape, axis):
            window.output_size(size, axis)


def _mismatch(called: nn.Module | None, shape: Shape) -> str:
    """Say which number a layer wants instead of the one it was given; empty where that is not what went wrong."""
    if isinstance(called, nn.Conv2d) and shape[0] != called.in_channels:
        return f"reads {called.in_channels} channels, not {shape[0]}"
    if isinstance(called, nn.Linear) and shape[-1] != called.in_features:
        return f"reads {called.in_features:,} numbers, not {shape[-1]:,}"
    return ""


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
