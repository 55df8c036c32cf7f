"""Projections of a class, a layer, a channel, an activation: seeds, settings, sentences, and what is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from glassnet.errors import InputError, UnknownName
from glassnet.explain.case import Case
from glassnet.explain.explanation import Explanation
from glassnet.explain.projections import deconvnet, gradient, guided, project, strongest
from glassnet.models import Network


@pytest.fixture(scope="module")
def case(small_network: Network, picture: np.ndarray) -> Case:
    return Case.of(small_network, picture, label="dog")


def image(explanation: Explanation) -> torch.Tensor:
    return torch.from_numpy(explanation.array).permute(2, 0, 1)[None]


def autograds(case: Case, output: Callable[[nn.Module, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    leaf = case.images.clone().requires_grad_()
    (found,) = torch.autograd.grad(output(case.network.module.eval(), leaf), leaf)
    return found


def body(module: nn.Module, images: torch.Tensor, until: str) -> torch.Tensor:
    """The output of the last stage's module, seen by a hook on the network itself."""
    seen = []
    handle = module.get_submodule(until).register_forward_hook(lambda _m, _i, out: seen.append(out))
    module(images)
    handle.remove()
    return seen[0][0]


def test_the_gradient_of_the_class_is_autograds(case: Case) -> None:
    found = gradient(case)
    assert (found.kind, found.label, found.layer) == ("image", "dog", None)
    assert found.array.shape == (32, 32, 3)
    torch.testing.assert_close(image(found), autograds(case, lambda module, x: module(x)[0, 1]))


def test_the_gradient_of_a_layer_channel_and_activation_are_autograds(case: Case) -> None:
    layer = "body.stage3.0"
    name = case.inside.layer(layer).name
    whole = gradient(case, layer=layer)
    assert (whole.label, whole.layer) == (None, name)
    torch.testing.assert_close(image(whole), autograds(case, lambda m, x: body(m, x, layer).sum()))
    one = gradient(case, layer=layer, channel=4, position=(2, 5))
    torch.testing.assert_close(image(one), autograds(case, lambda m, x: body(m, x, layer)[4, 2, 5]))
    top = gradient(case, layer=layer, channel=4)
    torch.testing.assert_close(image(top), autograds(case, lambda m, x: body(m, x, layer)[4].max()))
    assert "channel 4 is strongest at row" in top.note
    column = gradient(case, layer=layer, position=(2, 5))
    torch.testing.assert_close(image(column), autograds(case, lambda m, x: body(m, x, layer)[:, 2, 5].sum()))


@pytest.mark.parametrize("method", [deconvnet, guided])
def test_an_activation_is_sent_back_with_its_own_value(case: Case, method: Callable[..., Explanation]) -> None:
    layer = case.inside.layer("stage2").name
    kept = case.inside.play(case.images, keep=[layer]).kept[layer]
    channel = int(kept[0].amax((1, 2)).argmax())
    position = strongest(kept[0], channel)
    seeds = torch.zeros_like(kept)
    seeds[0, channel][position] = kept[0, channel][position]
    assert float(seeds.max()) not in (0, 1)
    expected = project(case, layer, rule=method.__name__, seeds=seeds)
    assert expected.abs().max() > 0
    found = method(case, layer="stage2", channel=channel)
    torch.testing.assert_close(image(found), expected)
    torch.testing.assert_close(image(method(case, layer="stage2", channel=channel, position=position)), expected)
    whole = method(case, layer="stage2")
    torch.testing.assert_close(image(whole), project(case, layer, rule=method.__name__, seeds=kept))


def test_several_seeds_are_several_projections(case: Case) -> None:
    layer = case.inside.layer("stage2").name
    shape = case.inside.trace[layer].output_shape
    seeds = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    together = project(case, "stage2", seeds=seeds)
    for seed, found in zip(seeds, together, strict=True):
        torch.testing.assert_close(project(case, "stage2", seeds=seed[None])[0], found, rtol=1e-4, atol=1e-5)


def test_a_layer_without_positions_and_auto(case: Case) -> None:
    found = deconvnet(case, layer="body.pool", channel=3)
    assert found.title == "Deconvnet of pool, channel 3"
    auto = guided(case, layer="auto")
    assert "chosen: the last one that still has positions" in auto.note
    assert auto.layer == "body.stage3.2.act"


def test_a_network_without_rectifiers_is_said_to_have_none() -> None:
    network = Network.create("lenet5_1998", ["a", "b"])
    case = Case.of(network, np.full((32, 32), 200, np.uint8))
    assert "no rectifier" in deconvnet(case).note
    np.testing.assert_array_equal(deconvnet(case).array, gradient(case).array)
    assert gradient(case).note == ""


def test_a_signal_that_no_rectifier_lets_through_is_said(small_network: Network, picture: np.ndarray) -> None:
    network = Network(copy.deepcopy(small_network.module), small_network.card)
    with torch.no_grad():
        network.module.head.weight[0] = -1  # what goes back from this class is below zero everywhere
    found = deconvnet(Case.of(network, picture, label=0))
    assert not found.array.any()
    assert "nothing of it reaches the picture" in found.note
    assert "nothing of it reaches" not in gradient(Case.of(network, picture, label=0)).note


def test_what_is_refused(case: Case) -> None:
    with pytest.raises(InputError, match=r"channel is 3, but no layer is given; say which with layer="):
        gradient(case, channel=3)
    with pytest.raises(InputError, match=r"position is \(1, 1\), but no layer is given"):
        guided(case, position=(1, 1))
    with pytest.raises(InputError, match=r"channel is 64; stage3.2.act has 64, numbered from 0"):
        deconvnet(case, layer="stage3", channel=64)
    with pytest.raises(InputError, match=r"channel is -1; stage3.2.act has 64"):
        deconvnet(case, layer="stage3", channel=-1)
    with pytest.raises(
        InputError, match=r"position is \(8, 0\); expected \(row, column\) on stage3.2.act's map of 8x8"
    ):
        deconvnet(case, layer="stage3", channel=0, position=(8, 0))
    with pytest.raises(InputError, match=r"position is \(0, 0\), but pool gives 64 numbers without positions"):
        deconvnet(case, layer="pool", position=(0, 0))
    with pytest.raises(UnknownName, match=r"no layer is called 'stgae3'"):
        deconvnet(case, layer="stgae3")
