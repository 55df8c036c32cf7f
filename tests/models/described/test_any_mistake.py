"""Whatever stands in a description, it becomes a network or one sentence; nothing else."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glassnet.errors import InputError
from glassnet.models.described.language import BLOCKS, KEYS, NORMS, keys_of, kind_of
from glassnet.models.described.network import described
from glassnet.nn.initialise import INITIALISERS
from glassnet.nn.layers.activations import ACTIVATIONS
from glassnet.nn.layers.padded import MODES

GOOD: list[dict[str, Any]] = [
    {"conv": 4, "norm": "batch", "activation": {"type": "elu", "alpha": 0.5}},
    {"pool": "max", "kernel": [2, 2]},
    {"block": "residual", "width": 6, "stride": 2},
    {"block": "inception", "widths": [2, [2, 3], 4, 2]},
    {"branches": [[{"conv": 4}], [{"pool": "average", "kernel": 3, "stride": 1, "padding": "same"}]]},
    {"layers": [{"conv": 4}, {"dropout": 0.1}], "repeat": 2},
    {"dense": 5, "weights": "orthogonal"},
]
NUMBERS = [0, 1, 2, 3, 4, 7, 0.5, -1, 10**400, float("nan")]
PAIRS = [[1, 2], [3, 1], [0, 2], [1, 0, 2, 3], [2, [3, 4], 5, 1], [4, 3, 2]]
WORDS = [
    *NORMS,
    *ACTIVATIONS,
    *INITIALISERS,
    *MODES,
    *BLOCKS,
    "A",
    "B",
    "C",
    "valid",
    "same",
    "half",
    "depthwise",
    "add",
]
TABLES = [{"type": "group", "groups": 3}, {"type": "normal", "std": -1}, {"type": "batch", "eps": -1}, {"std": 1}, {}]
VALUES = st.one_of(
    st.sampled_from(NUMBERS), st.sampled_from(PAIRS), st.sampled_from(WORDS), st.sampled_from(TABLES),
    st.sampled_from([None, True, False, "", [], [[]], [[], []], [{"conv": 2}], [[{"conv": 2}], []]]),
)  # fmt: skip


@st.composite
def values(draw: st.DrawFn, key: str) -> Any:
    """Mostly values that pass the check of `key`, so that the layers are really built."""
    fine = [value for value in (*NUMBERS, *PAIRS, *WORDS, *TABLES, True) if key in KEYS and KEYS[key](value) is None]
    return draw(st.sampled_from(fine) if fine and draw(st.integers(0, 7)) else VALUES)


@st.composite
def layers(draw: st.DrawFn) -> dict[str, Any]:
    """A good layer with one or two keys of its kind changed."""
    layer = copy.deepcopy(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(0, 2))):
        key = draw(st.sampled_from(keys_of(kind_of(layer), layer)))
        layer[key] = draw(values(key))
        if key == "block":
            break  # its other keys are now another block's
    return layer


DEFAULTS = ["padding", "padding_mode", "norm", "activation", "weights", "bias", "kernel", "stride"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(layers(), min_size=1, max_size=4),
    st.one_of(st.just({}), *(st.fixed_dictionaries({key: values(key)}) for key in DEFAULTS)),
    st.sampled_from([[12, 12, 2], [30, 9, 2], [5, 30, 3], [1, 1, 1]]),
)
def test_any_mistake_is_an_input_error(given_: list[dict[str, Any]], defaults: dict[str, Any], size: list[int]) -> None:
    description = {"input": size, "layers": given_, "defaults": defaults}
    with torch.device("meta"), contextlib.suppress(InputError):
        network = described(3, 2, description)
        assert network(torch.empty(2, 2, *size[:2], device="meta")).shape == (2, 3)


@pytest.mark.parametrize("size", [None, "x", [0, 3, 3], [3, 3], {}, [3, 3, True]])
def test_no_mistake_in_the_input_size_passes(size: Any) -> None:
    with pytest.raises(InputError, match=r"^the description: input is"):
        described(3, 2, {"input": size, "layers": GOOD})
