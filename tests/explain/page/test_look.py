"""The page of a look: whole, closed, and with every layer on it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from glassnet.errors import InputError, UnknownName
from glassnet.explain.choose import is_map, short
from glassnet.explain.inside import Inside
from glassnet.explain.page.look import look_at
from glassnet.models import Network


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Network.create("lenet5", ["<b>zero</b>", "one", "two"])


@pytest.fixture(scope="module")
def page(network: Network) -> str:
    picture = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    return look_at(network, picture, steps=2, device="cpu")


def test_every_layer_with_positions_is_there(network: Network, page: str) -> None:
    for layer in Inside.of(network).trace:
        if is_map(layer):
            assert f"projection of {short(layer.name)}" in page


def test_it_needs_nothing_from_outside_and_escapes_names(page: str) -> None:
    assert "<b>zero</b>" not in page
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(source.startswith(("data:image/", "#")) for source in sources)
    assert "prefers-color-scheme: dark" in page
    assert "url(" not in page.split("</style>", maxsplit=1)[0]


def test_stages_are_inverted_and_the_head_answers(page: str) -> None:
    assert re.search(r"what it still knows; error \d\.\d\d of the layer", page)
    assert page.count("<li") >= 3
    for title in ("Occlusion", "Grad-CAM", "Integrated gradients", "Guided backpropagation"):
        assert f"<b>{title}</b>" in page


def test_only_one_layer_with_all_its_channels(network: Network) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    told: list[tuple[int, int]] = []
    layer = next(layer for layer in Inside.of(network).trace if is_map(layer))
    found = look_at(
        network,
        picture,
        layer=layer.name,
        steps=2,
        device="cpu",
        progress=lambda done, total: told.append((done, total)),
    )
    assert found.count("projection of") == 1
    assert f"The {layer.output_shape[0]} strongest of {layer.output_shape[0]} maps" in found
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_bad_calls_are_said(network: Network) -> None:
    picture = np.zeros((28, 28), np.uint8)
    with pytest.raises(InputError, match="steps is 0; expected a whole number of at least 1"):
        look_at(network, picture, steps=0)
    with pytest.raises(UnknownName, match="no layer is called 'cnv1'"):
        look_at(network, picture, layer="cnv1", device="cpu")
    head = Inside.of(network).trace.layers[-1].name
    with pytest.raises(InputError, match="has no positions to look at; choose one before"):
        look_at(network, picture, layer=head, device="cpu")
