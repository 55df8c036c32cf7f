"""Whatever stands in a description, it becomes a network or one sentence; nothing else."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.errors import InputError
from glassnet.models.described.language import BLOCKS, KEYS, WRITTEN
from glassnet.models.described.network import described

GOOD: list[dict[str, Any]] = [
    {"conv": 4, "norm": "batch", "activation": {"type": "elu", "alpha": 0.5}},
    {"pool": "max", "kernel": [2, 2]},
    {"block": "residual", "width": 6, "stride": 2},
    {"block": "inception", "widths": [2, [2, 3], 4, 2]},
    {"branches": [[{"conv": 4}], [{"pool": "average", "kernel": 3, "stride": 1, "padding": "same"}]]},
    {"layers": [{"conv": 4}, {"dropout": 0.1}], "repeat": 2},
    {"dense": 5, "weights": "orthogonal"},
]
WORDS = [
    "batch",
    "lrn",
    "A",
    "none",
    "same",
    "half",
    "depthwise",
    "average",
    "global_max",
    "identity",
    "reflect",
    "add",
]
VALUES = st.one_of(
    st.sampled_from([*WORDS, *BLOCKS, "", True, False, None, 0, -1, 1, 2, 3, 17, 10**400, 0.5, float("nan"), -0.1]),
    st.lists(st.sampled_from([0, 1, 2, 5, "x", [1, 2], {"conv": 2}]), max_size=5),
    st.dictionaries(
        st.sampled_from(["type", "std", "eps", "groups", "slope"]), st.sampled_from([*WORDS, 1, -2.0, "x"])
    ),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(GOOD), min_size=1, max_size=4),
    st.lists(st.tuples(st.sampled_from([*KEYS, *WRITTEN, "layers", "x"]), VALUES), max_size=3),
    st.dictionaries(st.sampled_from([*KEYS, "conv", "block", "pool"]), VALUES, max_size=2),
    st.sampled_from([[12, 12, 2], [1, 1, 1], [5, 30, 3], [0, 3, 3], "x", None]),
)
def test_any_mistake_is_an_input_error(
    layers: list[dict[str, Any]], changes: list[tuple[str, Any]], defaults: dict[str, Any], size: Any
) -> None:
    described_layers = copy.deepcopy(layers)
    for number, (key, value) in enumerate(changes):
        described_layers[number % len(layers)][key] = value
    description = {"input": size, "layers": described_layers, "defaults": defaults}
    with torch.device("meta"), contextlib.suppress(InputError):
        network = described(3, 2, description)
        assert network(torch.empty(2, 2, *size[:2], device="meta")).shape == (2, 3)
