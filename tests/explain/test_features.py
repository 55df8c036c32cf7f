"""Feature maps: order, dead channels, where they lie, and the one map of a layer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from glassnet.errors import InputError, UnknownName
from glassnet.explain.case import Case
from glassnet.explain.features import feature_maps, is_rectified, strongest_maps
from glassnet.explain.inside import Inside
from glassnet.models import Network


@pytest.fixture(scope="module")
def case(small_network: Network) -> Case:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return Case.of(small_network, pixels)


def by_hand(weights: list[float]) -> Case:
    """Return a case of one 1x1 convolution and a ReLU, a channel for each weight, on the 2x2 picture 0, 1, 2, 3."""
    convolution = nn.Conv2d(1, len(weights), 1, bias=False)
    convolution.weight.data = torch.tensor(weights)[:, None, None, None]
    module = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(4 * len(weights), 2))
    network = Network.create("lenet5", ["no", "yes"])
    case = Case.of(network, np.zeros((32, 32), np.uint8))
    images = torch.arange(4.0).view(1, 1, 2, 2)
    return dataclasses.replace(case, inside=Inside(module, (1, 2, 2)), images=images)


def test_maps_strengths_and_order_by_hand() -> None:
    found = feature_maps(by_hand([1.0, -1.0, 2.0]), "0")
    assert found.channels.tolist() == [2, 0, 1]
    assert found.maps[0].tolist() == [[0, 2], [4, 6]]
    assert found.strengths.tolist() == [3.0, 1.5, 0.0]
    assert found.scale == (-3.0, 6.0)
    assert found.dead == 1  # the ReLU behind keeps channel 1 at zero
    assert feature_maps(by_hand([1.0, -1.0, 2.0]), "1").dead == 1
    assert found.extent == (0, 2, 0, 2)
    assert found.title == "0: 3x2x2, 1 of 3 never above zero"


def test_equal_channels_keep_their_order() -> None:
    assert feature_maps(by_hand([1.0, 2.0, 1.0, 2.0]), "0").channels.tolist() == [1, 3, 0, 2]


def test_the_one_map_is_the_mean_of_the_strongest_by_hand() -> None:
    explanation = strongest_maps(by_hand([1.0, -1.0, 2.0]), layer="0", channels=2)
    assert explanation.array.tolist() == [[0, 1.5], [3, 4.5]]
    assert explanation.unit == "mean of the 2 strongest maps"
    assert explanation.note == "channels 2, 0 of 3"
    assert (explanation.label, explanation.kind, explanation.layer) == (None, "map", "0")
    with_all = strongest_maps(by_hand([1.0, -1.0, 2.0]), layer="0")  # fewer than 16: all, those below zero as zero
    np.testing.assert_allclose(with_all.array, np.array([[0, 1], [2, 3]]))


def test_the_maps_are_what_the_network_computes(case: Case) -> None:
    layer = case.inside.layer("stage2")
    seen: list[torch.Tensor] = []
    module = case.network.module
    module.eval()
    handle = module.get_submodule("body.stage2").register_forward_hook(lambda _m, _i, out: seen.append(out.clone()))
    with torch.no_grad():
        module(case.images)
    handle.remove()
    found = feature_maps(case, "stage2")
    np.testing.assert_allclose(found.maps, seen[0][0][found.channels], rtol=1e-4, atol=1e-5)
    assert found.layer == layer
    assert (np.diff(found.strengths) <= 0).all()
    assert (np.sort(found.channels) == np.arange(len(found))).all()


def test_auto_says_which_layer_it_took(case: Case) -> None:
    explanation = strongest_maps(case)
    assert "chosen: the last one that still has positions" in explanation.note
    assert explanation.array.shape == case.inside.trace[explanation.layer or ""].output_shape[1:]
    assert explanation.extent == case.extent_of(explanation.layer or "")


def test_what_a_rectifier_decides_is_known(awkward: nn.Module) -> None:
    inside = Inside(awkward, (3, 16, 16))
    known = {layer.name: is_rectified(inside, layer) for layer in inside.trace}
    assert known == {
        **{"conv1": True, "act": True, "conv2": False, "norm": False, "add": True, "cat": True, "conv3": True},
        **{name: known[name] for name in known if name.startswith(("act", "relu", "max_pool2d", "mean"))},
        "head": False,
    }
    assert all(known[name] for name in known if name.startswith(("relu", "max_pool2d", "mean")))


def test_adding_a_constant_may_go_below_zero() -> None:
    class Shifted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x) + -1.0

    inside = Inside(Shifted(), (1, 2, 2))
    assert [is_rectified(inside, layer) for layer in inside.trace] == [True, False]


def test_bad_settings_are_refused(case: Case) -> None:
    with pytest.raises(UnknownName, match="no layer is called 'stagee'"):
        feature_maps(case, "stagee")
    with pytest.raises(InputError, match=r"numbers without positions; choose one before"):
        feature_maps(case, case.inside.trace.layers[-1].name)
    for channels in (0, -1, 2.5, True, 10_000):
        with pytest.raises(InputError, match=rf"channels is {channels!r}; expected a whole number from 1 to 64"):
            strongest_maps(case, channels=channels)  # type: ignore[arg-type]
