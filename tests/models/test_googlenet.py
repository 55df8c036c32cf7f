"""The GoogLeNets and BN-Inception: the papers' sizes stage by stage, and what the auxiliary heads do and do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from glassnet.models import create
from glassnet.models.auxiliary import AuxiliaryClassifier
from glassnet.models.googlenet import PoolTo4
from glassnet.models.network import Network
from glassnet.models.registry import Classifier, default_preprocess
from glassnet.nn.fuse import layer_graph
from glassnet.nn.trace import trace
from glassnet.preprocess import IMAGENET_MEAN, IMAGENET_STD

GOOGLENET = {
    "conv1": (64, 112, 112),
    "pool1": (64, 56, 56),
    "conv2": (192, 56, 56),
    "pool2": (192, 28, 28),
    "inception3a": (256, 28, 28),
    "inception3b": (480, 28, 28),
    "inception4a": (512, 14, 14),
    "inception4b": (512, 14, 14),
    "inception4c": (512, 14, 14),
    "inception4d": (528, 14, 14),
    "inception4e": (832, 14, 14),
    "inception5a": (832, 7, 7),
    "inception5b": (1024, 7, 7),
    "pool": (1024,),
}
BN_INCEPTION = {
    "pool2": (192, 28, 28),
    "inception3a": (256, 28, 28),
    "inception3b": (320, 28, 28),
    "inception3c": (576, 14, 14),
    "inception4b": (576, 14, 14),
    "inception4d": (608, 14, 14),
    "inception4e": (1056, 7, 7),
    "inception5a": (1024, 7, 7),
    "inception5b": (1024, 7, 7),
}


@pytest.fixture(scope="module")
def network() -> AuxiliaryClassifier:
    """A GoogLeNet without dropout, so that its two modes can be compared; nothing in it depends on the batch."""
    torch.manual_seed(0)
    built = create("googlenet", classes=4, dropout=0.0)
    assert isinstance(built, AuxiliaryClassifier)
    return built


def some_images() -> Tensor:
    return torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "name, expected", [("googlenet", GOOGLENET), ("googlenet_bn", GOOGLENET), ("bn_inception", BN_INCEPTION)]
)
def test_the_stages_have_the_papers_sizes(name: str, expected: dict[str, tuple[int, ...]]) -> None:
    with torch.device("meta"):
        network, x = create(name).eval(), torch.empty(1, 3, 224, 224)
    found = {stage: tuple((x := module(x)).shape[1:]) for stage, module in network.body.named_children()}
    assert {stage: found[stage] for stage in expected} == expected


def test_googlenet_is_the_papers_where_torchvisions_layout_is_not() -> None:
    with torch.device("meta"):
        paper, other = create("googlenet"), create("googlenet_bn")
    assert paper.get_submodule("body.inception3a.large.conv.conv").kernel_size == (5, 5)
    assert other.get_submodule("body.inception3a.large.conv.conv").kernel_size == (3, 3)
    assert other.get_submodule("body.inception3a.large.conv.norm").eps == 1e-3
    assert paper.get_submodule("body.pool4").kernel_size == 3
    assert other.get_submodule("body.pool4").kernel_size == 2
    stages = [name for name, _ in paper.body.named_children()]
    assert stages[:6] == ["conv1", "pool1", "norm1", "conv2", "norm2", "pool2"]


def test_training_gives_three_answers_and_evaluation_one(network: AuxiliaryClassifier) -> None:
    with torch.no_grad():
        logits, first, second = network.train()(some_images())
        assert logits.shape == first.shape == second.shape == (2, 4)
        assert not torch.equal(first, second)
        said = network.eval()(some_images())
    assert isinstance(said, Tensor)
    torch.testing.assert_close(logits, said)


def test_an_auxiliary_head_reads_its_stage(network: AuxiliaryClassifier) -> None:
    network.train()
    network.auxiliary.eval()  # without its dropout
    with torch.no_grad():
        _, first, second = network(some_images())
        x = some_images()
        for name, stage in network.body.named_children():
            x = stage(x)
            if name == "inception4a":
                torch.testing.assert_close(network.auxiliary["inception4a"](x), first)
            elif name == "inception4d":
                torch.testing.assert_close(network.auxiliary["inception4d"](x), second)


def test_an_auxiliary_loss_reaches_what_lies_before_it(network: AuxiliaryClassifier) -> None:
    network.zero_grad()
    network.train()(some_images())[1].sum().backward()
    reached = {name for name, stage in network.body.named_children() for p in stage.parameters() if p.grad is not None}
    assert reached == {"conv1", "conv2", "inception3a", "inception3b", "inception4a"}


def test_the_heads_pool_as_the_paper_says() -> None:
    x = torch.arange(14.0).expand(1, 1, 14, 14)
    assert PoolTo4()(x)[0, 0, 0].tolist() == [2.0, 5.0, 8.0, 11.0]  # means of 0..4, 3..7, 6..10, 9..13
    assert PoolTo4()(torch.zeros(1, 1, 8, 5)).shape == (1, 1, 4, 4)


def test_without_auxiliary_heads_training_gives_logits() -> None:
    with torch.device("meta"):
        network = create("googlenet", auxiliary=False).train()
        assert network(torch.empty(2, 3, 64, 64)).shape == (2, 1000)
    assert type(network) is Classifier


def test_neither_the_trace_nor_the_fast_network_has_auxiliary_heads(network: AuxiliaryClassifier) -> None:
    assert not any(layer.name.startswith("auxiliary") for layer in trace(network, (3, 64, 64)))
    graph = layer_graph(network.eval())
    assert not any(str(node.target).startswith("auxiliary") for node in graph.graph.nodes)


def test_new_heads_for_new_classes_everywhere() -> None:
    network = create("googlenet_bn", classes=4)
    body = [tensor.clone() for tensor in network.body.state_dict().values()]
    network.replace_head(7)
    assert [said.shape for said in network.train()(some_images())] == [(2, 7)] * 3
    network.eval()
    after = network.body.state_dict()
    trained = [name for name in after if name.endswith("weight")]
    before = dict(zip(after, body, strict=True))
    assert all(torch.equal(before[name], after[name]) for name in trained)


@pytest.mark.parametrize("auxiliary", [True, False])
def test_auxiliary_heads_are_in_the_file(auxiliary: bool, tmp_path: Path) -> None:
    network = Network.create("googlenet", ("cat", "dog"), auxiliary=auxiliary)
    network.save(tmp_path / "net.safetensors")
    loaded = Network.load(tmp_path / "net.safetensors")
    assert isinstance(loaded.module, AuxiliaryClassifier) == auxiliary
    old, new = network.module.state_dict(), loaded.module.state_dict()
    assert all(torch.equal(old[name], new[name]) for name in old)
    assert any(name.startswith("auxiliary.") for name in new) == auxiliary


def test_the_preprocess_of_googlenet_bn_is_what_torchvision_transforms_its_input_to() -> None:
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), dtype=np.uint8))
    imagenet = default_preprocess("googlenet").finish(pixels)
    assert default_preprocess("googlenet").mean == IMAGENET_MEAN
    std, mean = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_STD, IMAGENET_MEAN))
    transformed = imagenet * (std / 0.5) + (mean - 0.5) / 0.5
    torch.testing.assert_close(default_preprocess("googlenet_bn").finish(pixels), transformed, rtol=0, atol=1e-6)
