"""From the graph of layers to a flat list of operators, with the picture's own activations beside it.

Batch norms disappear into the convolutions before them, rectifiers too. A layer that is to be watched keeps an output
of its own.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.fx
from torch import Tensor, nn

from glassnet.explain.inside import Inside, _writes_over_input
from glassnet.explain.occlusion import reading
from glassnet.explain.occlusion.convolution import folded
from glassnet.explain.occlusion.operators import Local, Operator, Program, Total, Whole, Window
from glassnet.nn.arithmetic import padding_sides
from glassnet.nn.layers.basic import GlobalAveragePool
from glassnet.nn.trace.nodes import function_of

_BENDS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.ReLU6: "relu6"}


def lower(inside: Inside, images: Tensor, watched: tuple[str, ...] = ()) -> Program:
    """Return the operators of the network for `images` (1, C, H, W), and what they give for them.

    `watched` are full names of layers whose outputs are wanted as they are.
    """
    with torch.inference_mode():
        return _Lowering(inside, images, watched).program()


class _Lowering:
    """One walk through the graph."""

    def __init__(self, inside: Inside, images: Tensor, watched: tuple[str, ...]) -> None:
        self.module = inside.graph_module
        self.watched = {inside.nodes[name]: name for name in watched}
        self.operators: list[Operator] = []
        self.values: list[Any] = [images.to(inside.device).contiguous(memory_format=torch.channels_last)]
        self.number: dict[torch.fx.Node, int] = {}  # of values that depend on the pictures
        self.fixed: dict[torch.fx.Node, Any] = {}  # of values that do not
        self.absorbed: set[torch.fx.Node] = set()
        self.named: dict[str, int] = {}

    def program(self) -> Program:
        """Walk and return what was found."""
        last = -1
        for node in self.module.graph.nodes:
            if node.op == "output":
                last = self.number[node.args[0]]
            elif node.op == "placeholder":
                self.number[node] = 0
            elif node not in self.absorbed:
                self._visit(node)
        return Program(tuple(self.operators), tuple(self.values), last, self.named)

    def _visit(self, node: torch.fx.Node) -> None:
        reads = [source for source in node.all_input_nodes if source in self.number]
        if not reads:
            self.fixed[node] = self._value_of(node)
            return
        numbers = tuple(dict.fromkeys(self.number[source] for source in reads))
        if type(self._module(node)) in reading.NOTHING:
            self._name(node, numbers[0])
            return
        before = self.number[reads[0]]
        step = self._operator(node, numbers)
        self.values.append(step.whole(*(self.values[number] for number in step.reads)))
        self.operators.append(step)
        self._name(node, step.out)
        if self._overwrites(node):  # whoever reads the source later reads what stands there then
            self.number.update({other: step.out for other, value in self.number.items() if value == before})

    def _name(self, node: torch.fx.Node, value: int) -> None:
        """Note which value a node has."""
        self.number[node] = value
        if node in self.watched:
            self.named[self.watched[node]] = value

    def _operator(self, node: torch.fx.Node, reads: tuple[int, ...]) -> Operator:
        module, maps = self._module(node), self.values[reads[0]]
        if len(reads) == 1 and isinstance(maps, Tensor) and maps.ndim == 4:
            if (found := self._convolution(node, module, maps)) is not None:
                return self._window(found, reads)
            if (total := self._total(node, module, maps, reads)) is not None:
                return total
            if (found := self._sliding(node, module, maps)) is not None:
                return self._window(found, reads)
        call = self._call(node, reads)
        if self._is_local(node, module, reads):
            return Local(reads=reads, out=len(self.values), whole=call, over=self._over(node, module, reads))
        asks = module is None and (function_of(node) in ("size", "dim") or node.args[1:] == ("shape",))
        return Whole(reads=reads, out=len(self.values), whole=call, shape_only=asks)

    def _window(self, found: reading.Sliding, reads: tuple[int, ...]) -> Window:
        return Window(reads=reads, out=len(self.values), **vars(found))

    def _convolution(self, node: torch.fx.Node, module: Any, maps: Tensor) -> reading.Sliding | None:
        """Return a convolution with what follows it, where that follows it alone."""
        if module is None and function_of(node) == "conv2d":
            return self._called_convolution(node, maps)
        if not reading.is_convolution(module):
            return None
        weight, bias, last = module.weight, module.bias, node
        after = self._only_reader(last)
        norm = self._module(after) if after is not None else None
        if after is not None and type(norm) is nn.BatchNorm2d and norm.running_mean is not None:
            if weight.ndim == 2:
                weight = weight[:, :, None, None]
            weight, bias = folded(weight, bias, norm)
            last, after = after, self._only_reader(after)
            if module.weight.ndim == 2:
                weight = weight[:, :, 0, 0]
        bend = self._bend(after)
        last = after if bend and after is not None else last
        self._absorb(node, last)
        return reading.convolution(module, (maps.shape[2], maps.shape[3]), weight, bias, bend)

    def _called_convolution(self, node: torch.fx.Node, maps: Tensor) -> reading.Sliding | None:
        names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
        given = {**dict(zip(names, self._fixed_arguments(node), strict=False)), **self._fixed_keywords(node)}
        weight = given["weight"]
        if not isinstance(weight, Tensor):
            return None
        stride, dilation = reading.pair(given.get("stride", 1)), reading.pair(given.get("dilation", 1))
        padding: Any = given.get("padding", 0)
        each = padding if isinstance(padding, tuple | list) else (padding, padding)
        vertical, horizontal = (
            padding_sides(maps.shape[2 + axis], weight.shape[2 + axis], stride[axis], each[axis], dilation[axis])
            for axis in (0, 1)
        )
        sides = (*vertical, *horizontal)
        return reading.convolved(weight, given.get("bias"), stride, dilation, given.get("groups", 1), sides)

    def _absorb(self, node: torch.fx.Node, last: torch.fx.Node) -> None:
        """Note that the nodes behind `node` up to `last` are computed with it."""
        while node is not last:
            node = next(iter(node.users))
            self.absorbed.add(node)
            self._name(node, len(self.values))

    def _only_reader(self, node: torch.fx.Node) -> torch.fx.Node | None:
        """Return the one node that reads `node`; None where others do, or somebody watches it."""
        if node in self.watched or len(node.users) != 1:
            return None
        return next(iter(node.users))

    def _bend(self, node: torch.fx.Node | None) -> str:
        if node is None:
            return ""
        module = self._module(node)
        if module is not None:
            return _BENDS.get(type(module), "")
        return "relu" if function_of(node) == "relu" and node.op != "get_attr" else ""

    def _total(self, node: torch.fx.Node, module: Any, maps: Tensor, reads: tuple[int, ...]) -> Total | None:
        """Return a mean over all positions."""
        if isinstance(module, GlobalAveragePool):
            keep = False
        elif type(module) is nn.AdaptiveAvgPool2d or function_of(node) == "adaptive_avg_pool2d":
            size = module.output_size if module is not None else self._fixed_arguments(node)[1]
            if (size if isinstance(size, int) else tuple(size)) not in (1, (1, 1)):
                return None
            keep = True
        elif module is None and function_of(node) == "mean":
            args, kwargs = self._fixed_arguments(node), self._fixed_keywords(node)
            axes = kwargs.get("dim", args[1] if len(args) > 1 else None)
            if not isinstance(axes, tuple | list) or {axis % 4 for axis in axes} != {2, 3}:
                return None
            keep = bool(kwargs.get("keepdim", args[2] if len(args) > 2 else False))
        else:
            return None
        area = maps.shape[2] * maps.shape[3]
        return Total(reads=reads, out=len(self.values), whole=self._call(node, reads), divisor=area, keep=keep)

    def _sliding(self, node: torch.fx.Node, module: Any, maps: Tensor) -> reading.Sliding | None:
        if module is not None:
            return reading.sliding(module, maps)
        function, args, kwargs = function_of(node), self._fixed_arguments(node), self._fixed_keywords(node)
        if (pooling := reading.as_pooling(function, args, kwargs)) is not None:
            return reading.sliding(pooling, maps)
        if function == "pad" and _is_spatial_pad(args, kwargs):
            left, right, top, bottom = (*args[1], 0, 0)[:4]
            value = kwargs.get("value", args[3] if len(args) > 3 else None)
            return reading.padded((top, bottom, left, right), float(value or 0.0))
        if function == "getitem" and _is_spatial_slice(args[1], maps):
            return reading.every(
                _spatial(args[1]), (maps.shape[2], maps.shape[3]), self._call(node, (self.number_of(node),))
            )
        return None

    def number_of(self, node: torch.fx.Node) -> int:
        """Return the number of the first value that `node` reads."""
        return next(self.number[source] for source in node.all_input_nodes if source in self.number)

    def _is_local(self, node: torch.fx.Node, module: nn.Module | None, reads: tuple[int, ...]) -> bool:
        maps = [self.values[read] for read in reads]
        if not all(isinstance(each, Tensor) and each.ndim == 4 for each in maps):
            return False
        if len({tuple(each.shape[2:]) for each in maps}) > 1:
            return False
        if module is not None:
            return type(module) in reading.LOCAL_MODULES or _pads_channels(module)
        return self._is_local_call(function_of(node), self._fixed_arguments(node), self._fixed_keywords(node))

    @staticmethod
    def _is_local_call(function: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        if function in ("cat", "concat"):
            return kwargs.get("dim", args[1] if len(args) > 1 else 0) in (1, -3)
        if function == "pad":
            return len(args[1]) == 6 and not any(args[1][:4]) and _constant(args, kwargs)
        if function == "getitem":
            return _is_channel_slice(args[1])
        return function in reading.LOCAL_FUNCTIONS and all(map(_same_everywhere, [*args, *kwargs.values()]))

    def _over(self, node: torch.fx.Node, module: Any, reads: tuple[int, ...]) -> Callable[..., Any] | None:
        """Return the way of a local operator that writes over its first operand."""
        if self._overwrites(node):
            return self._call(node, reads, overwriting=True)
        if self._bend(node):
            return torch.relu_ if self._bend(node) == "relu" else lambda x: x.clamp_(0.0, 6.0)
        plain = module is None and function_of(node) == "add" and not node.kwargs
        shapes = [tuple(self.values[read].shape) for read in reads]
        return Tensor.add_ if plain and len(reads) == 2 and shapes[0] == shapes[1] else None

    def _call(self, node: torch.fx.Node, reads: tuple[int, ...], *, overwriting: bool = False) -> Callable[..., Any]:
        """Return the node's own computation as a function of the values it reads."""
        function = self._function(node)
        place = {source: reads.index(self.number[source]) for source in node.all_input_nodes if source in self.number}
        fixed = {source: self.fixed[source] for source in node.all_input_nodes if source in self.fixed}
        clones = self._overwrites(node) and not overwriting

        def compute(*values: Any) -> Any:
            def found(source: torch.fx.Node) -> Any:
                return fixed[source] if source in fixed else values[place[source]]

            args: Any = torch.fx.node.map_arg(node.args, found)
            if clones:
                args = (args[0].clone(), *args[1:])
            return function(*args, **torch.fx.node.map_arg(node.kwargs, found))

        return compute

    def _function(self, node: torch.fx.Node) -> Callable[..., Any]:
        if node.op == "call_method":
            name = str(node.target)
            return lambda value, *args, **kwargs: getattr(value, name)(*args, **kwargs)
        found: Any = self._module(node) if node.op == "call_module" else node.target
        return found  # type: ignore[no-any-return]

    def _value_of(self, node: torch.fx.Node) -> Any:
        """Compute a node that no picture reaches."""
        if node.op == "get_attr":
            found: Any = self.module
            for part in str(node.target).split("."):
                found = getattr(found, part)
            return found
        args, kwargs = self._fixed_arguments(node), self._fixed_keywords(node)
        return self._function(node)(*args, **kwargs)

    def _fixed_arguments(self, node: torch.fx.Node) -> tuple[Any, ...]:
        found: Any = torch.fx.node.map_arg(node.args, lambda source: self.fixed.get(source, source))
        return tuple(found)

    def _fixed_keywords(self, node: torch.fx.Node) -> Mapping[str, Any]:
        found: Any = torch.fx.node.map_arg(node.kwargs, lambda source: self.fixed.get(source, source))
        return dict(found)

    def _module(self, node: torch.fx.Node | None) -> nn.Module | None:
        if node is None or node.op != "call_module":
            return None
        return self.module.get_submodule(str(node.target))

    def _overwrites(self, node: torch.fx.Node) -> bool:
        if node.target in (operator.iadd, operator.imul, operator.isub, operator.itruediv):
            return True
        return _writes_over_input(node, self._module(node))


def _same_everywhere(argument: Any) -> bool:
    """Tell whether an argument that is no picture is the same at every position."""
    if not isinstance(argument, Tensor):
        return True
    return argument.numel() == 1 or (argument.ndim >= 3 and argument.shape[-2:].numel() == 1)


def _pads_channels(module: nn.Module) -> bool:
    return type(module) is nn.ConstantPad3d and not any(module.padding[:4])


def _constant(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    return bool(kwargs.get("mode", args[2] if len(args) > 2 else "constant") == "constant")


def _is_spatial_pad(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    sides = args[1] if len(args) > 1 else ()
    whole = all(isinstance(side, int) for side in sides)
    return whole and len(sides) in (2, 4) and _constant(args, kwargs)


def _is_spatial_slice(index: Any, maps: Tensor) -> bool:
    """Tell whether an index takes whole channels of all pictures at some of their positions."""
    if not isinstance(index, tuple) or not 3 <= len(index) <= maps.ndim:
        return False
    plain = all(isinstance(part, slice) and _are_numbers(part) for part in index)
    return plain and index[:2] == (slice(None), slice(None))


def _is_channel_slice(index: Any) -> bool:
    """Tell whether an index takes some of the channels at every position."""
    if not isinstance(index, tuple) or not 2 <= len(index) <= 4 or index[0] != slice(None):
        return False
    return isinstance(index[1], slice) and all(part == slice(None) for part in index[2:])


def _are_numbers(part: slice) -> bool:
    return all(each is None or isinstance(each, int) for each in (part.start, part.stop, part.step))


def _spatial(index: tuple[Any, ...]) -> tuple[slice, ...]:
    return (*index[2:], slice(None))[:2]
