"""The trace: a network as a graph of layers, and what can be read off it: costs, memory, cheaper alternatives."""

from __future__ import annotations

from glassnet.nn.trace.tracing import Layer, Shape, Trace, graph_of, on_meta, trace, walk

__all__ = ["Layer", "Shape", "Trace", "graph_of", "on_meta", "trace", "walk"]
