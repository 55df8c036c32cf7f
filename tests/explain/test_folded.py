"""A network opened and folded: the same numbers under the same names, and the module untouched."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from glassnet.errors import UnknownName
from glassnet.explain.inside import Inside
from glassnet.models import Network


def test_a_folded_norms_name_means_its_convolutions_output(awkward: nn.Module) -> None:
    images = torch.randn(2, 3, 16, 16)
    names = ["conv1", "norm", "add", "cat", "conv3"]
    plain = Inside(awkward, (3, 16, 16)).play(images, keep=names)
    folded = Inside(awkward, (3, 16, 16)).fold()
    playing = folded.play(images, keep=names)
    assert plain.logits is not None
    torch.testing.assert_close(playing.logits, plain.logits, rtol=1e-4, atol=1e-5)
    for name in names:
        torch.testing.assert_close(playing.kept[name], plain.kept[name], rtol=1e-4, atol=1e-5)
    assert folded.name_of(folded.nodes["norm"]) == "norm"
    assert isinstance(folded.module("norm"), nn.Conv2d)


def test_what_a_folded_convolution_gave_before_is_not_there_unless_it_was_exempt(awkward: nn.Module) -> None:
    images = torch.randn(1, 3, 16, 16)
    with pytest.raises(UnknownName, match="no layer is called 'conv2'"):
        Inside(awkward, (3, 16, 16)).fold().layer("conv2")
    kept = Inside(awkward, (3, 16, 16)).play(images, keep=["conv2", "norm"]).kept
    spared = Inside(awkward, (3, 16, 16)).fold(exempt=["conv2"]).play(images, keep=["conv2", "norm"]).kept
    assert all(torch.equal(kept[name], spared[name]) for name in kept)


def test_folding_leaves_the_network_as_it_is(small_network: Network) -> None:
    before = {name: tensor.clone() for name, tensor in small_network.module.state_dict().items()}
    folded = Inside.of(small_network).fold()
    norms = [layer.name for layer in folded.trace if layer.kind == "BatchNorm2d"]
    assert norms
    assert all(isinstance(folded.module(name), nn.Conv2d) for name in norms)
    after = small_network.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(
        folded.play(images).logits, small_network.logits(images, device="cpu"), rtol=1e-4, atol=1e-5
    )
