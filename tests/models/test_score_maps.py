"""Network in Network and SqueezeNet: their sums, their stages, and a head that scores every position."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from glassnet.models import network as network_module
from glassnet.models.foreign import Layout
from glassnet.models.network import Network
from glassnet.models.registry import create, default_preprocess
from glassnet.models.score_maps import ScoreMapClassifier
from glassnet.nn.fuse import fold_batch_norm
from glassnet.nn.trace import Trace, trace

NAMES = ("nin", "nin_cifar", "squeezenet1_0", "squeezenet1_1")


def build(name: str, device: str = "cpu", **arguments: object) -> ScoreMapClassifier:
    with torch.device(device):
        network = create(name, **arguments)  # type: ignore[arg-type]
    assert isinstance(network, ScoreMapClassifier)
    return network


def a_network(**arguments: object) -> ScoreMapClassifier:
    torch.manual_seed(0)
    return build("nin_cifar", classes=5, width=0.1, **arguments).eval()


def traced(name: str, side: int) -> Trace:
    return trace(build(name, "meta"), (3, side, side))


def test_nins_total_is_the_sum_over_its_layers() -> None:
    # kernel^2 * in * out + out, and the same without bias times the positions: three blocks of three
    layers = [(25, 3, 192, 32), (1, 192, 160, 32), (1, 160, 96, 32)]
    layers += [(25, 96, 192, 16), (1, 192, 192, 16), (1, 192, 192, 16)]
    layers += [(9, 192, 192, 8), (1, 192, 192, 8), (1, 192, 10, 8)]
    found = trace(build("nin_cifar", "meta", classes=10), (3, 32, 32))
    assert found.parameters == sum(k * i * o + o for k, i, o, _ in layers) == 966_986
    assert found.multiply_adds == sum(k * i * o * side**2 for k, i, o, side in layers) == 222_486_528


def test_the_stages_have_the_papers_sizes() -> None:
    def sides(name: str, kinds: tuple[str, ...]) -> list[int]:
        layers = [layer for layer in traced(name, 224) if layer.name.endswith(kinds)]
        return [layer.output_shape[1] for layer in layers]

    assert sides("nin", ("mlpconv1.conv", "pool1", "pool2", "pool3", "head")) == [54, 27, 13, 6, 6]
    assert sides("squeezenet1_0", ("conv1.conv", "pool1", "pool4", "pool8", "head")) == [109, 54, 27, 13, 13]
    assert sides("squeezenet1_1", ("conv1.conv", "pool1", "pool3", "pool5", "head")) == [111, 55, 27, 13, 13]


def test_the_fires_are_the_papers_table() -> None:
    # Table 1: fire2 has 16 * 96 + 64 * 16 + 9 * 64 * 16 weights and 144 biases, fire9 twice the expansion 256
    network = build("squeezenet1_0")
    fires = [name for name, _ in network.body.named_children() if name.startswith("fire")]
    assert fires == [f"fire{number}" for number in range(2, 10)]
    counts = [sum(p.numel() for p in network.body.get_submodule(name).parameters()) for name in fires]
    assert counts == [11_920, 12_432, 45_344, 49_440, 104_880, 111_024, 188_992, 197_184]
    assert network.body.get_submodule("fire9")(torch.zeros(1, 512, 3, 3)).shape == (1, 512, 3, 3)


@pytest.mark.parametrize("name", NAMES)
def test_the_logits_are_means_of_rectified_scores(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, classes=5).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        scores = network.score_maps(images)
        torch.testing.assert_close(network(images), scores.relu().mean((2, 3)))
        assert scores.shape[:2] == (2, 5)
        assert (scores < 0).any(), "otherwise the ReLU would not show"


def test_the_score_maps_are_class_activation_maps() -> None:
    """The head's weights times the maps before the body's last stage, as for any network with a pooled body."""
    network, images = a_network(), torch.randn(2, 3, 32, 32)
    maps = network.body[:-1](images)
    assert [stage for stage, _ in network.body.named_children()][-1] == "pool"
    expected = torch.einsum("kd,ndhw->nkhw", network.head.weight, maps) + network.head.bias[:, None, None]
    torch.testing.assert_close(network.score_maps(images), expected)
    torch.testing.assert_close(network.body(images), maps.mean((2, 3)))


def test_a_linear_head_reads_the_features() -> None:
    network, images = a_network(rectify=False), torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(network(images), network.head(network.body(images)))
    torch.testing.assert_close(network(images), network.score_maps(images).mean((2, 3)))
    rectified = a_network()
    assert not torch.allclose(rectified(images), rectified.head(rectified.body(images)))


def test_a_new_head_is_linear_and_learns_where_a_rectified_one_cannot() -> None:
    network = a_network()
    network.replace_head(3)
    assert not network.rectify
    assert network.head.weight.shape == (3, network.features_size)
    nn.init.constant_(network.head.bias, -100.0)
    network(torch.randn(2, 3, 32, 32))[:, 0].sum().backward()
    assert network.head.weight.grad is not None
    assert network.head.weight.grad.any()


def test_a_file_remembers_whether_the_scores_are_rectified(tmp_path: Path) -> None:
    network = Network.create("nin_cifar", ("a", "b"), width=0.1)
    tuned = network.for_classes(("a", "b", "c"))
    same = network.for_classes(("a", "b"))
    assert network.card.arguments == same.card.arguments == {"width": 0.1, "in_channels": 3}
    assert tuned.card.arguments == {"width": 0.1, "in_channels": 3, "rectify": False}
    images = torch.randn(2, 3, 32, 32)
    for number, one in enumerate((network, tuned)):
        one.save(tmp_path / f"{number}.safetensors")
        loaded = Network.load(tmp_path / f"{number}.safetensors")
        torch.testing.assert_close(loaded.logits(images, device="cpu"), one.module.eval()(images))
    network.linearise_head()
    assert network.card.arguments["rectify"] is False


def test_trained_weights_with_a_new_head_say_so_on_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(
        name: str, *, classes: int, in_channels: int, pretrained: bool, **arguments: object
    ) -> ScoreMapClassifier:
        assert pretrained
        network = build(name, classes=10, in_channels=in_channels, **arguments)
        network.replace_head(classes)
        return network

    layout = Layout(name="other", network="nin_cifar", about="someone's", pairs=lambda _: ())
    source = SimpleNamespace(layout=layout, origin="someone's weights")
    monkeypatch.setattr(network_module, "load_pretrained", trained)
    monkeypatch.setattr(network_module, "find_source", lambda name, asked: source)  # noqa: ARG005
    monkeypatch.setattr(network_module, "trained_preprocess", lambda *_, **__: default_preprocess("nin_cifar"))
    network = Network.create("nin_cifar", ("a", "b"), pretrained=True, width=0.1)
    assert network.card.arguments == {"width": 0.1, "in_channels": 3, "rectify": False}


@pytest.mark.parametrize("rectify", [True, False])
def test_a_folded_copy_and_another_layout_say_the_same(rectify: bool) -> None:
    network, images = a_network(rectify=rectify), torch.randn(2, 3, 40, 24)
    with torch.no_grad():
        expected = network(images)
        torch.testing.assert_close(fold_batch_norm(network)(images), expected, atol=1e-5, rtol=1e-5)
        last = images.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(network(last), expected, atol=1e-5, rtol=1e-5)


def test_width_scales_all_but_the_scores() -> None:
    network = build("nin", "meta", width=0.25, classes=9)
    assert network.features_size == 256
    widths = [module.out_channels for module in network.body.modules() if isinstance(module, nn.Conv2d)]
    assert widths == [24] * 3 + [64] * 3 + [96] * 3 + [256] * 2
