"""A classifier turned into one that slides over larger pictures: its dense layers become the convolutions they are.

A dense layer that reads a flattened C x h x w map is a convolution with h x w filters that happens to fit only once;
behind it every dense layer is a 1x1 convolution. On a larger picture the filters fit more often and the answer is a
map of scores, for about the price of one pass (Sermanet et al. 2013, OverFeat, arXiv:1312.6229; Long et al. 2014,
Fully convolutional networks, arXiv:1411.4038).
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
import torch.fx
from torch import nn

from glassnet.errors import InputError
from glassnet.nn.layers import GlobalAveragePool, GlobalMaxPool
from glassnet.nn.layers.activations import ScaledTanh
from glassnet.nn.regularise import ActivityPenalty
from glassnet.nn.trace import graph_of, on_meta, walk
from glassnet.nn.trace.nodes import function_of

Shape = tuple[int, ...]

_ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign),
    *(nn.Sigmoid, nn.Hardsigmoid, nn.Hardswish, nn.Tanh, ScaledTanh),
)
_VALUE_BY_VALUE = (*_ACTIVATIONS, nn.Identity, nn.Dropout, ActivityPenalty)
_FUNCTIONS = {"relu", "relu6", "sigmoid", "tanh", "silu", "gelu", "dropout", "add", "mul", "cat"}
_FLATTENING = {"flatten", "view", "reshape"}


def to_fully_convolutional(network: nn.Module, input_size: Shape | None = None) -> torch.fx.GraphModule:
    """Return `network` as a fully convolutional network for evaluation: (N, C, H, W) -> scores (N, K, H', W').

    Weights are copied and `network` is untouched. `input_size`, (C, H, W), is the one it was trained with (by default
    `network.input_size`); there the map has one position and its scores are the logits. On larger pictures each
    position is the network's answer about one window of the trained size, the windows as far apart as the strides
    before the head; exactly so without padding, while with padding the window sees its surroundings where the trained
    network saw zeros. Global poolings become a pooling over a window of the trained size.

    Raises `InputError` where a layer of the head has no convolutional form.
    """
    size: Any = input_size if input_size is not None else getattr(network, "input_size", None)
    if size is None:
        raise InputError(
            f"{type(network).__name__} does not say the size it was trained with; give input_size=(C, H, W)"
        )
    name = type(network).__name__
    graph_module = graph_of(copy.deepcopy(network).eval())
    measured = walk(on_graph_meta(graph_module), tuple(size), name)
    shapes = {node.name: measured.shape(node) for node in measured.results}
    _Conversion(graph_module, shapes, name).run()
    graph_module.input_size = tuple(size)  # type: ignore[assignment]  # torch types attributes as tensors and modules
    return graph_module


def on_graph_meta(graph_module: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """Return a copy of a graph whose tensors are on the meta device."""
    moved = on_meta(graph_module)
    assert isinstance(moved, torch.fx.GraphModule)
    return moved


class _Conversion:
    """Goes through a graph in order and rewrites what stands behind the last map.

    A node is in one of three states: a `map` as it was; `waiting`, a map where the network had it flattened, for the
    dense layer to say which filters; `pooled`, a map with one position at the trained size.
    """

    def __init__(self, graph_module: torch.fx.GraphModule, shapes: dict[str, Shape], name: str) -> None:
        self.graph_module, self.graph = graph_module, graph_module.graph
        self.shapes, self.name = shapes, name
        self.waiting: dict[torch.fx.Node, Shape] = {}
        self.pooled: set[torch.fx.Node] = set()

    def run(self) -> None:
        """Rewrite the graph; raise `InputError` where that is impossible."""
        for node in list(self.graph.nodes):
            if node.op == "output":
                self._finish(node)
            elif node.name in self.shapes and node.op != "placeholder":
                self._node(node)
        self.graph.eliminate_dead_code()
        self.graph_module.delete_all_unused_submodules()
        self.graph_module.recompile()

    def _node(self, node: torch.fx.Node) -> None:
        sources = [source for source in node.all_input_nodes if self._known(source)]
        layer = self.graph_module.get_submodule(str(node.target)) if node.op == "call_module" else None
        source = sources[0]
        if self._on_maps_only(node, layer, sources):
            return
        if self._rewrites(node, layer, source):
            return
        slides = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and source not in self.waiting
        if slides or isinstance(layer, _VALUE_BY_VALUE) or (layer is None and function_of(node) in _FUNCTIONS):
            self._keep(node, sources)
        else:
            self._refuse(node, layer, "has no form that slides over a map")

    def _known(self, node: torch.fx.Node) -> bool:
        return node.name in self.shapes or node in self.pooled or node in self.waiting

    def _on_maps_only(self, node: torch.fx.Node, layer: nn.Module | None, sources: list[torch.fx.Node]) -> bool:
        """Tell whether a layer takes maps and gives a map of more than one position, so that it slides already."""
        if any(source in self.pooled or source in self.waiting for source in sources):
            return False
        shape, before = self.shapes[node.name], self._shape(sources[0])
        if isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            return False
        if isinstance(layer, GlobalAveragePool | GlobalMaxPool) or (layer is None and _reduces(node)):
            return False
        if len(before) < 3 and isinstance(layer, nn.Linear):
            self._refuse(node, layer, "reads a vector that does not come from a map")
        return len(shape) == 3

    def _shape(self, node: torch.fx.Node) -> Shape:
        return self.shapes[node.name]

    def _rewrites(self, node: torch.fx.Node, layer: nn.Module | None, source: torch.fx.Node) -> bool:
        """Replace a pooling over all positions, a flattening, a dense layer or its batch norm."""
        before = self.waiting.get(source) or self._shape(source)
        if isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            self._adaptive(node, layer, source, before)
        elif isinstance(layer, GlobalAveragePool) or (layer is None and function_of(node) == "mean"):
            self._pool(node, layer, source, before, nn.AvgPool2d)
        elif isinstance(layer, GlobalMaxPool) or (layer is None and function_of(node) in ("amax", "max")):
            self._pool(node, layer, source, before, nn.MaxPool2d)
        elif isinstance(layer, nn.Flatten) or (layer is None and function_of(node) in _FLATTENING):
            self._flatten(node, layer, source, before)
        elif isinstance(layer, nn.Linear):
            self._dense(node, layer, source)
        elif isinstance(layer, nn.BatchNorm1d) and source not in self.waiting:
            self._replace(node, source, _batch_norm(layer))
        else:
            return False
        return True

    def _adaptive(self, node: torch.fx.Node, layer: Any, source: torch.fx.Node, before: Shape) -> None:
        """An adaptive pool of windows alike is a pool that slides; where it changes nothing it is nothing."""
        _, *sides = before
        _, *outs = self._shape(node)
        if any(side % out for side, out in zip(sides, outs, strict=True)):
            self._refuse(node, layer, f"pools {_by(sides)} to {_by(outs)}, in windows of different sizes")
        window = sides[0] // outs[0], sides[1] // outs[1]
        one = math.prod(outs) == 1
        kind = nn.AvgPool2d if isinstance(layer, nn.AdaptiveAvgPool2d) else nn.MaxPool2d
        if window == (1, 1):
            node.replace_all_uses_with(source)
            self.graph.erase_node(node)
            return
        made = self._replace(node, source, kind(window, stride=1 if one else window))
        if not one:  # still a map, of as many positions as before
            self.pooled.discard(made)
            self.shapes[made.name] = (before[0], *outs)

    def _pool(
        self, node: torch.fx.Node, layer: nn.Module | None, source: torch.fx.Node, before: Shape, kind: Any
    ) -> None:
        if len(before) != 3 or math.prod(self._shape(node)) != before[0]:
            self._refuse(node, layer, "does not pool each channel over all positions")
        self._replace(node, source, kind(before[1:], stride=1))

    def _flatten(self, node: torch.fx.Node, layer: nn.Module | None, source: torch.fx.Node, before: Shape) -> None:
        if self._shape(node) != (math.prod(before),):
            self._refuse(node, layer, f"makes {_by(self._shape(node))} of {_by(before)}, which is no flattening")
        if source not in self.pooled:
            self.waiting[source] = before
        node.replace_all_uses_with(source)
        self.graph.erase_node(node)

    def _dense(self, node: torch.fx.Node, layer: nn.Linear, source: torch.fx.Node) -> None:
        channels, *window = self.waiting.get(source, (layer.in_features, 1, 1))
        if layer.in_features != channels * math.prod(window):
            self._refuse(
                node, layer, f"reads {layer.in_features} numbers, not a flattened {channels}x{_by(window)} map"
            )
        sides = (window[0], window[1])
        conv = nn.Conv2d(channels, layer.out_features, sides, bias=layer.bias is not None, device="meta")
        conv.weight = nn.Parameter(layer.weight.detach().reshape(-1, channels, *window).clone())
        conv.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())
        self._replace(node, source, conv)

    def _keep(self, node: torch.fx.Node, sources: list[torch.fx.Node]) -> None:
        """A layer that works value by value goes on as it is, in the state of what it reads."""
        states = {source in self.pooled for source in sources}
        if len(states) > 1:
            self._refuse(node, None, "joins a pooled value with a map: on a larger picture there would be many of them")
        waits = [self.waiting[source] for source in sources if source in self.waiting]
        if waits:
            self.waiting[node] = waits[0]
        elif True in states:
            self.pooled.add(node)

    def _replace(self, node: torch.fx.Node, source: torch.fx.Node, layer: nn.Module) -> torch.fx.Node:
        """Put `layer` in place of a node; it gives one position at the trained size."""
        name = str(node.target).replace(".", "_") if node.op == "call_module" else node.name
        while hasattr(self.graph_module, name):
            name += "_slides"
        self.graph_module.add_submodule(name, layer.train(self.graph_module.training))
        with self.graph.inserting_before(node):
            made = self.graph.call_module(name, (source,))
        node.replace_all_uses_with(made)
        self.graph.erase_node(node)
        self.pooled.add(made)
        self.shapes[made.name] = self.shapes[node.name]
        return made

    def _finish(self, node: torch.fx.Node) -> None:
        for source in node.all_input_nodes:
            if source in self.waiting:
                raise InputError(
                    f"{self.name} ends in a flattened map that no dense layer reads; there are no scores to map"
                )

    def _refuse(self, node: torch.fx.Node, layer: nn.Module | None, why: str) -> None:
        kind = type(layer).__name__ if layer is not None else function_of(node)
        name = str(node.target) if node.op == "call_module" else node.name
        raise InputError(f"{self.name} cannot be made fully convolutional: layer {name!r} ({kind}) {why}")


def _batch_norm(norm: nn.BatchNorm1d) -> nn.BatchNorm2d:
    """The same norm for maps: same statistics, same weights."""
    made = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    made.load_state_dict(norm.state_dict())
    return made if norm.weight is None else made.to(norm.weight.device, norm.weight.dtype)


def _reduces(node: torch.fx.Node) -> bool:
    return function_of(node) in ("mean", "amax", "max")


def _by(sides: Any) -> str:
    return "x".join(map(str, sides))
