"""AlexNet and ZFNet: sums by hand, the papers' map sizes, two towers, where the biases start."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from glassnet.models.registry import Classifier, create
from glassnet.nn.arithmetic import conv_multiply_adds, conv_parameters, linear_parameters
from glassnet.nn.layers.normalisation import LocalResponseNorm
from glassnet.nn.trace import Trace, trace

NAMES = ("alexnet", "alexnet_2012", "zfnet")


def on_meta(name: str) -> Classifier:
    with torch.device("meta"):
        return create(name)


@pytest.fixture(scope="module")
def traces() -> dict[str, Trace]:
    return {name: trace(on_meta(name), (3, 224, 224)) for name in NAMES}


def sizes(traced: Trace) -> dict[str, int]:
    """The height of each stage's maps behind the convolution and behind the pooling."""
    return {
        layer.name.removeprefix("body."): layer.output_shape[1]
        for layer in traced
        if layer.kind in ("Conv2d", "MaxPool2d")
    }


def test_alexnets_maps_are_the_papers(traces: dict[str, Trace]) -> None:
    # Figure 2 of the paper: 55, 27, 13, 13, 13; the one-tower network has the same.
    expected = {"conv1.conv": 55, "conv1.pool": 27, "conv2.conv": 27, "conv2.pool": 13}
    expected |= {"conv3.conv": 13, "conv4.conv": 13, "conv5.conv": 13, "conv5.pool": 6}
    assert sizes(traces["alexnet_2012"]) == sizes(traces["alexnet"]) == expected


def test_zfnets_maps_are_the_papers(traces: dict[str, Trace]) -> None:
    # Figure 3 of the paper: 110 and 55; 26 and 13; 13; 13; 13 and 6.
    expected = {"conv1.conv": 110, "conv1.pool": 55, "conv2.conv": 26, "conv2.pool": 13}
    expected |= {"conv3.conv": 13, "conv4.conv": 13, "conv5.conv": 13, "conv5.pool": 6}
    assert sizes(traces["zfnet"]) == expected


# kernel, in, out, groups, side of the output
TOWERS = [(11, 3, 96, 1, 55), (5, 96, 256, 2, 27), (3, 256, 384, 1, 13), (3, 384, 384, 2, 13), (3, 384, 256, 2, 13)]
FINER = [(7, 3, 96, 1, 110), (5, 96, 256, 1, 26), (3, 256, 384, 1, 13), (3, 384, 384, 1, 13), (3, 384, 256, 1, 13)]
DENSE = [(9216, 4096), (4096, 4096), (4096, 1000)]


@pytest.mark.parametrize("name, convolutions", [("alexnet_2012", TOWERS), ("zfnet", FINER)])
def test_the_totals_are_sums_over_the_papers_layers(
    name: str, convolutions: list[tuple[int, int, int, int, int]], traces: dict[str, Trace]
) -> None:
    parameters = sum(linear_parameters(*pair) for pair in DENSE)
    multiply_adds = sum(before * after for before, after in DENSE)
    for kernel, before, after, groups, side in convolutions:
        parameters += conv_parameters(before, after, kernel, groups=groups)
        multiply_adds += conv_multiply_adds(before, after, kernel, side, groups=groups)
    assert (traces[name].parameters, traces[name].multiply_adds) == (parameters, multiply_adds)


def test_a_neuron_of_zfnets_first_layer_sees_less_than_alexnets(traces: dict[str, Trace]) -> None:
    windows = {name: traces[name]["body.conv1.conv"].receptive_field[0] for name in NAMES}
    assert windows == {"alexnet": 11, "alexnet_2012": 11, "zfnet": 7}


def test_the_second_convolution_is_two_towers() -> None:
    torch.manual_seed(0)
    conv = on_meta("alexnet_2012").body.get_submodule("conv2.conv")
    assert isinstance(conv, nn.Conv2d)
    conv = conv.to_empty(device="cpu")
    nn.init.normal_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    upper, lower = nn.Conv2d(48, 128, 5, padding=2, bias=False), nn.Conv2d(48, 128, 5, padding=2, bias=False)
    with torch.no_grad():
        upper.weight.copy_(conv.weight[:128])
        lower.weight.copy_(conv.weight[128:])
    x = torch.randn(1, 96, 6, 6)
    both = torch.cat([upper(x[:, :48]), lower(x[:, 48:])], 1)
    torch.testing.assert_close(conv(x), both, atol=1e-4, rtol=1e-4)


def test_the_order_of_pooling_and_normalisation() -> None:
    def stage(name: str) -> list[str]:
        return [part for part, _ in on_meta(name).body.get_submodule("conv1").named_children()]

    assert stage("alexnet") == ["conv", "act", "pool"]
    assert stage("alexnet_2012") == ["conv", "act", "norm", "pool"]
    assert stage("zfnet") == ["conv", "act", "pool", "norm"]
    norms = [module for module in on_meta("alexnet_2012").modules() if isinstance(module, LocalResponseNorm)]
    assert [(norm.size, norm.alpha, norm.beta, norm.k) for norm in norms] == [(5, 1e-4, 0.75, 2.0)] * 2


@pytest.mark.slow  # sixty million normal random numbers
def test_weights_start_as_in_2012_and_gradients_reach_the_first_layer() -> None:
    torch.manual_seed(0)
    network = create("alexnet_2012", classes=2)
    biases = {name: bias.unique().tolist() for name, bias in network.named_parameters() if name.endswith("bias")}
    ones = {name for name, values in biases.items() if values == [1.0]}
    assert ones == {f"body.{layer}.bias" for layer in ("conv2.conv", "conv4.conv", "conv5.conv")} | {
        f"body.{layer}.linear.bias" for layer in ("dense6", "dense7")
    }
    assert all(values in ([0.0], [1.0]) for values in biases.values())
    assert network.head.weight.std().item() == pytest.approx(0.01, rel=0.05)
    maps = torch.randn(2, 3, 64, 64)
    for stage in ("conv1", "conv2", "conv3", "conv4", "conv5"):
        maps = network.body.get_submodule(stage)(maps)
    maps.square().mean().backward()
    gradient = network.body.get_parameter("conv1.conv.weight").grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient.any()


@pytest.mark.parametrize("name, first", [("alexnet", "dropout"), ("alexnet_2012", "linear"), ("zfnet", "linear")])
def test_dropout_stands_where_the_paper_has_it(name: str, first: str) -> None:
    dense = on_meta(name).body.get_submodule("dense6")
    assert next(part for part, _ in dense.named_children()) == first
    assert [module.p for module in on_meta(name).modules() if isinstance(module, nn.Dropout)] == [0.5, 0.5]
