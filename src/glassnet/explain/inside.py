"""A network opened: its layers as one graph that is played node by node, so that any output can be kept or replaced.

No hooks: the graph is a copy whose layers share the network's weights, so the network itself (weights, mode, hooks,
gradients, random state) cannot change, and a layer that is called twice or writes over its input is seen rightly.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.fx
from torch import Tensor, nn

from glassnet.errors import InputError, UnknownName
from glassnet.models.network import Network
from glassnet.nn.device import pick_device, reuse_memory
from glassnet.nn.fuse import fold_nodes, rectify_in_place
from glassnet.nn.trace import Layer, Shape, Trace, graph_of, on_meta, walk
from glassnet.nn.trace.nodes import function_of

Call = Callable[..., Any]
Rule = Callable[[nn.Module | None, str, Call], Call]
"""How a node is computed: (its module or None, its function's name or its module's path, its call) -> its new call."""

_OUT_OF_PLACE: dict[Any, Call] = {operator.iadd: operator.add, operator.imul: operator.mul, operator.isub: operator.sub}


@dataclass
class Playing:
    """What a forward pass left: the logits (N, K), or None where it stopped earlier, and the outputs that were kept."""

    logits: Tensor | None
    kept: dict[str, Tensor] = field(default_factory=dict)


class Inside:
    """A module as a graph of layers called by the trace's names, in evaluation mode, for pictures of one size.

    `trace` measures it for `input_shape` (C, H, W). Weights need no gradient here, whatever they need in `module`.
    Raises `InputError` where the module is not one fixed graph (see `trace`).
    """

    def __init__(self, module: nn.Module, input_shape: Shape, *, device: str | torch.device = "cpu") -> None:
        name = type(module).__name__
        shared = shared_copy(module)
        measured = walk(graph_of(on_meta(shared)), tuple(input_shape), name)
        self.device = pick_device(device)
        self.trace: Trace = measured.trace
        self.graph_module = graph_of(shared).to(self.device)
        self.graph_module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs
        reuse_memory()
        at = {node.name: node for node in self.graph_module.graph.nodes}
        self.nodes: dict[str, torch.fx.Node] = {
            layer.name: at[node.name] for layer, node in zip(measured.layers, measured.nodes, strict=True)
        }
        self._names = {node: layer for layer, node in self.nodes.items()}
        self._last_reader = _last_readers(self.graph_module.graph)
        self._modules = _modules_of(self.graph_module)

    @classmethod
    def of(cls, network: Network, *, device: str | torch.device = "cpu") -> Inside:
        """Open `network` for pictures as its preprocess makes them."""
        return cls(network.module, network.module.input_size, device=device)

    def fold(self, exempt: Collection[str] = ()) -> Inside:
        """Fold batch norms into the convolutions before them, so that it plays faster; return itself.

        A folded norm's name means its convolution's output, which is the norm's. What such a convolution gave before
        its norm is not computed any more, unless it is among the layers `exempt`, named in full. Outputs agree to
        float32 rounding (about 1e-5 relative). The module that was opened stays as it is.
        """
        spared = {self.nodes[name] for name in exempt}
        for norm, convolution in fold_nodes(self.graph_module, spared).items():
            del self.nodes[self._names.pop(convolution)]
            name = self._names.pop(norm)
            self.nodes[name], self._names[convolution] = convolution, name
        rectify_in_place(self.graph_module)  # where the convolution's output is kept, `play` takes a copy first
        self.graph_module.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._last_reader = _last_readers(self.graph_module.graph)
        self._modules = _modules_of(self.graph_module)
        return self

    def layer(self, name: str) -> Layer:
        """Return the layer that `name` means: a layer's own name, or a stage's for its last layer.

        "body." may be left out, as in "layer4.0.conv1". Raises `UnknownName` with the nearest names.
        """
        for prefix in ("", "body."):
            if prefix + name in self.nodes:
                return self.trace[prefix + name]
            inner = [layer for layer in self._playable() if layer.name.startswith(f"{prefix}{name}.")]
            if inner:
                return inner[-1]
        known = [layer.name.removeprefix("body.") for layer in self._playable()]
        stages = dict.fromkeys(word.split(".")[0] for word in known)
        raise UnknownName(
            "layer", name, [*known, *stages], hint="see `glassnet inspect NETWORK --full`, or name a stage"
        )

    def _playable(self) -> list[Layer]:
        return [layer for layer in self.trace if layer.name in self.nodes]  # a folded convolution is not

    def module(self, name: str) -> nn.Module | None:
        """Return the module that the layer called `name` is; None for a function such as an addition."""
        return self._modules.get(self.nodes[name])

    def play(
        self,
        images: Tensor,
        *,
        keep: Collection[str] = (),
        leaves: Collection[str] = (),
        given: Mapping[str, Tensor] | None = None,
        until: str | None = None,
        rule: Rule | None = None,
    ) -> Playing:
        """Compute the network on `images` (N, C, H, W) float, as the preprocess makes them.

        Args:
            images: also "input" as a name in `keep` and `leaves`.
            keep: layers whose outputs come back, as they were when computed, also where the next layer writes over its
                input.
            leaves: layers to differentiate with respect to: their outputs come back too, cut off from what made them,
                and everything behind them is differentiable.
            given: outputs put in place of what the layers compute.
            until: stop behind this layer; logits are None then.
            rule: computes a node in another way, for example with another derivative.

        Gradients flow where a leaf or `images` requires them; otherwise none are recorded.
        """
        player = _Player(self, keep, leaves, given or {}, until, rule)
        differentiate = images.requires_grad or any(value.requires_grad for value in (given or {}).values())
        with torch.set_grad_enabled(differentiate or bool(leaves)):
            return player.run(images.to(self.device))

    def name_of(self, node: torch.fx.Node) -> str:
        """Return the name of the layer at `node`; "input" for the pictures and "" for what is no layer."""
        return "input" if node.op == "placeholder" else self._names.get(node, "")


def shared_copy(module: nn.Module) -> nn.Module:
    """Return a copy of `module` for evaluation: weights shared, but neither mode, hooks nor gradients."""
    stand_ins: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in module.parameters()}
    stand_ins |= {id(buffer): buffer.detach() for buffer in module.buffers()}
    copied = copy.deepcopy(module, stand_ins).eval()
    for part in copied.modules():
        for hooks in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks, part._backward_pre_hooks):
            hooks.clear()
    return copied


class _Player:
    """One pass through the graph; each result is let go after its last reader."""

    def __init__(
        self,
        inside: Inside,
        keep: Collection[str],
        leaves: Collection[str],
        given: Mapping[str, Tensor],
        until: str | None,
        rule: Rule | None,
    ) -> None:
        for name in {*keep, *leaves, *given, *([until] if until else [])} - {"input"}:
            if name not in inside.nodes:
                raise InputError(f"{name!r} is no layer's full name; find it with Inside.layer")
        self.inside, self.keep, self.leaves = inside, {*keep, *leaves}, set(leaves)
        self.given, self.until, self.rule = given, until, rule
        self.results: dict[torch.fx.Node, Any] = {}
        self.playing = Playing(None)

    def run(self, images: Tensor) -> Playing:
        """Play every node in order."""
        self.images = images
        for node in self.inside.graph_module.graph.nodes:
            if node.op == "output":
                self.playing.logits = self.results[node.args[0]]
                break
            name = self.inside.name_of(node)
            self.results[node] = self._mark(name, self._result(node, name, images))
            if name and name == self.until:
                break
            for source in node.all_input_nodes:
                if self.inside._last_reader[source] is node:
                    self.results.pop(source, None)
        return self.playing

    def _result(self, node: torch.fx.Node, name: str, images: Tensor) -> Any:
        if node.op == "placeholder":
            return images
        if name in self.given:
            return self.given[name]
        if node.op == "get_attr":
            return _attribute(self.inside.graph_module, str(node.target))
        read: Any = torch.fx.node.map_arg((node.args, node.kwargs), self.results.__getitem__)
        args, kwargs = read
        if _writes_over_input(node, self.inside._modules.get(node)) and self._still_wanted(node):
            args = (args[0].clone(), *args[1:])
        return self._called(node)(*args, **kwargs)

    def _called(self, node: torch.fx.Node) -> Call:
        module = self.inside._modules.get(node)
        call: Any = module
        if node.op == "call_method":
            call = _method(str(node.target))
        elif node.op == "call_function":
            call = _OUT_OF_PLACE.get(node.target, node.target)
        return call if self.rule is None else self.rule(module, function_of(node), call)

    def _still_wanted(self, node: torch.fx.Node) -> bool:
        """Tell whether what `node` would write over is needed: for a gradient, by the caller, or by a later node."""
        source: Any = node.args[0]
        if self.results[source].requires_grad or len(source.users) > 1:  # before a leaf nothing is differentiated
            return True
        owned = [*self.playing.kept.values(), *self.given.values(), self.images]
        owned += [value for other, value in self.results.items() if other is not source]
        piece = self.results[source].untyped_storage()._cdata
        return any(isinstance(value, Tensor) and value.untyped_storage()._cdata == piece for value in owned)

    def _mark(self, name: str, result: Any) -> Any:
        """Cut and keep a result that was asked for."""
        if name in self.leaves:
            result = result.detach().requires_grad_()
        if name in self.keep:
            self.playing.kept[name] = result
        return result


def _modules_of(graph_module: torch.fx.GraphModule) -> dict[torch.fx.Node, nn.Module]:
    """Return the modules that nodes call; looked up once, because small networks feel it."""
    calls = (node for node in graph_module.graph.nodes if node.op == "call_module")
    return {node: graph_module.get_submodule(str(node.target)) for node in calls}


def _last_readers(graph: torch.fx.Graph) -> dict[torch.fx.Node, torch.fx.Node]:
    """Return for each node the last that reads it."""
    return {source: node for node in graph.nodes for source in node.all_input_nodes}


def _writes_over_input(node: torch.fx.Node, module: nn.Module | None) -> bool:
    if module is not None:
        return bool(getattr(module, "inplace", False))
    word = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", "")
    return (word.endswith("_") and not word.endswith("__")) or bool(node.kwargs.get("inplace", False))


def _method(name: str) -> Call:
    def call(value: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(value, name)(*args, **kwargs)

    return call


def _attribute(module: nn.Module, path: str) -> Any:
    return operator.attrgetter(path)(module)
