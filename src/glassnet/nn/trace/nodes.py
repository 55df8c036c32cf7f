"""Reading torch.fx's graph: who reads whom, through lists, tuples and sizes, and which memory the results take.

`results` everywhere are the nodes that a picture passes through as one tensor: the pictures and the layers' outputs.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import torch
import torch.fx
from torch import Tensor, nn


def sources_of(node: torch.fx.Node, results: Container[torch.fx.Node]) -> list[torch.fx.Node]:
    """Return the results that `node` reads, seen through lists, sizes and constants, each once."""
    found: dict[torch.fx.Node, None] = {}
    for source in node.all_input_nodes:
        found |= dict.fromkeys([source] if source in results else sources_of(source, results))
    return list(found)


def function_of(node: torch.fx.Node) -> str:
    """Return the name of the function that a node calls: "add" for `+`, `+=` and `torch.add` alike."""
    name = str(node.target) if node.op == "call_method" else str(getattr(node.target, "__name__", node.target))
    return {"iadd": "add", "imul": "mul"}.get(name, name.rstrip("_"))


def all_reads(node: torch.fx.Node) -> list[torch.fx.Node]:
    found: list[torch.fx.Node] = []
    torch.fx.node.map_arg((node.args, node.kwargs), found.append)
    return found


def constants(node: torch.fx.Node, results: Container[torch.fx.Node]) -> list[torch.fx.Node]:
    """Return what `node` reads that no picture passes through: weights read by name, and what they became."""
    found = [source for source in node.all_input_nodes if source not in results]
    return found + [deeper for source in found for deeper in constants(source, results)]


def readers(node: torch.fx.Node, results: Container[torch.fx.Node]) -> list[torch.fx.Node]:
    """Return the nodes that read `node`, also through a tuple or a list."""
    found = list(node.users)
    return found + [deeper for user in found if user not in results for deeper in readers(user, results)]


def weights_of(value: Any) -> list[nn.Parameter]:
    if isinstance(value, nn.Parameter):
        return [value]
    return list(value.parameters()) if isinstance(value, nn.Module) else []


def memory_of(tensor: Tensor) -> tuple[int, int]:
    """Return which piece of memory a tensor looks at, and how many bytes that is."""
    storage = tensor.untyped_storage()
    return storage._cdata, storage.nbytes()


def peak_memory(results: Mapping[torch.fx.Node, Tensor]) -> int:
    """Return the most bytes in use at one time: each piece of memory from where it is written to its last reader."""
    place = {node: number for number, node in enumerate(next(iter(results)).graph.nodes)}
    born: dict[tuple[int, int], int] = {}
    dies: dict[tuple[int, int], int] = {}
    for node, result in results.items():
        piece = memory_of(result)
        born.setdefault(piece, place[node])
        dies[piece] = max([dies.get(piece, 0), place[node], *(place[reader] for reader in readers(node, results))])
    return max(sum(piece[1] for piece in born if born[piece] <= step <= dies[piece]) for step in born.values())
