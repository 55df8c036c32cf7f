"""LeNet-5, both: the paper's own counts, its stages, and that the one of 1998 learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassnet.data import builtin
from glassnet.models.network import Network
from glassnet.models.registry import create, default_preprocess
from glassnet.nn.layers.activations import ScaledTanh
from glassnet.nn.layers.lenet import PartialConv2d, TrainablePool
from glassnet.nn.trace import Trace, trace


@pytest.fixture
def traced() -> Trace:
    return trace(create("lenet5_1998", classes=10, in_channels=1), (1, 28, 28))


def test_the_trained_parameters_are_the_papers(traced: Trace) -> None:
    # section II.B: C1 156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164
    stages = ("c1", "s2", "c3", "s4", "c5", "f6")
    counted = [traced[f"body.{stage}.layer"].parameters for stage in stages]
    assert counted == [156, 12, 1_516, 32, 48_120, 10_164]
    assert traced.parameters == sum(counted) == 60_000
    assert traced["head"].parameters == 0


def test_the_connections_are_the_papers_340908(traced: Trace) -> None:
    # The paper counts a bias as a connection, 5 for a pooled value (four inputs and a bias), and 840 of the output.
    connections = traced["head"].output_shape[0] * 84
    for layer in traced:
        values = torch.Size(layer.output_shape).numel()
        if layer.multiply_adds:
            connections += layer.multiply_adds + values
        elif layer.kind == "TrainablePool":
            connections += 5 * values
    assert connections == 340_908


def test_the_stages_have_the_papers_sizes(traced: Trace) -> None:
    sizes = {name: traced[f"body.{name}.layer"].output_shape for name in ("c1", "s2", "c3", "s4", "c5", "f6")}
    assert sizes == {
        "c1": (6, 28, 28),
        "s2": (6, 14, 14),
        "c3": (16, 10, 10),
        "s4": (16, 5, 5),
        "c5": (120, 1, 1),
        "f6": (84,),
    }


def test_padding_by_the_nearest_value_is_the_32_pixel_picture() -> None:
    network = create("lenet5_1998", classes=10, in_channels=1).eval()
    digit = torch.full((1, 1, 28, 28), -0.42)
    digit[..., 8:20, 10:18] = 2.0
    c1 = network.body.get_submodule("c1.layer")
    assert isinstance(c1, nn.Conv2d)
    on_32 = F.conv2d(F.pad(digit, (2, 2, 2, 2), value=-0.42), c1.weight, c1.bias)
    torch.testing.assert_close(c1(digit), on_32)


def test_every_layer_up_to_f6_is_squashed_and_starts_in_the_papers_range() -> None:
    network = create("lenet5_1998", classes=10, in_channels=1)
    assert sum(isinstance(module, ScaledTanh) for module in network.modules()) == 6
    assert sum(isinstance(module, TrainablePool) for module in network.modules()) == 2
    c3 = network.body.get_submodule("c3.layer")
    assert isinstance(c3, PartialConv2d)
    first = network.body.get_parameter("c1.layer.weight")
    for weight, fan_in in ((first, 25), (c3.weight[:18], 75), (c3.weight[-6:], 150)):
        assert 0.8 * 2.4 / fan_in < weight.abs().max() <= 2.4 / fan_in


def small_batch() -> tuple[Tensor, Tensor]:
    """Return 100 pictures (N, 1, 28, 28) as the network wants them, ten of each class, and their labels."""
    data = builtin.load("fashion-mini")
    labels = torch.from_numpy(data.labels[:2000]).long()
    items = torch.cat([(labels == c).nonzero().flatten()[:10] for c in range(10)])
    pixels = torch.from_numpy(data.images[:2000])[items]
    return default_preprocess("lenet5_1998").finish(pixels), labels[items]


def test_the_network_of_1998_learns_by_cross_entropy() -> None:
    torch.manual_seed(0)
    network = create("lenet5_1998", classes=10, in_channels=1)
    images, labels = small_batch()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.03, momentum=0.9)
    losses = []
    for _ in range(25):
        loss = F.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    assert (network(images).argmax(1) == labels).float().mean() > 0.5  # the largest logit is the nearest code


def test_other_classes_get_other_codes_and_the_file_keeps_them(tmp_path: Path) -> None:
    network = Network.create("lenet5_1998", [str(digit) for digit in range(10)])
    letters = network.for_classes(list("abcdefg"))
    assert letters.module.head.codes.shape == (7, 84)
    assert letters.module(torch.zeros(2, 1, 28, 28)).shape == (2, 7)
    letters.save(tmp_path / "net.safetensors")
    loaded = Network.load(tmp_path / "net.safetensors")
    picture = torch.randn(2, 1, 28, 28)
    assert torch.equal(loaded.logits(picture, device="cpu"), letters.logits(picture, device="cpu"))


def test_width_and_padding_of_the_common_one() -> None:
    with torch.device("meta"):
        half = create("lenet5", classes=10, in_channels=1, width=0.5)
        wide = create("lenet5", classes=10, in_channels=1, width=2)
    # 3 * 26 + 8 * (3 * 25 + 1) + 60 * (200 + 1) + 42 * 61 + 10 * 43
    assert sum(parameter.numel() for parameter in half.parameters()) == 78 + 608 + 12_060 + 2_562 + 430
    assert wide.features_size == 168
    plain, nearest = (create("lenet5", classes=10, padding_mode=mode) for mode in ("zero", "nearest"))
    nearest.load_state_dict(plain.state_dict())
    x = torch.ones(1, 3, 28, 28)
    assert not torch.equal(plain(x), nearest(x))
