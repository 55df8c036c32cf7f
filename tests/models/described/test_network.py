"""A described network's life: from its file into the registry, the card, a training, and back without the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from glassnet import verbs
from glassnet.card import read_card
from glassnet.data import builtin
from glassnet.errors import InputError, NetworkFileError
from glassnet.models.network import Network, load_network
from glassnet.models.registry import create, default_preprocess, describe, names, resolve
from glassnet.nn.fuse import fold_batch_norm
from glassnet.nn.regularise import penalty
from glassnet.nn.trace import trace
from glassnet.preprocess import Preprocess
from glassnet.training.train import resume, train

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "networks"
SMALL = """\
name = "tiny"
input = [28, 28, 1]
[[layers]]
conv = 4
stride = 4
norm = "batch"
activation = "relu"
weight_l2 = 1e-3
[[layers]]
stage = "top"
dense = 16
activation = "relu"
activity_l2 = 1e-4
[output]
weight_l1 = 1e-3
"""


@pytest.fixture
def small(tmp_path: Path) -> str:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return str(path)


def cost(module: nn.Module) -> float:
    return torch.as_tensor(penalty(module)).item()


@pytest.mark.parametrize(
    "name, parameters, stages",
    [
        ("lenet", 61_706, ["stage1", "stage2", "dense1", "dense2"]),  # LeNet-5's as commonly built
        ("residual", 67_906, ["stem", "stage1", "stage2", "stage3", "pool"]),
        ("inception", 14_694, ["stem", "mixed1", "mixed2", "pool"]),
        ("separable", 35_210, ["stem", "stage1", "stage2", "features", "pool"]),
    ],
)
def test_every_example_builds_traces_and_learns(name: str, parameters: int, stages: list[str]) -> None:
    torch.manual_seed(0)
    network = create(str(EXAMPLES / f"{name}.toml"), classes=10)
    assert [stage for stage, _ in network.body.named_children()] == stages
    traced = trace(network, network.input_size)
    assert traced.parameters == sum(p.numel() for p in network.parameters()) == parameters
    labels = torch.arange(20) % 2  # bright and dark noise
    images = torch.randn(20, *network.input_size) + 2 * labels[:, None, None, None] - 1
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(12):
        loss = F.cross_entropy(network(images), labels) + penalty(network)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    with torch.no_grad():
        expected = network.eval()(images)
        torch.testing.assert_close(fold_batch_norm(network)(images), expected, rtol=1e-3, atol=1e-3)


def test_examples_are_all_of_them() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.toml")} == {"lenet", "residual", "inception", "separable"}


def test_a_file_is_as_good_as_a_name(small: str) -> None:
    assert create(small, classes=3).input_size == (1, 28, 28)
    assert create(small, classes=3, in_channels=3).input_size == (3, 28, 28)
    assert default_preprocess(small) == Preprocess(height=28, width=28, channels=1, crop=1.0)
    assert default_preprocess(small, in_channels=3).channels == 3
    described = describe(small)
    assert (described.title, described.input_size, described.arguments) == ("tiny", (1, 28, 28), {})
    assert described.parameters == (9 * 4 + 8) + (4 * 49 * 16 + 16) + 170
    architecture, arguments = resolve(small)
    assert json.loads(json.dumps(arguments)) == arguments
    assert (
        create(architecture, classes=3, **arguments).state_dict().keys() == create(small, classes=3).state_dict().keys()
    )
    assert resolve("resnet18", {"stem": "small"}) == ("resnet18", {"stem": "small"})
    assert "described" not in names()


def test_a_network_file_needs_no_description_file(small: str, tmp_path: Path) -> None:
    network = Network.create(small, ["a", "b"])
    network.save(tmp_path / "net.safetensors")
    Path(small).unlink()
    loaded = Network.load(tmp_path / "net.safetensors")
    assert (loaded.name, loaded.title, loaded.card.architecture) == ("tiny", "tiny", "described")
    assert loaded.card.arguments["description"]["layers"][0]["weight_l2"] == 1e-3
    pictures = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    assert loaded.predict(pictures) == network.predict(pictures)
    assert cost(loaded.module) == pytest.approx(cost(network.module))
    tuned = loaded.for_classes(["x", "y", "z"])
    weight = tuned.module.head.weight
    assert cost(tuned.module) == pytest.approx(
        1e-3 * weight.abs().sum().item()
        + 1e-3 * tuned.module.body.get_parameter("conv1.conv.weight").square().sum().item()
    )


def test_another_picture_size_builds_it_for_that_size(small: str, tmp_path: Path) -> None:
    network = Network.create(small, ["a", "b"], preprocess=Preprocess(height=40, width=20, channels=3, crop=1.0))
    assert network.card.arguments["description"]["input"] == [40, 20, 3]
    assert network.module.input_size == (3, 40, 20)
    network.save(tmp_path / "net.safetensors")
    assert Network.load(tmp_path / "net.safetensors").module(torch.zeros(1, 3, 40, 20)).shape == (1, 2)


def test_a_card_with_a_broken_description_is_refused(small: str, tmp_path: Path) -> None:
    network = Network.create(small, ["a", "b"])
    network.card.arguments["description"]["layers"][0]["conv"] = "many"
    network.save(tmp_path / "net.safetensors")
    with pytest.raises(NetworkFileError, match=r"does not describe a network: layer 1: conv is 'many'"):
        Network.load(tmp_path / "net.safetensors")


def test_polite_refusals(small: str) -> None:
    with pytest.raises(InputError, match=r"small.toml takes no arguments \(width\): what it is stands in the file"):
        resolve(small, {"width": 2})
    with pytest.raises(InputError, match=r"networks lists what is registered, and my.toml is a description"):
        verbs.networks("my.toml")
    with pytest.raises(InputError, match=r"small.toml describes a network that has learnt nothing yet; train it"):
        load_network(small)
    with pytest.raises(InputError, match=r"small.toml is a network of your own, and has no pretrained weights"):
        Network.create(small, ["a"], pretrained=True)
    bad = Path(small).with_name("bad.toml")
    bad.write_text("input = [1]\nlayers = [{ conv = 1 }]")
    with pytest.raises(InputError, match=r"bad.toml line 1: input is \[1\]"):  # before it looks for the data
        train("no such data", network=str(bad))
    with pytest.raises(InputError, match=r"small.toml is a network of your own, and has no pretrained weights"):
        train("fashion-mini", network=small, pretrained=True)


def write_data(path: Path) -> None:
    data = builtin.load("fashion-mini")
    rows = [np.flatnonzero(data.is_test == test)[::25] for test in (False, True)]
    arrays = {"x_train": data.images[rows[0]], "y_train": data.labels[rows[0]]}
    np.savez(path, **arrays, x_test=data.images[rows[1]], y_test=data.labels[rows[1]])


def test_training_from_a_file_goes_on_without_it(small: str, tmp_path: Path) -> None:
    write_data(tmp_path / "data.npz")
    run = train(
        tmp_path / "data.npz",
        network=small,
        output=tmp_path / "run",
        epochs=1,
        overrides={"accumulate": 2, "ema": 0.9},
        quiet=True,
    )
    card = read_card(run.network_path)
    assert card.architecture == "described"
    assert card.arguments["description"]["name"] == "tiny"
    assert card.preprocess["mean"] != [0.5]  # the data's own, as for other networks
    assert run.facts["decided"]["reason"].startswith(small)
    Path(small).write_text("input = [1]")  # the run keeps its own words
    (run.path / "resume.safetensors").unlink()
    facts = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(facts | {"finished": False}))
    again = resume(run.path, quiet=True)
    old, new = run.network.module.state_dict(), again.network.module.state_dict()
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_the_size_of_a_recipe_is_obeyed(small: str, tmp_path: Path) -> None:
    write_data(tmp_path / "data.npz")
    run = train(
        tmp_path / "data.npz", network=small, output=tmp_path / "run", overrides={"size": 20, "steps": 1}, quiet=True
    )
    assert run.network.module.input_size == (1, 20, 20)
    assert run.network.module.body.get_submodule("top.linear").in_features == 4 * 25
    with pytest.raises(InputError, match=r"Described cannot take a picture of \(1, 24, 24\)"):
        train(tmp_path / "data.npz", start_from=run.network_path, overrides={"size": 24, "epochs": 1}, quiet=True)
